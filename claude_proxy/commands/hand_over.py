"""The user's own `claude` at this terminal: it signs in by itself, and we wait."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping

import click

# What would turn `claude` to another account or another address, and what is none of its business.
_NOT_FOR_CLAUDE = re.compile(r"ANTHROPIC_.*|CLAUDE_PROXY_.*|CLAUDE_CODE_OAUTH_TOKEN|.*(KEY|TOKEN|SECRET|PASSWORD)")


def hand_over(arguments: tuple[str, ...]) -> None:
    """Runs `claude auth login` at this terminal; ends the program where that does not log in."""
    program = shutil.which("claude")
    if program is None:
        raise click.ClickException(
            "`claude` is not on the PATH; install Claude Code (https://code.claude.com/docs/en/setup), "
            "or keep a token of another machine: claude-proxy login --setup-token"
        )
    process = subprocess.Popen([program, "auth", "login", *arguments], env=environment_of_claude(os.environ))  # noqa: S603 - the user's own program, no shell
    while True:
        try:
            code = process.wait()
            break
        except KeyboardInterrupt:
            continue  # Ctrl-C reaches `claude` as well, which decides what it means
    if code != 0:
        click.echo(f"`claude auth login` ended with exit code {code}: you are not logged in by it", err=True)
        sys.exit(1)


def environment_of_claude(environment: Mapping[str, str]) -> dict[str, str]:
    """Without our address, other credentials than the login, and secrets that it needs not."""
    return {name: value for name, value in environment.items() if not _NOT_FOR_CLAUDE.fullmatch(name)}

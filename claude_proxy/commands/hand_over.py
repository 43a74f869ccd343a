"""The user's own `claude` at this terminal: it signs in by itself, and we wait."""

import os
import re
import shutil
import signal
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
    # Ctrl-C reaches `claude` as well, which decides what it means. It is not caught as KeyboardInterrupt: one that is
    # raised just when `claude` has ended would lose its exit code, and a login that failed would count as done.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        code = subprocess.call([program, "auth", "login", *arguments], env=environment_of_claude(os.environ))  # noqa: S603 - the user's own program, no shell
    finally:
        signal.signal(signal.SIGINT, before)
    if code != 0:
        click.echo(f"`claude auth login` ended with exit code {code}: you are not logged in by it", err=True)
        sys.exit(1)


def environment_of_claude(environment: Mapping[str, str]) -> dict[str, str]:
    """Without our address, other credentials than the login, and secrets that it needs not."""
    return {name: value for name, value in environment.items() if not _NOT_FOR_CLAUDE.fullmatch(name)}

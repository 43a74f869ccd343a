"""The user's own `claude` at this terminal: it signs in by itself, and we wait."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping

import click

from claude_proxy.credentials.claude_program import USUAL_PLACES, clean_environment, find_program

# What a program needs besides to write to a terminal and to open a browser.
_AT_A_SCREEN = frozenset(
    {
        *("TERM", "TERM_PROGRAM", "COLORTERM", "NO_COLOR", "FORCE_COLOR", "TMUX", "STY"),
        *("BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "DBUS_SESSION_BUS_ADDRESS"),
        *("DESKTOP_SESSION", "GNOME_DESKTOP_SESSION_ID", "KDE_FULL_SESSION", "KDE_SESSION_VERSION"),
        *("XDG_CURRENT_DESKTOP", "XDG_SESSION_TYPE", "XDG_CONFIG_DIRS", "XDG_DATA_DIRS"),
        *("SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY", "WSL_DISTRO_NAME", "WSL_INTEROP", "__CF_USER_TEXT_ENCODING"),
    }
)


def hand_over(arguments: tuple[str, ...]) -> None:
    """Runs `claude auth login` at this terminal; ends the program where that does not log in."""
    program = find_program("claude", os.environ)
    if program is None:
        raise click.ClickException(
            f"`claude` is not on the PATH, nor in {', '.join(USUAL_PLACES)}; install Claude Code "
            "(https://code.claude.com/docs/en/setup), or keep a token of another machine: "
            "claude-proxy login --setup-token"
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
    screen = {name: value for name, value in environment.items() if name in _AT_A_SCREEN}
    return {**clean_environment(environment), **screen}

"""`claude-proxy statusline`: what Claude Code tells on stdin goes in, one line comes out, and nothing ever fails.

It runs before click is imported, which alone would take the time that there is. Claude Code blanks the line of a
command that ends with another code than 0.
"""

import contextlib
import json
import os
import select
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from claude_proxy.statusline.asking import NoAnswer, ask, daemon_address
from claude_proxy.statusline.line import SEPARATOR, text

WRAP = "--wrap"

_STDIN_PATIENCE = 1.0  # seconds for all that Claude Code tells
_LARGEST = 1 << 20  # bytes of it
_WRAPPED_PATIENCE = 10.0  # seconds for the command that is wrapped
_CONTROLS = dict.fromkeys((*range(32), *range(127, 160)))  # what would steer the terminal


def run(arguments: Sequence[str]) -> None:
    """Prints the line."""
    wrapped, complaint = _wrapped(arguments)
    told = _read_stdin()
    before = _run_wrapped(wrapped, told) if wrapped else ""
    line = _own_line(os.environ, told)
    if complaint:
        line += SEPARATOR + complaint
    # Appended to its last line, so that what has several keeps them.
    printed = f"{before}{SEPARATOR}{line}" if before else line
    with contextlib.suppress(OSError):  # nobody looks any more
        os.write(1, f"{printed}\n".encode("utf-8", "replace"))


def _own_line(environment: Mapping[str, str], told: bytes) -> str:
    address = daemon_address(environment)
    if address is None:
        return "proxy off"
    try:
        return text(ask(*address, environment), _model(told)).translate(_CONTROLS)
    except NoAnswer as error:
        return _red(f"proxy {error}: proxy-toggle status", environment)


def _red(words: str, environment: Mapping[str, str]) -> str:
    return words if environment.get("NO_COLOR") else f"\x1b[31m{words}\x1b[0m"


def _wrapped(arguments: Sequence[str]) -> tuple[str, str]:
    """The command to wrap, and what is wrong with the arguments; "" for none."""
    match list(arguments):
        case []:
            return "", ""
        case ["--wrap", command]:
            return command, ""
        case [one] if one.startswith(f"{WRAP}="):
            return one.removeprefix(f"{WRAP}="), ""
        case _:
            return "", f"expected: claude-proxy statusline [{WRAP} 'command']"


def _read_stdin() -> bytes:
    """All of it, as far as it comes in time: a shell in which this is tried may send nothing."""
    if sys.stdin is None or os.isatty(0):
        return b""
    ends = time.monotonic() + _STDIN_PATIENCE
    read = b""
    try:
        while len(read) < _LARGEST and (left := ends - time.monotonic()) > 0:
            if not select.select([0], [], [], left)[0]:
                break
            chunk = os.read(0, 1 << 16)
            if not chunk:
                break
            read += chunk
    except OSError:
        pass  # what has come will do
    return read


def _model(told: bytes) -> str:
    """The model's id, "" where it is not told; `model.id` of https://code.claude.com/docs/en/statusline."""
    try:
        session: Any = json.loads(told)
        return str(session["model"]["id"]).partition("[")[0]  # [1m] is Claude Code's own mark, and not sent
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def _run_wrapped(command: str, told: bytes) -> str:
    """What the user's own status line prints, by the shell as Claude Code would start it; its stderr is dropped."""
    import subprocess  # takes 10 ms, and only who wraps something pays them

    try:
        done = subprocess.run(  # noqa: S602 - the user's own command, which Claude Code would give to a shell too
            command,
            shell=True,
            input=told,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_WRAPPED_PATIENCE,
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace").rstrip()

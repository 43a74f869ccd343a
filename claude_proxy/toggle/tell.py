"""How the switch speaks: what was done, file by file, what follows from it, and what stands in the way."""

import errno
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any

import click

from claude_proxy.toggle.edits import Line
from claude_proxy.toggle.refusals import FAILED, ToggleRefused

Command = Callable[..., None]


def tell(text: str, *, color: str | None = None, err: bool = False) -> None:
    """A line; in colour on a terminal, unless NO_COLOR is set."""
    styled = click.style(text, fg=color) if color else text
    click.echo(styled, err=err, color=False if os.environ.get("NO_COLOR") else None)


def warn(*warnings: str) -> None:
    """What stands in the way, on stderr."""
    for warning in warnings:
        tell(f"! {warning}", color="yellow", err=True)


def tell_lines(lines: Sequence[Line], *, dry_run: bool) -> None:
    """With what stands in parentheses one below the other."""
    width = max((len(line.text) for line in lines if line.note), default=0)
    for line in lines:
        text = f"{line.text:<{width}}   ({line.note})" if line.note else line.text
        tell(f"{'would be:' if dry_run and line.mark == '✓' else line.mark} {text}")


def running_ones(started: Iterable[float] | None, several: str, one: str) -> str:
    """The end of a sentence on new sessions: what those do that run now. None: they cannot be counted."""
    if started is None:
        return f". Running ones {several} until restarted."
    match len(list(started)):
        case 0:
            return "."
        case 1:
            return f". 1 running one {one} until restarted."
        case number:
            return f". {number} running ones {several} until restarted."


def telling(program: str) -> Callable[[Command], Command]:
    """Has a command of this program tell a refusal on stderr, and end with its exit code."""

    def with_words(command: Command) -> Command:
        @wraps(command)
        def run(*arguments: Any, **named: Any) -> None:
            try:
                command(*arguments, **named)
            except ToggleRefused as refused:
                tell(f"{program}: {refused}", err=True)
                sys.exit(refused.exit_code)
            except OSError as error:
                if error.errno == errno.EPIPE:
                    raise  # nobody reads any more, which click knows how to end
                tell(f"{program}: {error}", err=True)
                sys.exit(FAILED)

        return run

    return with_words

"""A secret from the person or the pipe in front of the program: never an argument, never shown."""

import getpass
import sys
import warnings

import click

_LONGEST = 16_384  # bytes; keys have some hundred


def read_secret(question: str) -> str:
    """What was typed unseen at a terminal, or else what stands on stdin, without the white space around it.

    Raises click.ClickException where there is nothing, or where a terminal would show it.
    """
    try:
        text = _typed(question) if sys.stdin.isatty() else sys.stdin.buffer.read(_LONGEST + 1).decode().strip()
    except UnicodeDecodeError:
        raise click.ClickException("expected one key on stdin, found bytes that are no text") from None
    if len(text) > _LONGEST:
        raise click.ClickException("expected one key on stdin, found more than any key has")
    if not text:
        raise click.ClickException("nothing was entered, and nothing stored")
    return text


def _typed(question: str) -> str:
    with warnings.catch_warnings():
        # getpass would go on, and show what is typed.
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return getpass.getpass(f"{question} (not shown): ").strip()
        except getpass.GetPassWarning:
            raise click.ClickException("this terminal cannot hide what is typed; give it on stdin instead") from None
        except EOFError:
            click.echo(err=True)  # Ctrl-D leaves the cursor behind the question
            return ""

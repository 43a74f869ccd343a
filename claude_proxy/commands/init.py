"""`claude-proxy init`: the manual as a configuration file of the user's own."""

import os
import sys
from pathlib import Path

import click

from claude_proxy.commands.options import config_option
from claude_proxy.config.layers import default_path, default_text

_KEPT = "  bodies: true  "
_NOT_KEPT = "  bodies: false "


@click.command()
@config_option
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@click.option(
    "--bodies/--no-bodies", default=None, help="Whether prompts and answers are kept. Default: you are asked, else yes."
)
def init(path: Path | None, *, force: bool, bodies: bool | None) -> None:
    """Write a configuration file with every setting and its explanation.

    At a terminal it asks whether prompts and answers are to be kept in the ledger, a private file on this machine.

    \b
    Examples:
      claude-proxy init
      claude-proxy init --no-bodies
      claude-proxy init --config new.yaml

    Exit codes: 0 written, 1 not written: there is one already, or it cannot be.
    """
    target = path or default_path()
    if bodies is None and sys.stdin.isatty() and (force or not target.exists()):
        click.echo("Every request is recorded on this machine: who was asked, what it used and cost.", err=True)
        bodies = click.confirm("Keep prompts and answers, too?", default=True, err=True)
    text = default_text() if bodies is not False else default_text().replace(_KEPT, _NOT_KEPT)
    # No link is followed: one that was planted would have another file overwritten.
    how = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | (os.O_TRUNC if force else os.O_EXCL)
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(target, how, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - from a descriptor, to set its mode
            os.fchmod(descriptor, 0o600)
            file.write(text)
    except FileExistsError:
        if not target.parent.is_dir():
            raise click.ClickException(f"{target} cannot be written: {target.parent} is no directory") from None
        click.echo(f"{target} is there already and was left as it is; --force overwrites it", err=True)
        sys.exit(1)
    except OSError as error:
        raise click.ClickException(f"{target} cannot be written: {error.strerror}") from None
    click.echo(f"wrote {target}")
    click.echo("Next: claude-proxy check, then claude-proxy serve")

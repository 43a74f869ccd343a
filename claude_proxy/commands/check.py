"""`claude-proxy check`: what is wrong with the configuration."""

import os
from pathlib import Path

import click

from claude_proxy.commands.options import config_option, told_if_faulty


@click.command()
@config_option
def check(path: Path | None) -> None:
    """Say what is wrong with the configuration, all at once, and where.

    Exit codes: 0 nothing is wrong, 78 something is.
    """
    from claude_proxy.config.load import load

    settings = told_if_faulty(lambda: load(path, os.environ))
    click.echo(f"{settings.file or 'the built-in configuration'}: nothing wrong")

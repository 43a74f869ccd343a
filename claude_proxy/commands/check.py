"""`claude-proxy check`: what is wrong with the configuration."""

import os
from pathlib import Path

import click

from claude_proxy.commands.options import config_option, told_if_faulty


@click.command()
@config_option
def check(path: Path | None) -> None:
    """Say what is wrong with the configuration, all at once, and where.

    \b
    Examples:
      claude-proxy check
      claude-proxy check --config new.yaml && mv new.yaml ~/.config/claude-proxy/config.yaml

    Exit codes: 0 nothing is wrong, 78 something is.
    """
    from claude_proxy.config.load import load
    from claude_proxy.config.older_names import without_effect

    settings = told_if_faulty(lambda: load(path, os.environ))
    click.echo(f"{settings.file or 'the built-in configuration'}: nothing wrong")
    for name, reason in without_effect(os.environ, harmless=False).items():
        click.echo(f"variable {name} is not used: {reason}", err=True)

"""`claude-proxy config show`: what is in force, and where each value came from."""

import json
import os
from pathlib import Path

import click

from claude_proxy.commands.options import config_option, told_if_faulty


@click.group()
def config() -> None:
    """Show the configuration as it is in force.

    \b
    Examples:
      claude-proxy config show
      claude-proxy config show --sources
    """


@config.command()
@config_option
@click.option(
    "--sources", is_flag=True, help="A line for each setting, with the file, line or variable that it is from."
)
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs; always with the sources.")
def show(path: Path | None, *, sources: bool, as_json: bool) -> None:
    """Show every setting as it is in force; what is printed is a configuration that says just that.

    \b
    Examples:
      claude-proxy config show
      claude-proxy config show --sources | grep -v default.yaml     what is not as built in

    Secrets are shown as references alone, with whether they are there. A running daemon may have read its
    configuration, and its own environment, at another time: kill -HUP has it read the file again. Exit codes: 0, 78
    faulty configuration.
    """
    # Imported here because it leads to the settings of every room, which help need not wait for.
    import yaml

    from claude_proxy.config.effective import effective, nested, remarks
    from claude_proxy.config.layers import lay
    from claude_proxy.config.load import load

    settings = told_if_faulty(lambda: load(path, os.environ))
    found = effective(lay(path, os.environ, lines=True).tree, settings, os.environ)
    told = remarks(found, os.environ)
    if as_json:
        rows = [setting._asdict() for setting in found]
        file = str(settings.file) if settings.file else None
        click.echo(json.dumps({"file": file, "settings": rows, "remarks": told}, indent=2))
    elif sources:
        width = max(len(setting.path) for setting in found)
        for setting in found:
            click.echo(f"{setting.path:<{width}}  {json.dumps(setting.value, ensure_ascii=False)}  {setting.source}")
        for line in told:
            click.echo(f"# {line}")
    else:
        click.echo(yaml.safe_dump(nested(found), sort_keys=False, allow_unicode=True, width=120), nl=False)

"""`claude-proxy paths`: every place where something of ours lies, or of Claude Code's that we write to."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import click

from claude_proxy.credentials.key_file import keys_directory
from claude_proxy.directories import our_data
from claude_proxy.toggle.places import Places

JOURNAL = "journalctl --user --unit claude-proxy"
"""Where the service's log is read under systemd: it is no file."""

NAMES = ("config", "keys", "ledger", "state", "receipt", "logs", "service", "settings")


class Place(NamedTuple):
    """`path` is None for what is no file: `command` then shows it."""

    path: Path | None
    holds: str
    command: str | None = None


def all_places(configuration: Path | None, environment: Mapping[str, str], platform: str) -> dict[str, Place]:
    """By name, in the order of NAMES. Nothing is looked into but the configuration, for where records are kept."""
    ours = Places.of(environment)
    if platform == "darwin":
        library = ours.home / "Library"
        logs = Place(library / "Logs" / "claude-proxy" / "claude-proxy.log", "the service's log")
        service = library / "LaunchAgents" / "claude-proxy.plist"
    else:
        logs = Place(None, "the service's log", JOURNAL)
        service = ours.config_home / "systemd" / "user" / "claude-proxy.service"
    return {
        "config": Place(configuration or ours.configuration, "your settings"),
        "keys": Place(keys_directory(environment), "keys, where there is no keychain, and their names"),
        "ledger": Place(_ledger(configuration, environment), "what was asked, answered and spent"),
        "state": Place(ours.state, "what `enable` must know to undo"),
        "receipt": Place(ours.receipt, "what stood there before `enable`"),
        "logs": logs,
        "service": Place(service, "the service"),
        "settings": Place(ours.settings, "Claude Code's settings, which `enable` writes to"),
    }


def _ledger(configuration: Path | None, environment: Mapping[str, str]) -> Path:
    """As `ledger.url` says, where that can be read; else the place for it."""
    # Imported here because it takes 10 ms, and with a file YAML 20 more; `enable` and `run` need the rest alone.
    from claude_proxy.config.layers import lay

    ledger = lay(configuration, environment).tree.value.get("ledger")
    url = ledger.value.get("url") if ledger is not None and isinstance(ledger.value, dict) else None
    if url is not None and isinstance(url.value, str) and url.value.startswith("sqlite:///"):
        return Path("/" + url.value.removeprefix("sqlite:///").lstrip("/"))
    return our_data(environment) / "ledger.db"


@click.command()
@click.option(
    "--config",
    "configuration",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="CLAUDE_PROXY_CONFIG",
    help="The configuration file. Default: ~/.config/claude-proxy/config.yaml.",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@click.argument("name", required=False, type=click.Choice(NAMES))
def paths(configuration: Path | None, name: str | None, *, as_json: bool) -> None:
    """Print where everything lies; with NAME the path of that alone.

    \b
    Examples:
      claude-proxy paths
      $EDITOR "$(claude-proxy paths config)"

    XDG_CONFIG_HOME, XDG_DATA_HOME, XDG_STATE_HOME and CLAUDE_CONFIG_DIR are honoured, on macOS too. Exit codes: 0, 1
    what is asked for by its name is no file.
    """
    places = all_places(configuration, os.environ, sys.platform)
    if as_json:
        click.echo(json.dumps({one: _described(places[one]) for one in ([name] if name else places)}, indent=2))
    elif name is not None:
        place = places[name]
        if place.path is None:
            raise click.ClickException(f"{name} is no file here; it is read with: {place.command}")
        click.echo(place.path)
    else:
        for one, place in places.items():
            there = "" if place.path is None or place.path.exists() else ", not there yet"
            click.echo(f"{one:<9} {place.path or place.command}  ({place.holds}{there})")


def _described(place: Place) -> dict[str, object]:
    return {
        "path": str(place.path) if place.path else None,
        "command": place.command,
        "exists": place.path.exists() if place.path else None,
        "holds": place.holds,
    }

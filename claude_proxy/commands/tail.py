"""`claude-proxy tail`: one line for each request, as it ends."""

import json
import os
import sys
from pathlib import Path

import click

from claude_proxy.commands.interrupt import ends_on_ctrl_c
from claude_proxy.commands.live import Event, NotListening, follow
from claude_proxy.commands.options import config_option, told_if_faulty
from claude_proxy.commands.tail_text import HEADER, line, went_wrong
from claude_proxy.config.address import listen_address
from claude_proxy.toggle.tell import tell


@click.command()
@config_option
@click.option("--json", "json_lines", is_flag=True, help="Every event as one JSON object a line, beginnings too.")
def tail(path: Path | None, *, json_lines: bool) -> None:
    """Show each request as it ends, until Ctrl-C.

    When it was asked, model and upstream, status, seconds to the first byte and in all, tokens, and what they cost
    at list price, `-` where that is not known. When the daemon restarts, this comes back to it and misses nothing.

    \b
    Examples:
      claude-proxy tail
      claude-proxy tail --json | jq 'select(.event == "end")'
    Exit codes: 1 the daemon tells nothing live, 3 not running, 4 it asks for a password or token that is not set
    here (DASHBOARD_PASSWORD, AUTH_TOKEN), 78 faulty configuration, 130 Ctrl-C.
    """
    host, port = told_if_faulty(lambda: listen_address(path, os.environ))
    with ends_on_ctrl_c():
        if not json_lines:
            tell(HEADER, err=True)
        try:
            for event in follow(host, port, os.environ, _tell_gone):
                _show(event, json_lines=json_lines)
        except NotListening as error:
            tell(f"claude-proxy: {error}", err=True)
            sys.exit(error.code)


def _show(event: Event, *, json_lines: bool) -> None:
    if json_lines:
        click.echo(json.dumps({"event": event.name, "event_id": event.id, **event.data}))
    elif event.name == "end":
        tell(line(event.data), color="red" if went_wrong(event.data) else None)
    elif event.name == "missed":
        tell("… some may have been missed meanwhile", err=True)


def _tell_gone(why: str) -> None:
    tell(f"… the daemon is gone ({why}); waiting for it to come back", err=True)

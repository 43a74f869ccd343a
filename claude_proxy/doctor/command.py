"""`claude-proxy doctor`: the command."""

import json
import os
import sys
from pathlib import Path

import click

from claude_proxy.commands.options import config_option


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs; its shape stands in docs/doctor.md.")
@click.option("--all", "everything", is_flag=True, help="Also show every check that is well.")
@click.option("--probe", is_flag=True, help="Also send one real request to each upstream, which costs.")
def doctor(path: Path | None, *, as_json: bool, everything: bool, probe: bool) -> None:
    """Walk the chain from this command to the upstreams, and say what breaks it first and what mends that.

    It changes nothing. Each upstream that has a credential is knocked at without it. Where the daemon has not looked
    for a credential yet, this command does: a keychain may take five seconds.

    With --probe each upstream for which you have a key of your own is asked for one token, which that key pays for.
    Your Claude login is not lent to that: it is sent to Anthropic for its profile and usage alone, which costs nothing.

    \b
    Examples:
      claude-proxy doctor
      claude-proxy doctor --json
      claude-proxy doctor --probe
    Exit codes: 0 well, 1 degraded: warnings alone, 2 broken.
    """
    # Imported here because it leads to the settings of every room, and with them to all libraries.
    from claude_proxy.doctor.checkup import examine
    from claude_proxy.doctor.report_text import lines
    from claude_proxy.doctor.whole_case import WholeCase

    report = examine(WholeCase(path, dict(os.environ), probing=probe))
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2))
    else:
        for line in lines(report, everything=everything):
            color = False if os.environ.get("NO_COLOR") else None
            click.echo(click.style(line.text, fg=line.color) if line.color else line.text, color=color)
    sys.exit(report.exit_code)

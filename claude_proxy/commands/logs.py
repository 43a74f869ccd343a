"""`claude-proxy logs`: the daemon's log, wherever it is kept."""

import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import takewhile
from pathlib import Path

import click

from claude_proxy.commands.interrupt import ends_on_ctrl_c
from claude_proxy.commands.log_files import read
from claude_proxy.commands.log_lines import Wanted, as_json, chosen, moment
from claude_proxy.commands.log_place import JOURNAL, NoLog, find_log
from claude_proxy.commands.options import DEGRADED, NOT_RUNNING, config_option, told_if_faulty

_LINES = 100


def _since(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    try:
        return None if value is None else moment(value, datetime.now().astimezone()).timestamp()
    except (ValueError, OverflowError):
        raise click.BadParameter("expected 10m, 2h, 1d, today, yesterday, 14:30 or 2026-01-31 14:30") from None


def _request(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None and not value.strip():
        raise click.BadParameter("expected the id of a request, or how it begins")
    return value and value.strip()


@click.command()
@config_option
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
@click.option("-n", "--lines", type=click.IntRange(0), help=f"The last lines only. Default: {_LINES}, else all.")
@click.option("--since", callback=_since, metavar="WHEN", help="10m, 2h, 1d, today, 14:30, or a date with a time.")
@click.option("--request", callback=_request, metavar="ID", help="One request: its x-claude-proxy-request-id.")
@click.option("--json", "json_lines", is_flag=True, help="One JSON object a line, for programs.")
def logs(
    path: Path | None, lines: int | None, since: float | None, request: str | None, *, follow: bool, json_lines: bool
) -> None:
    """Show the log of the daemon.

    It lies in systemd's journal, on macOS in ~/Library/Logs/claude-proxy. Without a service it goes wherever the
    daemon's stderr goes: a file there is read as well, else you are told. Secrets never stand in it.

    \b
    Examples:
      claude-proxy logs
      claude-proxy logs -f
      claude-proxy logs --since 2h
      claude-proxy logs --request req_cp_6f1c
    Exit codes: 0, 1 there is no line or no log to read, 2 wrong usage, 3 no daemon runs and none is installed,
    78 faulty configuration, 130 Ctrl-C.
    """
    try:
        place = told_if_faulty(lambda: find_log(path, os.environ))
    except NoLog as error:
        click.echo(f"claude-proxy: {error}", err=True)
        sys.exit(DEGRADED if error.running else NOT_RUNNING)
    wanted = Wanted(request, since)
    most = _LINES if lines is None and request is None and since is None else lines
    shown: Callable[[str], str] = as_json if json_lines else str
    any_line = False
    with ends_on_ctrl_c():
        found = _journal(wanted, most, follow) if place.file is None else _file(place.file, wanted, most, follow)
        for line in found:
            any_line = True
            click.echo(shown(line))
    if not any_line:
        where = place.file or " ".join(JOURNAL)
        click.echo(f"claude-proxy: there is no such line in {where}", err=True)
        sys.exit(DEGRADED)


def _file(path: Path, wanted: Wanted, most: int | None, follow: bool) -> Iterator[str]:
    try:
        lines = read(path, follow=follow)
        past = (line for line in takewhile(lambda line: line is not None, lines) if line is not None)
        yield from _last(chosen(past, wanted), most)
        yield from chosen((line for line in lines if line is not None), Wanted(wanted.request))
    except OSError as error:
        raise click.ClickException(f"{path} cannot be read: {error.strerror}") from None


def _last(lines: Iterator[str], most: int | None) -> Iterator[str]:
    return lines if most is None else iter(deque(lines, maxlen=most))


def _journal(wanted: Wanted, most: int | None, follow: bool) -> Iterator[str]:
    # Of one request the last lines are not the last of all; since a time journalctl counts from the first.
    by_journal = "all" if most is None or wanted.request or wanted.since is not None else str(most)
    command = [*JOURNAL, "--output=cat", "--no-pager", "--quiet", f"--lines={by_journal}"]
    command += [f"--since=@{wanted.since:.0f}"] if wanted.since is not None else []
    command += ["--follow"] if follow else []
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: S603 - words of our own
    except OSError as error:
        raise click.ClickException(f"{command[0]} could not be run: {error.strerror}") from None
    assert process.stdout is not None
    with process:
        try:
            text = (line.decode("utf-8", "replace").rstrip("\n") for line in process.stdout)
            found = chosen(text, Wanted(wanted.request))
            yield from found if follow else _last(found, most)
        except (GeneratorExit, KeyboardInterrupt):  # of who follows it: it would go on
            process.terminate()
            raise
    if process.returncode:
        raise click.ClickException(f"`{' '.join(command)}` ended with {process.returncode}")

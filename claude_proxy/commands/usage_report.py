"""The ledger's sums, read from its file and told as a table, as JSON or as CSV."""

import csv
import io
import json
import os
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from claude_proxy.commands.options import told_if_faulty
from claude_proxy.commands.usage_rows import COUNTS, MONEY, Row, rows, shown, whole
from claude_proxy.commands.usage_table import lines
from claude_proxy.config.ledger_place import ledger_settings
from claude_proxy.ledger.sqlite_reader import SqliteReader
from claude_proxy.ledger.store import LedgerError


def report(by: str, path: Path | None, since: float | None, form: str) -> None:
    """Prints what was used since then (Unix time; None: ever) in a form: table, json or csv."""
    settings = told_if_faulty(lambda: ledger_settings(path, os.environ))
    try:
        with closing(SqliteReader(settings.path)) as reader:
            found = rows(reader, by, since)
    except LedgerError as error:
        raise click.ClickException(str(error)) from None
    if form == "json":
        click.echo(json.dumps(_as_json(by, since, found), indent=2))
    elif form == "csv":
        click.echo(_as_csv(by, found), nl=False)
    elif found:
        for line in lines(by, found):
            click.echo(line)
    else:
        click.echo(_why_nothing(settings.path, enabled=settings.enabled, ever=since is None), err=True)


def _as_json(by: str, since: float | None, found: Sequence[Row]) -> dict[str, Any]:
    projects = [{"project": row.project} if by == "session" else {} for row in found]
    return {
        "by": by,
        "since": None if since is None else datetime.fromtimestamp(since).astimezone().isoformat(),
        "rows": [{by: row.name, **project, **shown(row.total)} for row, project in zip(found, projects, strict=True)],
        "total": shown(whole(found)),
    }


def _as_csv(by: str, found: Sequence[Row]) -> str:
    text = io.StringIO()
    written = csv.writer(text, lineterminator="\n")
    names = (by, "project") if by == "session" else (by,)
    written.writerow((*names, *COUNTS, *MONEY))
    for row in found:
        its = shown(row.total)
        named = (row.name, row.project or "")[: len(names)]
        written.writerow((*map(_harmless, named), *(its[name] for name in (*COUNTS, *MONEY))))
    return text.getvalue()


def _harmless(text: str) -> str:
    """A name that no spreadsheet takes for a formula: what a model is called is the client's own choice."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text


def _why_nothing(file: Path, *, enabled: bool, ever: bool) -> str:
    if not enabled:
        return "nothing is recorded: ledger.enabled is false in the configuration"
    if not file.exists():
        return f"nothing has been recorded yet: {file} is not there; switch routing on with claude-proxy enable"
    return "nothing has been recorded yet" if ever else "nothing was recorded since then"

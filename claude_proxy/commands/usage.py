"""`claude-proxy usage`: what was used and what it cost, read from the ledger's file; the daemon need not run."""

import re
from datetime import date, datetime, time, timedelta
from pathlib import Path

import click

from claude_proxy.commands.options import config_option

GROUPS = ("day", "week", "month", "session", "project", "model")

_AGO = re.compile(r"([1-9][0-9]{0,4})([hdw])")
_A_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _since(_: click.Context, __: click.Parameter, text: str | None) -> float | None:
    """A day, a time, or how long ago, as Unix time; days are those of this machine's time zone."""
    if text is None:
        return None
    try:
        if ago := _AGO.fullmatch(text):
            return _so_long_ago(int(ago[1]), ago[2])
        return _begins(date.fromisoformat(text)) if _A_DAY.fullmatch(text) else _moment(text)
    except (ValueError, OverflowError):
        raise click.BadParameter(f"{text!r} is no time; give 2026-11-26, 2026-11-26T12:00, 12h, 7d or 4w") from None


@click.command()
@click.argument("by", type=click.Choice(GROUPS), default="day")
@config_option
@click.option("--since", callback=_since, metavar="TIME", help="From then on: 2026-11-26, 12h, 7d or 4w. Default: all.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, with exact numbers, for programs.")
@click.option("--csv", "as_csv", is_flag=True, help="As CSV, with exact numbers, for spreadsheets.")
def usage(by: str, path: Path | None, since: float | None, *, as_json: bool, as_csv: bool) -> None:
    """Say what was used and what it cost, by day, week, month, session, project or model.

    \b
    Examples:
      claude-proxy usage
      claude-proxy usage model --since 7d
      claude-proxy usage session --since 2026-11-26
      claude-proxy usage month --csv

    The ledger's file is read; the daemon need not run. Days are those of this machine's time zone. What a price list
    says, what is billed, what the plan covers and what has no price are four numbers that are never added up.

    \b
    Exit codes: 0 told, 1 the ledger cannot be read, 78 faulty configuration.
    """
    if as_json and as_csv:
        raise click.UsageError("give either --json or --csv")
    # Imported here because it leads to the ledger, which no other light command needs.
    from claude_proxy.commands.usage_report import report

    report(by, path, since, "json" if as_json else "csv" if as_csv else "table")


def _so_long_ago(number: int, unit: str) -> float:
    """Days and weeks are whole days, today being one of them."""
    now = datetime.now().astimezone()
    if unit == "h":
        return (now - timedelta(hours=number)).timestamp()
    return _begins(now.date() - timedelta(days=number * (7 if unit == "w" else 1) - 1))


def _begins(day: date) -> float:
    return datetime.combine(day, time()).timestamp()


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()

"""What was used and what it cost, by day, week, month, session, project or model: rows out of the ledger's sums."""

from collections.abc import Callable, Iterable
from datetime import date, tzinfo
from typing import Any, NamedTuple

from claude_proxy.ledger.cost import dollars
from claude_proxy.ledger.days import added, month_of, week_of, with_days
from claude_proxy.ledger.store import By, Filter, LedgerReader, Total

_BY_DAY: dict[str, Callable[[date], date]] = {"day": lambda day: day, "week": week_of, "month": month_of}
_BY_NAME = {"session": By.SESSION, "project": By.PROJECT, "model": By.MODEL}
GROUPS = (*_BY_DAY, *_BY_NAME)
"""What rows may be of; as the command names them."""
NOTHING = "(none)"
"""The name of what has none: requests that belong to no session, project or model."""

COUNTS = (
    "requests",
    "failures",
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
    "unpriced_tokens",
    "unpriced_requests",
)
MONEY = ("list_value", "billed", "covered")


class Row(NamedTuple):
    """`name` is that of the day, session and so on; `project` is told of a session."""

    name: str
    total: Total
    project: str | None = None


def rows(reader: LedgerReader, by: str, since: float | None, zone: tzinfo | None = None) -> list[Row]:
    """Days in order; sessions in the order of their last request; projects and models by what they are worth.

    `since` is Unix time, None for all that was ever recorded. Raises LedgerError.
    """
    where = Filter(since=since)
    if by in _BY_DAY:
        return _dated(with_days(reader.totals(where, (By.BUCKET,)), zone), _BY_DAY[by])
    if by == "session":
        return _sessions(reader.totals(where, (By.BUCKET, By.SESSION, By.PROJECT)))
    found = reader.totals(where, (_BY_NAME[by],))
    worth = sorted(found, key=lambda total: (-total.list_value, -total.input_tokens - total.output_tokens))
    return [Row(str(total.key[0] or NOTHING), total) for total in worth]


def whole(given: Iterable[Row]) -> Total:
    """The sum of all."""
    total = Total()
    for row in given:
        total = added(total, row.total)
    return total


def shown(total: Total) -> dict[str, Any]:
    """Exact: tokens as numbers, money as US dollars in plain digits."""
    counts = {name: getattr(total, name) for name in COUNTS}
    return counts | {name: dollars(getattr(total, name)) for name in MONEY}


def _dated(dated: Iterable[tuple[date, Total]], start: Callable[[date], date]) -> list[Row]:
    summed: dict[date, Total] = {}
    for day, total in dated:
        first = start(day)
        summed[first] = added(summed.get(first, Total()), total)
    return [Row(day.isoformat(), total) for day, total in sorted(summed.items())]


def _sessions(totals: Iterable[Total]) -> list[Row]:
    """The totals come in the order of time, so that what is put back last was there last."""
    summed: dict[str, Row] = {}
    for total in totals:
        _, session, project = total.key
        name = str(session or NOTHING)
        before = summed.pop(name, Row(name, Total()))
        known = before.project or (str(project) if project and session else None)
        summed[name] = before._replace(total=added(before.total, total), project=known)
    return list(summed.values())

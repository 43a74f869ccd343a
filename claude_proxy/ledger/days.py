"""Totals by day, week and month, and by hour: quarters of an hour put together as a time zone's calendar has them."""

from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta, tzinfo

from msgspec.structs import replace

from claude_proxy.ledger.store import BUCKET, Total

SUMS = tuple(name for name in Total.__struct_fields__ if name != "key")


def added(one: Total, other: Total) -> Total:
    """The sums of both, with the key of the first."""
    return replace(one, **{name: getattr(one, name) + getattr(other, name) for name in SUMS})


def day_of(moment: float, zone: tzinfo | None = None) -> date:
    """The day of a Unix time; None is the time zone of this machine."""
    return datetime.fromtimestamp(moment, zone).date()


def beginning(day: date, zone: tzinfo | None = None) -> float:
    """The Unix time at which a day begins."""
    return datetime.combine(day, time(), zone).timestamp()


def week_of(day: date) -> date:
    """The Monday of a day's week."""
    return day - timedelta(days=day.weekday())


def month_of(day: date) -> date:
    """The first of a day's month."""
    return day.replace(day=1)


def with_days(totals: Iterable[Total], zone: tzinfo | None = None) -> Iterator[tuple[date, Total]]:
    """Totals whose key begins with a bucket, each with its day, and with the rest of its key."""
    for total in totals:
        yield day_of(int(total.key[0] or 0), zone), replace(total, key=total.key[1:])


def slots(since: float, until: float, seconds: int) -> list[int]:
    """Where spans of time begin that cover a time, each so many seconds long, from a whole bucket on."""
    first = int(since // BUCKET * BUCKET)
    return list(range(first, max(first + 1, int(until)), seconds))

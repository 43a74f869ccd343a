"""Whatever the ledger holds and however it is grouped: the rows' sums are those of the records, to the picodollar."""

import contextlib
import tempfile
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_proxy.commands.usage import GROUPS as NAMED
from claude_proxy.commands.usage_rows import COUNTS, GROUPS, MONEY, rows, shown, whole
from claude_proxy.ledger.cost import dollars
from claude_proxy.ledger.record import ExchangeRecord
from claude_proxy.ledger.sqlite import SqliteStore
from claude_proxy.ledger.store import Change, LedgerReader
from tests.ledger.made_records import NOON, begun, record, records

ZONES = [UTC, ZoneInfo("America/St_Johns"), None]


@contextlib.contextmanager
def reading(*written: ExchangeRecord) -> Iterator[LedgerReader]:
    with (
        tempfile.TemporaryDirectory() as home,
        contextlib.closing(SqliteStore(Path(home) / "ledger.db")) as store,
        contextlib.closing(store.reader()) as reader,
    ):
        store.write([Change(one) for one in written])
        yield reader


@settings(max_examples=25, deadline=None)
@given(st.lists(records, max_size=12, unique_by=lambda one: one.id), st.sampled_from(ZONES))
def test_the_sums_are_those_of_the_ledger_however_it_is_grouped(
    made: list[ExchangeRecord], zone: ZoneInfo | None
) -> None:
    ended = [one for one in made if one.end is not None]
    expected = {
        "requests": len(ended),
        "failures": sum(one.end != "complete" for one in ended),
        "unpriced_tokens": sum(one.unpriced_tokens for one in ended),
        "unpriced_requests": sum(one.unpriced_tokens > 0 for one in ended),
        **{
            name: sum(getattr(one.usage, name) or 0 for one in ended)
            for name in COUNTS
            if name.endswith("input_tokens")
        },
        "output_tokens": sum(one.usage.output_tokens or 0 for one in ended),
        **{name: dollars(sum(getattr(one, name) or 0 for one in ended)) for name in MONEY},
    }
    with reading(*made) as reader:
        for by in GROUPS:
            found = rows(reader, by, None, zone)
            assert shown(whole(found)) == expected, by
            assert len({row.name for row in found}) == len(found)


def test_the_command_names_the_groups_that_there_are() -> None:
    assert NAMED == GROUPS


DAYS = [record(number, accepted=NOON - number * 86400) for number in (0, 1, 3, 40)]


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("day", ["2026-12-06", "2027-01-12", "2027-01-14", "2027-01-15"]),
        ("week", ["2026-11-30", "2027-01-11"]),
        ("month", ["2026-12-01", "2027-01-01"]),
    ],
)
def test_days_weeks_and_months_come_in_order(by: str, names: list[str]) -> None:
    with reading(*DAYS, begun(50)) as reader:
        found = rows(reader, by, None, UTC)
        assert [row.name for row in found] == names
        assert sum(row.total.requests for row in found) == 4
        assert sum(row.total.requests for row in rows(reader, by, NOON - 86400, UTC)) == 2


def test_sessions_come_in_the_order_of_their_last_request_and_name_their_project() -> None:
    made = [
        record(1, session="s1", conversation="s1", project="/p/one"),
        record(2, session="s2", conversation="s2", project=None),
        record(3000, session="s1", conversation="s1", project="/p/one"),
        record(4, session=None, conversation=None, project="/p/three"),
    ]
    with reading(*made) as reader:
        found = rows(reader, "session", None)
    assert [(row.name, row.project, row.total.requests) for row in found] == [
        ("(none)", None, 1),
        ("s2", None, 1),
        ("s1", "/p/one", 2),
    ]


def test_models_and_projects_come_by_what_they_are_worth() -> None:
    made = [
        record(1, model="cheap", list_value=1),
        record(2, model="dear", list_value=10**12),
        record(3, model="unpriced", list_value=None),
        record(4, model="", list_value=2, project=None, conversation=None),
    ]
    with reading(*made) as reader:
        assert [row.name for row in rows(reader, "model", None)] == ["dear", "(none)", "cheap", "unpriced"]
        assert [row.name for row in rows(reader, "project", None)] == ["/home/someone/work", "(none)"]

"""A reader looks for the file with each question, and tells what is damaged."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from claude_proxy.ledger.sqlite import SqliteStore
from claude_proxy.ledger.sqlite_file import set_aside
from claude_proxy.ledger.sqlite_reader import SqliteReader
from claude_proxy.ledger.store import WHOLE_KEY, Change, LedgerCorrupt, Retention
from tests.ledger.contract import ALL
from tests.ledger.made_records import NOON, conversation, record, with_bodies


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def reader(path: Path) -> Iterator[SqliteReader]:
    with contextlib.closing(SqliteReader(path)) as reader:
        yield reader


def test_a_ledger_that_is_made_later_is_found(path: Path, reader: SqliteReader) -> None:
    assert reader.count(ALL) == 0
    with contextlib.closing(SqliteStore(path)) as store:
        store.write([Change(record())])
        assert reader.count(ALL) == 1


def test_a_ledger_that_takes_another_s_place_is_read_from_then_on(path: Path, reader: SqliteReader) -> None:
    with contextlib.closing(SqliteStore(path)) as store:
        store.write([Change(record())])
    assert reader.count(ALL) == 1
    set_aside(path)
    assert reader.count(ALL) == 0
    SqliteStore(path).close()
    assert reader.count(ALL) == 0


def test_sums_less_those_of_the_records_are_of_what_is_gone(path: Path, reader: SqliteReader) -> None:
    with contextlib.closing(SqliteStore(path)) as store:
        store.write([Change(record(number, accepted=NOON + number * 400, project=None)) for number in range(6)])
        assert list(reader.remainders()) == []
        whole = reader.totals(ALL, WHOLE_KEY)
        while store.prune(Retention(900, 0), NOON + 5 * 400):
            pass
        left = reader.count(ALL)
        gone = list(reader.remainders())
    assert 0 < left < 6
    assert sum(total.requests for total in gone) == 6 - left
    assert sum(total.list_value for total in gone) == (6 - left) * 5_000_000
    assert {total.key for total in gone} <= {total.key for total in whole}


def test_what_is_damaged_is_told(path: Path, reader: SqliteReader) -> None:
    with contextlib.closing(SqliteStore(path)) as store:
        store.write([with_bodies(1, conversation(3)), with_bodies(2, conversation(3))])
        assert reader.faults() == []
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM content WHERE block = 2")
        connection.execute("UPDATE exchange SET more = x'00' WHERE number = 2")
    assert reader.faults() == [f"{record(n).id}: block 2 of a body is missing" for n in (1, 2)]
    for ask in (lambda: reader.bodies(record(1).id), lambda: reader.record(record(2).id)):
        with pytest.raises(LedgerCorrupt, match=r"ledger\.db cannot be read: .*(missing|damaged)"):
            ask()

"""What is let go goes in steps that are small in rows and in bytes."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from claude_proxy.ledger.record import Bodies, Kept
from claude_proxy.ledger.retention import STEP_BYTES, STEP_ROWS
from claude_proxy.ledger.sqlite import SqliteStore
from claude_proxy.ledger.store import Change, Retention
from tests.ledger.contract import ALL
from tests.ledger.made_records import NOON, conversation, record, with_bodies

LATER = NOON + 1e6
OLD = Retention(1, 0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "ledger.db")
    yield store
    store.close()


def count(store: SqliteStore) -> int:
    reader = store.reader()
    found = reader.count(ALL)
    reader.close()
    return found


def test_a_step_is_of_so_many_rows(store: SqliteStore) -> None:
    store.write([Change(record(number)) for number in range(STEP_ROWS * 2 + 1)])
    left = []
    while store.prune(OLD, LATER):
        left.append(count(store))
    assert left == [STEP_ROWS + 1, 1, 0]


def test_a_step_is_of_so_many_bytes_and_of_one_record_at_least(store: SqliteStore) -> None:
    chance = random.Random(1)
    for number in range(5):
        answer = chance.randbytes(STEP_BYTES // 2 + 1 if number else STEP_BYTES * 2)
        store.write([Change(record(number, kept=Kept.WHOLE), Bodies(answer=answer))])
    left = []
    while store.prune(OLD, LATER):
        left.append(count(store))
    assert list(dict.fromkeys(left)) == [4, 3, 2, 1, 0]


def test_blocks_go_in_steps_too(store: SqliteStore) -> None:
    store.write([with_bodies(1, conversation(STEP_ROWS * 3))])
    blocks = []
    reader = store.reader()
    while store.prune(OLD, LATER):
        blocks.append(reader.condition().blocks)
    reader.close()
    assert blocks == [STEP_ROWS * 3 + 1, STEP_ROWS * 2 + 1, STEP_ROWS + 1, 1, 0]


def test_a_block_stays_while_a_later_request_is_made_of_it(store: SqliteStore) -> None:
    day = 24 * 3600
    store.write([with_bodies(1, conversation(5), accepted=NOON), with_bodies(2, conversation(3), accepted=NOON + day)])
    while store.prune(Retention(day / 2, 0), NOON + day):
        pass
    reader = store.reader()
    found = reader.bodies(record(2).id)
    assert found is not None
    assert found.request == conversation(3)
    assert (reader.condition().blocks, reader.faults()) == (4, [])
    reader.close()

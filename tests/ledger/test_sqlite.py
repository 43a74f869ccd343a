"""The ledger in an SQLite file keeps the contract, and its conversations cost little."""

import contextlib
import json
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from claude_proxy.ledger.sqlite import SqliteStore
from claude_proxy.ledger.store import LedgerBusy, Retention
from tests.ledger.contract import ALL, LedgerContract
from tests.ledger.made_records import NOON, conversation, record, with_bodies


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "share" / "ledger.db"


@pytest.fixture(name="store")
def an_empty_one(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path, busy_timeout=0.05)
    yield store
    store.close()


class TestSqlite(LedgerContract):
    @pytest.fixture
    def store(self, path: Path) -> Iterator[SqliteStore]:
        store = SqliteStore(path, busy_timeout=0.05)
        yield store
        store.close()


def session(turns: int, last: int) -> Iterator[tuple[bytes, bytes]]:
    """Requests and answers of a session as Claude Code holds it: the mark of the cache moves on with each turn, and
    the last request has that many bytes. Its words are English in frequency only, so that little of it repeats."""
    chance = random.Random(7)
    words = ["".join(chance.choices("etaoinshrdlucmfw", k=chance.randint(2, 9))) for _ in range(4000)]

    def said(size: int) -> str:
        return " ".join(chance.choices(words, k=size // 6))

    tools = [{"name": f"Tool{n}", "description": said(1500), "input_schema": {"type": "object"}} for n in range(25)]
    system = [{"type": "text", "text": said(6000), "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    each = (last - 60_000) // turns
    messages: list[dict[str, object]] = []
    for turn in range(turns):
        result = {"type": "tool_result", "tool_use_id": f"toolu_{turn:08}", "content": said(each * 3 // 4)}
        marked = {**result, "cache_control": {"type": "ephemeral", "ttl": "1h"}}
        body = {
            "model": "claude-opus-4-8",
            "messages": [*messages, {"role": "user", "content": [marked]}],
            "system": system,
            "tools": tools,
            "metadata": {"user_id": "someone"},
            "stream": True,
        }
        answer = said(each // 5)
        events = [
            f'event: content_block_delta\ndata: {{"type":"content_block_delta","index":0,"delta":'
            f'{{"type":"text_delta","text":"{answer[at : at + 24]}"}}}}\n\n'
            for at in range(0, len(answer), 24)
        ]
        yield json.dumps(body, separators=(",", ":")).encode(), "".join(events).encode()
        messages += [
            {"role": "user", "content": [result]},
            {"role": "assistant", "content": [{"type": "text", "text": answer}]},
        ]


def test_a_session_of_150_turns_costs_less_than_twice_its_last_request(store: SqliteStore, path: Path) -> None:
    whole = 0
    for turn, (request, answer) in enumerate(session(150, 800_000)):
        store.write([with_bodies(turn, request, answer)])
        whole += len(request) + len(answer)
    assert 780_000 < len(request) < 830_000
    assert whole > 50_000_000
    reader = store.reader()
    last = reader.bodies(record(149).id)
    used = reader.condition().used
    reader.close()
    assert last is not None
    assert (last.request, last.answer) == (request, answer)
    print(f"{whole} bytes of bodies, the last request {len(request)}: {used} bytes of database")
    assert used < 1_500_000


def test_a_file_is_the_user_s_alone_and_so_is_its_directory(store: SqliteStore, path: Path) -> None:
    store.write([with_bodies(1, conversation(3))])
    names = sorted(file.name for file in path.parent.iterdir())
    assert names == ["ledger.db", "ledger.db-shm", "ledger.db-wal"]
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_ledger_that_another_process_has_locked_is_busy_and_can_be_written_afterwards(
    store: SqliteStore, path: Path
) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerBusy, match="another process holds it locked"):
        store.write([with_bodies(1, conversation(3))])
    other.execute("ROLLBACK")
    other.close()
    store.write([with_bodies(1, conversation(3))])
    reader = store.reader()
    assert reader.count(ALL) == 1
    reader.close()


def test_two_processes_may_write_to_one_ledger(store: SqliteStore, path: Path) -> None:
    """As they do while one hands over to the next: blocks that the other has stored, or let go, are looked up anew."""
    other = SqliteStore(path)
    for number in range(1, 9):
        (store, other)[number % 2].write([with_bodies(number, conversation(number), accepted=NOON)])
    while other.prune(Retention(1, 0), NOON + 100):
        pass
    store.write([with_bodies(20, conversation(9))])
    reader = other.reader()
    found = reader.bodies(record(20).id)
    assert found is not None
    assert found.request == conversation(9)
    assert reader.faults() == []
    reader.close()
    other.close()


def test_space_that_was_let_go_is_given_back_but_for_some_that_will_be_needed(store: SqliteStore, path: Path) -> None:
    chance = random.Random(1)
    for number in range(30):
        store.write([with_bodies(number, b"{}", chance.randbytes(500_000))])
    while store.prune(Retention(1, 0), NOON + 1e6):
        pass
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert path.stat().st_size < 5_000_000
    store.vacuum()
    assert path.stat().st_size < 200_000


def test_what_is_cleared_is_overwritten(store: SqliteStore, path: Path) -> None:
    for number in range(200):
        store.write([with_bodies(number, conversation(2), endpoint="/v1/FAKE-path", project="/FAKE-path")])
    assert any(b"FAKE-path" in file.read_bytes() for file in path.parent.iterdir())
    store.clear()
    assert not [file for file in path.parent.iterdir() if b"FAKE-path" in file.read_bytes()]

"""The recorder writes behind a bounded queue; a fault of the disk keeps its thread waiting and nobody else."""

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from claude_proxy.exchange import Exchange, Transcript
from claude_proxy.ledger.cost import Cost
from claude_proxy.ledger.record import ExchangeRecord
from claude_proxy.ledger.settings import LedgerSettings
from claude_proxy.ledger.sqlite import SqliteStore
from claude_proxy.ledger.sqlite_file import set_aside
from claude_proxy.ledger.sqlite_reader import SqliteReader
from claude_proxy.ledger.store import Change, Filter, LedgerStore, Retention
from claude_proxy.observers.recorder import Recorder
from claude_proxy.observers.recording import Recording
from tests.client_requests import message_request
from tests.observers.closed_exchanges import exchange

ALL = Filter()


def until(condition: Callable[[], bool]) -> None:
    """Waits for the recorder's thread, which announces nothing."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class Recorded:
    """A recorder before a ledger of the test."""

    def __init__(self, path: Path, **settings: Any) -> None:
        values: dict[str, Any] = {
            "enabled": True,
            "path": path,
            "retention": Retention(0, 0),
            "bodies": True,
            "max_answer": 1 << 20,
            "max_request": 16 << 20,
            "flush_interval": 0.01,
            "queue_records": 100,
            "queue_size": 1 << 20,
            **settings,
        }
        self.path = path
        self.reader = SqliteReader(path)
        self.recorder = Recorder(
            LedgerSettings(**values), Recording(lambda: (), lambda _: Cost()), self.open, lambda: set_aside(path)
        )

    def open(self, breathe: Callable[[], None]) -> LedgerStore:
        return SqliteStore(self.path, busy_timeout=0.02, breathe=breathe)

    def gives(self) -> list[float]:
        """For how long, each time that it gives way to the loop."""
        given: list[float] = []
        self.recorder._await_rest = given.append
        return given

    def exchange(self, number: int, text: str = "say hi") -> Exchange:
        of = exchange(message_request(text=text), id=f"req_cp_{number}")
        of.transcript = Transcript(1000)
        of.transcript.add(b"{}")
        return of

    def record(self, *numbers: int) -> None:
        for number in numbers:
            of = self.exchange(number)
            self.recorder.began(of)
            self.recorder.closed(of)

    @property
    def found(self) -> list[ExchangeRecord]:
        return self.reader.records(ALL, 1000, oldest_first=True)

    def close(self) -> None:
        self.recorder.close()
        self.reader.close()


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[Recorded]:
    with contextlib.closing(Recorded(tmp_path / "ledger.db")) as recorded:
        recorded.recorder.start()
        yield recorded


def test_what_is_handed_over_is_written(recorded: Recorded) -> None:
    recorded.record(1, 2, 3)
    until(lambda: recorded.recorder.state.written == 3)
    assert [(one.id, one.end) for one in recorded.found] == [(f"req_cp_{n}", "complete") for n in (1, 2, 3)]
    until(lambda: recorded.recorder.state.waiting == 0)
    assert recorded.recorder.state == (3, 0, 0, 0, 0)


def test_a_file_is_made_with_the_first_record_and_not_before(recorded: Recorded) -> None:
    assert not recorded.path.exists()
    recorded.record(1)
    until(lambda: recorded.recorder.state.written == 1)
    assert recorded.path.exists()


def test_an_end_whose_beginning_was_not_told_is_whole(recorded: Recorded) -> None:
    recorded.recorder.closed(recorded.exchange(1))
    until(lambda: recorded.recorder.state.written == 1)
    bodies = recorded.reader.bodies("req_cp_1")
    assert bodies is not None
    assert (bodies.request, bodies.answer) == (message_request().text, b"{}")


class Noting(SqliteStore):
    """Knows which changes it was asked to write."""

    def __init__(self, path: Path, changes: list[Change]) -> None:
        super().__init__(path)
        self._changes = changes

    def write(self, changes: Sequence[Change]) -> None:
        self._changes += changes
        super().write(changes)


def test_what_has_begun_and_ended_meanwhile_is_written_once_and_whole(tmp_path: Path) -> None:
    changes: list[Change] = []

    class Noted(Recorded):
        def open(self, breathe: Callable[[], None]) -> LedgerStore:
            return Noting(self.path, changes)

    recorded = Noted(tmp_path / "ledger.db")
    recorded.record(1)
    recorded.recorder.began(recorded.exchange(2))
    recorded.recorder.start()
    recorded.close()
    assert [(change.record.id, change.record.end) for change in changes] == [
        ("req_cp_1", "complete"),
        ("req_cp_2", None),
    ]
    with contextlib.closing(SqliteReader(recorded.path)) as reader:
        bodies = reader.bodies("req_cp_1")
    assert bodies is not None
    assert (bodies.request, bodies.answer) == (message_request().text, b"{}")


def test_what_waits_when_it_closes_is_written(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path / "ledger.db", flush_interval=3600.0)
    recorded.recorder.start()
    recorded.record(*range(50))
    recorded.recorder.close()
    assert len(recorded.found) == 50
    assert all(one.end for one in recorded.found)
    recorded.reader.close()


def test_what_would_hold_much_memory_until_then_is_written_at_once(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path / "ledger.db", flush_interval=3600.0, queue_size=64 << 20)
    recorded.recorder.start()
    with contextlib.closing(recorded):
        for number in range(4):
            recorded.recorder.closed(recorded.exchange(number, "x" * (2 << 20)))
        until(lambda: recorded.recorder.state.written == 4)
        recorded.record(4)
        assert recorded.recorder.state.waiting == 2  # the next one waits again


def test_what_comes_while_it_writes_is_gathered_like_the_rest(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path / "ledger.db", flush_interval=3600.0, queue_size=64 << 20)
    written: list[tuple[int, bool]] = []

    class Slow(SqliteStore):
        def write(self, changes: Sequence[Change]) -> None:
            if not written:
                recorded.record(1)
            written.append((len(changes), recorded.recorder._stopping.is_set()))
            super().write(changes)

    recorded.recorder._open_store = lambda breathe: Slow(recorded.path, breathe=breathe)
    recorded.recorder.start()
    recorded.recorder.closed(recorded.exchange(0, "x" * (9 << 20)))
    until(lambda: recorded.recorder.state.written == 1)
    recorded.close()
    assert written == [(1, False), (1, True)], "the second waited for its own interval, until it was to stop"


def test_what_waits_is_written_although_it_is_told_to_stop_before_it_has_begun(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path / "ledger.db")
    recorded.record(1, 2)
    recorded.recorder._stopping.set()
    recorded.recorder.start()
    recorded.close()
    assert recorded.recorder.state.written == 2


def test_an_exchange_whose_end_is_dropped_is_not_remembered(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path / "ledger.db", queue_records=1)
    of = recorded.exchange(1)
    recorded.recorder.began(of)
    recorded.recorder.closed(of)
    recorded.recorder.start()
    until(lambda: recorded.recorder.state.waiting == 0)
    recorded.close()
    assert not recorded.recorder._begun
    assert [one.end for one in Recorded(recorded.path).found] == [None]


def test_more_than_may_wait_is_dropped_counted_and_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recorded = Recorded(tmp_path / "ledger.db", queue_records=4)
    with caplog.at_level(logging.INFO):
        recorded.record(1, 2, 3, 4, 5)  # two of each, and nobody takes them
    assert (recorded.recorder.state.waiting, recorded.recorder.state.dropped) == (4, 6)
    assert [one.message for one in caplog.records] == ["ledger_records_dropped"]
    recorded.recorder.start()
    until(lambda: recorded.recorder.state.written == 2)
    recorded.record(6)
    until(lambda: recorded.recorder.state.written == 3)
    assert [one.id for one in recorded.found] == ["req_cp_1", "req_cp_2", "req_cp_6"]
    recorded.close()


def test_the_queue_is_bounded_in_bytes_too(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path / "ledger.db", queue_size=10_000)
    large = recorded.exchange(1, "x" * 20_000)
    recorded.recorder.began(large)  # one of any size may wait
    recorded.recorder.began(recorded.exchange(2))
    assert recorded.recorder.state.dropped == 1
    assert recorded.recorder.state.waiting_bytes == len(large.request.body)
    recorded.recorder.start()
    recorded.close()


def test_a_ledger_that_is_locked_is_written_when_it_is_free_again(
    recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    recorded.record(1)
    until(lambda: recorded.recorder.state.written == 1)
    other = sqlite3.connect(recorded.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with caplog.at_level(logging.INFO):
        recorded.record(2)
        until(lambda: recorded.recorder.state.failures >= 2)
        assert [one.message for one in caplog.records] == ["ledger_waits"]
        assert "locked" in str(caplog.records[0].__dict__["fields"]["cause"])
        other.execute("ROLLBACK")
        other.close()
        until(lambda: recorded.recorder.state.written == 2)
    assert [one.message for one in caplog.records] == ["ledger_waits", "ledger_goes_on"]
    assert [one.end for one in recorded.found] == ["complete"] * 2
    assert recorded.recorder.state.dropped == 0


def test_a_damaged_ledger_is_set_aside_by_name_and_a_new_one_begun(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recorded = Recorded(tmp_path / "ledger.db")
    recorded.path.write_bytes(b"no ledger at all" * 1000)
    with caplog.at_level(logging.INFO):
        recorded.recorder.start()
        recorded.record(1)
        until(lambda: recorded.recorder.state.written == 1)
    (told,) = [one.__dict__["fields"] for one in caplog.records if one.message == "ledger_set_aside"]
    aside = Path(told["file"])
    assert aside.parent == tmp_path
    assert aside.read_bytes().startswith(b"no ledger at all")
    assert len(recorded.found) == 1
    recorded.close()


def test_a_ledger_that_is_damaged_while_it_is_in_use_is_set_aside_too(
    recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    recorded.record(*range(40))
    until(lambda: recorded.recorder.state.written == 40)
    with contextlib.closing(sqlite3.connect(recorded.path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    recorded.recorder._store = None  # as a daemon that has not read the file's pages yet
    size = recorded.path.stat().st_size
    with recorded.path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    with caplog.at_level(logging.INFO):
        recorded.record(100)
        until(lambda: recorded.recorder.state.written == 41)
    assert "ledger_set_aside" in [one.message for one in caplog.records]
    assert [one.id for one in recorded.found] == ["req_cp_100"]


def test_a_newer_ledger_is_left_alone_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recorded = Recorded(tmp_path / "ledger.db")
    with contextlib.closing(sqlite3.connect(recorded.path)) as connection:
        connection.execute("CREATE TABLE x (y)")
        connection.execute("PRAGMA user_version = 9999")
    with caplog.at_level(logging.INFO):
        recorded.record(1)
        recorded.recorder.start()
        until(lambda: recorded.recorder.state.dropped == 1)
    told = [one for one in caplog.records if one.message == "ledger_unusable"]
    assert len(told) == 1
    assert "newer claude-proxy" in told[0].__dict__["fields"]["cause"]
    recorded.recorder.close()
    with contextlib.closing(sqlite3.connect(recorded.path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (9999,)


def test_a_ledger_that_was_removed_is_begun_anew(recorded: Recorded) -> None:
    recorded.record(1)
    until(lambda: recorded.recorder.state.written == 1)
    for file in recorded.path.parent.iterdir():
        file.unlink()
    recorded.record(2)
    until(lambda: recorded.recorder.state.written == 2)
    assert [one.id for one in recorded.found] == ["req_cp_2"]


def test_handing_over_does_not_wait_for_the_disk(tmp_path: Path) -> None:
    """The store's thread is held up; what observes goes on all the same."""
    recorded = Recorded(tmp_path / "ledger.db")
    gate, in_it = threading.Event(), threading.Event()

    def hold(breathe: Callable[[], None]) -> LedgerStore:
        in_it.set()
        gate.wait(10)
        return recorded.open(breathe)

    recorded.recorder._open_store = hold
    recorded.recorder.start()
    recorded.record(1)
    assert in_it.wait(10)
    recorded.record(2, 3)
    assert recorded.recorder.state.waiting == 6
    gate.set()
    until(lambda: recorded.recorder.state.written == 3)
    recorded.close()


def test_records_go_when_their_time_is_over(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path / "ledger.db", retention=Retention(1.0, 0))
    recorded.record(1)
    recorded.recorder.start()
    until(lambda: recorded.recorder.state.written == 1)
    recorded.recorder._clock = lambda: 1_800_000_100.0

    def gone() -> bool:
        # Asked for again and again: the thread may have begun a look by the older clock.
        recorded.recorder._next_prune = 0.0
        recorded.recorder._news.set()
        return not recorded.found

    until(gone)
    assert recorded.reader.totals(ALL)[0].requests == 1
    recorded.close()


def test_it_gives_way_to_the_loop_unless_the_queue_could_overflow(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path / "ledger.db", queue_records=40)
    given = recorded.gives()
    recorded.record(1, 2, 3, 4)
    recorded.recorder._give_way(0.1)
    assert given == [0.1]
    recorded.record(5)
    recorded.recorder._give_way(0.2)
    assert given == [0.1]
    recorded.recorder.settings = replace(recorded.recorder.settings, queue_records=1000)
    recorded.recorder._give_way(0.3)
    assert given == [0.1, 0.3]
    recorded.recorder.settings = replace(recorded.recorder.settings, queue_size=100)
    recorded.recorder._give_way(0.4)
    assert given == [0.1, 0.3]


def test_it_gives_way_while_it_writes_and_to_nobody_at_its_end(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path / "ledger.db")
    given = recorded.gives()
    recorded.record(1)
    recorded.recorder.start()
    until(lambda: recorded.recorder.state.written == 1)
    assert given
    recorded.close()
    given.clear()
    recorded.recorder._give_way(0.1)
    assert not given


def test_nothing_of_an_exchange_is_held_once_it_is_written(recorded: Recorded) -> None:
    recorded.record(1)
    until(lambda: recorded.recorder.state.waiting == 0)
    assert not recorded.recorder._begun
    assert not recorded.recorder._queue

"""The ledger in an SQLite file: what one thread writes."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from claude_proxy.ledger.blocks import EPOCH, Cutting, Redaction
from claude_proxy.ledger.packing import pack
from claude_proxy.ledger.record import Bodies, ExchangeRecord, Kept
from claude_proxy.ledger.retention import prune_step
from claude_proxy.ledger.rows import COLUMNS, KEY, SUMS, row
from claude_proxy.ledger.sqlite_file import open_to_write, told
from claude_proxy.ledger.sqlite_reader import SqliteReader, remainders
from claude_proxy.ledger.store import BUCKET, Change, LedgerBusy, Retention, Total
from claude_proxy.wire.headers import Headers
from claude_proxy.wire.usage import COUNTS

_INSERT = "INSERT INTO exchange ({}, epoch) VALUES ({}?)".format(
    ", ".join(f'"{name}"' for name in COLUMNS), "?, " * len(COLUMNS)
)
_UPDATE = "UPDATE exchange SET {}, epoch = ? WHERE number = ?".format(", ".join(f'"{name}" = ?' for name in COLUMNS))
_ADD = "INSERT INTO usage ({}, {}) VALUES ({}) ON CONFLICT DO UPDATE SET {}".format(
    ", ".join(KEY),
    ", ".join(SUMS),
    ", ".join("?" * (len(KEY) + len(SUMS))),
    ", ".join(f"{name} = {name} + excluded.{name}" for name in SUMS),
)
_TABLES = ("exchange", "body", "block", "content", "conversation", "usage")
_SPARE_PAGES = 1024
_PAGES_AT_ONCE = 128
_BODIES = ("request_headers", "request", "answer_headers", "answer")


class SqliteStore:
    """See `LedgerStore`. `breathe` is called where a long piece of work may pause.

    Two processes may write to one file, as they do while one hands over to the next: each transaction waits for the
    other's for up to `busy_timeout` seconds, and takes nothing for granted that was read before it.
    """

    def __init__(self, path: Path, *, busy_timeout: float = 1.0, breathe: Callable[[], object] = lambda: None) -> None:
        """Opens the file, or makes it. Raises LedgerError."""
        self.path = path
        self._busy_timeout = busy_timeout
        self._breathe = breathe
        self._connection = open_to_write(path, busy_timeout)
        self._inode = _inode(path)

    def write(self, changes: Sequence[Change]) -> None:
        cuttings = [
            Cutting(change.bodies.request, self._breathe)
            if change.bodies is not None and change.bodies.request is not None
            else None
            for change in changes
        ]
        with self._transaction():
            for change, cutting in zip(changes, cuttings, strict=True):
                self._write(change, cutting)
                self._breathe()

    def _write(self, change: Change, cutting: Cutting | None) -> None:
        record, connection = change.record, self._connection
        found = connection.execute('SELECT number, "end", altered FROM exchange WHERE id = ?', (record.id,)).fetchone()
        number, end, was_altered = found or (None, None, 0)
        if end is not None:
            return  # it has ended, and ends once
        redaction = Redaction(change.secrets, self._breathe)
        epoch = int(record.accepted // EPOCH)
        bodies, altered = self._bodies(change.bodies, cutting, epoch, redaction)
        of_conversation = self._of_conversation(record, is_new=number is None)
        record = record if change.as_it_is else of_conversation
        if (altered or was_altered) and not record.altered:
            record = replace(record, altered=True)
        values = [*row(record), None if record.kept in {Kept.NONE, Kept.PRUNED} else epoch]
        if number is None:
            number = connection.execute(_INSERT, values).lastrowid
        else:
            connection.execute(_UPDATE, [*values, number])
        if bodies:
            names = ", ".join(bodies)
            marks = ", ".join("?" * len(bodies))
            sets = ", ".join(f"{name} = excluded.{name}" for name in bodies)
            # The names are of _BODIES.
            statement = f"INSERT INTO body (exchange, {names}) VALUES (?, {marks}) ON CONFLICT DO UPDATE SET {sets}"
            connection.execute(statement, (number, *bodies.values()))
        if record.end is not None:
            connection.execute(_ADD, [*_key(record), *_sums(record)])

    def _bodies(
        self, bodies: Bodies | None, cutting: Cutting | None, epoch: int, redaction: Redaction
    ) -> tuple[Mapping[str, bytes], bool]:
        """The columns of the bodies that are there, and whether a secret was replaced in one."""
        columns: dict[str, bytes] = {}
        if bodies is None:
            return columns, False
        if bodies.request_headers is not None:
            columns["request_headers"] = pack(redaction(_written(bodies.request_headers)))
        if bodies.answer_headers is not None:
            columns["answer_headers"] = pack(redaction(_written(bodies.answer_headers)))
        altered = False
        if cutting is not None:
            stored = cutting.store(self._connection, epoch, redaction, self._breathe)
            columns["request"] = stored.packed
            altered = altered or stored.altered
        if bodies.answer is not None:
            redaction.altered = False
            columns["answer"] = pack(redaction(bodies.answer))
            altered = altered or redaction.altered
        return columns, altered

    def _of_conversation(self, record: ExchangeRecord, *, is_new: bool) -> ExchangeRecord:
        """Takes note of the record in its conversation, which knows the project that the record may not name."""
        if record.conversation is None:
            return record
        connection = self._connection
        if is_new:
            leads = record.agent is None and record.background is None
            connection.execute(
                """
                INSERT INTO conversation (id, session, began, last, requests, first_message, project, model)
                VALUES (:id, :session, :at, :at, 1, :first, :project, :model)
                ON CONFLICT (id) DO UPDATE SET
                    began = min(began, :at), last = max(last, :at), requests = requests + 1,
                    first_message = coalesce(first_message, :first), project = coalesce(project, :project),
                    model = CASE WHEN :leads AND :at >= last OR model = '' THEN :model ELSE model END
                """,
                {
                    "id": record.conversation,
                    "session": record.session,
                    "at": record.accepted,
                    "first": record.first_message,
                    "project": record.project,
                    "model": record.asked_model,
                    "leads": leads,
                },
            )
        if record.project is not None:
            return record
        known = connection.execute("SELECT project FROM conversation WHERE id = ?", (record.conversation,)).fetchone()
        return replace(record, project=known[0]) if known and known[0] is not None else record

    def add_totals(self, totals: Sequence[Total]) -> int:
        with self._transaction():
            there = {total.key for total in remainders(self._connection)}
            new = [total for total in totals if total.key not in there]
            for total in new:
                key = ["" if value is None else value for value in total.key]
                self._connection.execute(_ADD, [*key, *(getattr(total, name) for name in SUMS)])
        return len(new)

    def prune(self, retention: Retention, now: float) -> bool:
        with self._transaction():
            did = prune_step(self._connection, retention, now)
        return did or self._give_space_back()

    def _give_space_back(self) -> bool:
        """Some pages that nothing uses; a few stay for what comes next."""
        with told(self.path):
            if self._connection.execute("PRAGMA freelist_count").fetchone()[0] <= _SPARE_PAGES:
                return False
            # Not `execute`: that would take one step of it, and so give back one page.
            self._connection.executescript(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE});")
        return True

    def clear(self) -> int:
        """As `LedgerStore.clear`; what is forgotten is overwritten, in the file and, if nobody reads, in its log."""
        with told(self.path):
            self._connection.execute("PRAGMA secure_delete = 1").fetchall()
        try:
            with self._transaction():
                records: int = self._connection.execute("SELECT count(*) FROM exchange").fetchone()[0]
                for table in _TABLES:
                    self._connection.execute(f"DELETE FROM {table}")
        finally:
            with told(self.path):
                self._connection.execute("PRAGMA secure_delete = FAST").fetchall()
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return records

    def vacuum(self) -> None:
        """Gives all free space back to the disk; long, and not to be done while a daemon writes."""
        with told(self.path):
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def reader(self) -> SqliteReader:
        return SqliteReader(self.path, busy_timeout=self._busy_timeout)

    def close(self) -> None:
        with told(self.path):
            self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        connection = self._connection
        if _inode(self.path) != self._inode:
            raise LedgerBusy(f"the ledger {self.path} was removed or replaced, and has to be opened anew")
        with told(self.path):
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # SQLite ends it by itself where the disk is full
                    connection.execute("ROLLBACK")
                raise


def _inode(path: Path) -> int:
    with told(path):
        return path.stat().st_ino


def _key(record: ExchangeRecord) -> list[Any]:
    named: dict[str, Any] = {
        "bucket": int(record.accepted // BUCKET) * BUCKET,
        "agent": int(record.agent is not None),
    }
    return [named[name] if name in named else getattr(record, name) or "" for name in KEY]


def _sums(record: ExchangeRecord) -> list[int]:
    named = {
        "requests": 1,
        "failures": int(record.end != "complete"),
        "total_ms": record.total_ms or 0,
        "list_value": record.list_value or 0,
        "billed": record.billed or 0,
        "covered": record.covered or 0,
        "unpriced_tokens": record.unpriced_tokens,
        "unpriced_requests": int(record.unpriced_tokens > 0),
    }
    named.update((name, getattr(record.usage, name) or 0) for name in COUNTS)
    return [named[name] for name in SUMS]


def _written(headers: Headers) -> bytes:
    return json.dumps(headers, separators=(",", ":")).encode()

"""Changes on their way into an SQLite file, gathered by table: each table is written at once, and not row by row."""

import sqlite3
from collections.abc import Sequence
from operator import add as plus
from typing import Any, NamedTuple

from msgspec.structs import replace

from claude_proxy.ledger.blocks import EPOCH, Blocks
from claude_proxy.ledger.packing import pack_both
from claude_proxy.ledger.pieces import Cut
from claude_proxy.ledger.record import Bodies, ExchangeRecord, Kept
from claude_proxy.ledger.redaction import Redaction
from claude_proxy.ledger.rows import COLUMNS, KEY, SUMS, encoded, key, row, sums
from claude_proxy.ledger.sqlite_file import rows_in
from claude_proxy.ledger.store import Change
from claude_proxy.wire.headers import Headers

# What an exchange begins with does not change until its end: the indexes over it need not be written twice.
_FIXED = {"id", "accepted", "endpoint", "asked_model", "session", "conversation", "agent"}
_EXCHANGE = "INSERT INTO exchange ({}, epoch, number) VALUES ({}?, ?) ON CONFLICT (number) DO UPDATE SET {}".format(
    ", ".join(f'"{name}"' for name in COLUMNS),
    "?, " * len(COLUMNS),
    ", ".join(f'"{name}" = excluded."{name}"' for name in (*COLUMNS, "epoch") if name not in _FIXED),
)
_BODY = """
INSERT INTO body (exchange, request, answer) VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET request = coalesce(excluded.request, request), answer = coalesce(excluded.answer, answer)
"""
_CONVERSATION = """
INSERT INTO conversation (id, session, began, last, requests, first_message, project, model)
VALUES (?1, ?2, ?3, ?3, 1, ?4, ?5, ?6)
ON CONFLICT (id) DO UPDATE SET
    began = min(began, ?3), last = max(last, ?3), requests = requests + 1,
    first_message = coalesce(first_message, ?4), project = coalesce(project, ?5),
    model = CASE WHEN ?7 AND ?3 >= last OR model = '' THEN ?6 ELSE model END
"""
ADD = "INSERT INTO usage ({}, {}) VALUES ({}) ON CONFLICT DO UPDATE SET {}".format(
    ", ".join(KEY),
    ", ".join(SUMS),
    ", ".join("?" * (len(KEY) + len(SUMS))),
    ", ".join(f"{name} = {name} + excluded.{name}" for name in SUMS),
)
"""Adds SUMS to the usage under KEY."""


class _There(NamedTuple):
    """What the ledger has of an exchange."""

    number: int
    end: str | None
    altered: int


class Batch:
    """All within a transaction of the caller's: made when it begins, `write` before it ends."""

    def __init__(
        self, connection: sqlite3.Connection, blocks: Blocks, changes: Sequence[Change], cuts: Sequence[Cut | None]
    ) -> None:
        self._connection = connection
        self._blocks = blocks
        blocks.look_up(cut for cut in cuts if cut is not None)
        records = [change.record for change in changes]
        question = 'SELECT id, number, "end", altered FROM exchange WHERE id IN'
        self._there = {
            of: _There(*there) for of, *there in rows_in(connection, question, {record.id for record in records})
        }
        self._last = connection.execute("SELECT max(number) FROM exchange").fetchone()[0] or 0
        question = "SELECT id, project FROM conversation WHERE id IN"
        asked = {record.conversation for record in records if record.project is None and record.conversation}
        self._projects: dict[str, str | None] = dict(rows_in(connection, question, asked))
        self._exchange: list[Sequence[Any]] = []
        self._body: list[Sequence[Any]] = []
        self._conversation: list[Sequence[Any]] = []
        self._usage: dict[tuple[Any, ...], tuple[int, ...]] = {}

    def add(self, change: Change, cut: Cut | None, redaction: Redaction) -> None:
        """A change, and its request's body as it was cut."""
        record = change.record
        there = self._there.get(record.id)
        if there is not None and there.end is not None:
            return  # it has ended, and ends once
        epoch = int(record.accepted // EPOCH)
        request, answer, altered = self._bodies(change.bodies, cut, epoch, redaction)
        of_conversation = self._of_conversation(record, is_new=there is None)
        record = record if change.as_it_is else of_conversation
        if (altered or (there is not None and there.altered)) and not record.altered:
            record = replace(record, altered=True)
        if there is None:
            self._last += 1
        number = self._last if there is None else there.number
        self._there[record.id] = _There(number, record.end, record.altered)
        self._exchange.append((*row(record), None if record.kept in {Kept.NONE, Kept.PRUNED} else epoch, number))
        if request is not None or answer is not None:
            self._body.append((number, request, answer))
        if record.end is not None:
            of, new = key(record), sums(record)
            before = self._usage.get(of)
            self._usage[of] = new if before is None else tuple(map(plus, before, new))

    def write(self) -> None:
        self._blocks.write()
        self._connection.executemany(_EXCHANGE, self._exchange)
        self._connection.executemany(_BODY, self._body)
        self._connection.executemany(_CONVERSATION, self._conversation)
        self._connection.executemany(ADD, [(*of, *its_sums) for of, its_sums in self._usage.items()])

    def _bodies(
        self, bodies: Bodies | None, cut: Cut | None, epoch: int, redaction: Redaction
    ) -> tuple[bytes | None, bytes | None, bool]:
        """The columns of the request and of the answer, and whether a secret was replaced in one of their bodies."""
        if bodies is None:
            return None, None, False
        recipe, altered = (None, False) if cut is None else self._blocks.store(cut, epoch, redaction)
        request = pack_both(_clean_headers(bodies.request_headers, redaction), recipe)
        headers = _clean_headers(bodies.answer_headers, redaction)
        redaction.altered = altered
        answer = pack_both(headers, None if bodies.answer is None else redaction(bodies.answer))
        return request, answer, redaction.altered

    def _of_conversation(self, record: ExchangeRecord, *, is_new: bool) -> ExchangeRecord:
        """Takes note of the record in its conversation, which knows the project that the record may not name."""
        of = record.conversation
        if of is None:
            return record
        known = self._projects.get(of)
        if is_new:
            known = self._projects[of] = record.project if known is None else known
            leads = record.agent is None and record.background is None
            about = (of, record.session, record.accepted, record.first_message, record.project, record.asked_model)
            self._conversation.append((*about, leads))
        return record if record.project is not None or known is None else replace(record, project=known)


def _clean_headers(headers: Headers | None, redaction: Redaction) -> bytes | None:
    return None if headers is None else redaction(encoded(headers))

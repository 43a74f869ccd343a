"""The ledger in an SQLite file, as others read it: a connection of their own that cannot write."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from claude_proxy.ledger.blocks import body_of
from claude_proxy.ledger.packing import unpack_both
from claude_proxy.ledger.record import Bodies, ExchangeRecord
from claude_proxy.ledger.retention import used
from claude_proxy.ledger.rows import COLUMNS, KEY, SUMS, record
from claude_proxy.ledger.sqlite_file import BESIDE, open_to_read, told
from claude_proxy.ledger.store import (
    BUCKET,
    WHOLE_KEY,
    By,
    Condition,
    Conversation,
    Filter,
    LedgerCorrupt,
    Place,
    Total,
)
from claude_proxy.wire.headers import Headers

_SELECT = "SELECT number, {} FROM exchange".format(", ".join(f'"{name}"' for name in COLUMNS))
_CONVERSATION = "id, session, began, last, requests, first_message, project, model, number"
_NOT_TEXT = {By.BUCKET, By.AGENT}
_MODEL = "(asked_model = ? OR model = ?)"
_HIGHEST = "\U0010ffff"
_EQUAL = ("upstream", "endpoint", "session", "conversation", "project", "organization", "end")


class SqliteReader:
    """See `LedgerReader`. The file is looked for with each question, until it is there."""

    def __init__(self, path: Path, *, busy_timeout: float = 2.0) -> None:
        self.path = path
        self._busy_timeout = busy_timeout
        self._connection: sqlite3.Connection | None = None
        self._inode = 0

    def records(
        self,
        where: Filter,
        limit: int,
        *,
        after: Place | None = None,
        offset: int = 0,
        oldest_first: bool = False,
    ) -> list[ExchangeRecord]:
        conditions, values = _conditions(where)
        if where.model is not None:
            # Looked for in the order of time, which ends with the page: two indexes would be put together and sorted.
            conditions[conditions.index(_MODEL)] = _MODEL.replace("(", "(+").replace("OR ", "OR +")
        if after is not None:
            conditions.append(f"(accepted, number) {'>' if oldest_first else '<'} (?, ?)")
            values += [after.accepted, after.number]
        order = "ASC" if oldest_first else "DESC"
        question = (
            f"{_SELECT} WHERE {' AND '.join(conditions)} ORDER BY accepted {order}, number {order} LIMIT ? OFFSET ?"
        )
        with self._asking() as connection:
            if connection is None:
                return []
            return [record(number, rest) for number, *rest in connection.execute(question, (*values, limit, offset))]

    def count(self, where: Filter) -> int:
        conditions, values = _conditions(where)
        with self._asking() as connection:
            if connection is None:
                return 0
            question = f"SELECT count(*) FROM exchange WHERE {' AND '.join(conditions)}"
            return int(connection.execute(question, values).fetchone()[0])

    def record(self, of: str) -> ExchangeRecord | None:
        with self._asking() as connection:
            if connection is None or not of:
                return None
            question = f"{_SELECT} WHERE id >= ? AND id < ? ORDER BY id LIMIT 2"
            found = connection.execute(question, (of, of + _HIGHEST)).fetchall()
            if not found or (len(found) > 1 and found[0][1] != of):
                return None
            number, *rest = found[0]
            return record(number, rest)

    def bodies(self, of: str) -> Bodies | None:
        with self._asking() as connection:
            if connection is None:
                return None
            found = connection.execute(
                """
                SELECT request, answer
                FROM exchange LEFT JOIN body ON exchange = number WHERE id = ?
                """,
                (of,),
            ).fetchone()
            if found is None:
                return None
            (request_headers, recipe), (answer_headers, answer) = map(unpack_both, found)
            request = None if recipe is None else body_of(connection, recipe)
            return Bodies(_headers(request_headers), request, _headers(answer_headers), answer)

    def totals(self, where: Filter, by: Sequence[By] = ()) -> list[Total]:
        conditions: list[str] = ["1"]
        values: list[Any] = []
        if where.since is not None:
            conditions.append("bucket > ?")
            values.append(where.since - BUCKET)
        if where.until is not None:
            conditions.append("bucket < ?")
            values.append(where.until)
        if where.model is not None:
            conditions.append("(asked_model = ? OR model = ?)")
            values += [where.model, where.model]
        for name in _EQUAL[:-1]:
            if (value := getattr(where, name)) is not None:
                conditions.append(f"{name} = ?")
                values.append(value)
        if where.agents is not None:
            conditions.append("agent = ?")
            values.append(int(where.agents))
        sums = ", ".join(f"coalesce(sum({name}), 0)" for name in SUMS)
        keys = ", ".join(by)
        question = f"SELECT {keys}{', ' if keys else ''}{sums} FROM usage WHERE {' AND '.join(conditions)}"
        if keys:
            question += f" GROUP BY {keys} ORDER BY {keys}"
        with self._asking() as connection:
            if connection is None:
                return [] if by else [Total()]
            return [_total(by, found) for found in connection.execute(question, values)]

    def remainders(self) -> Iterator[Total]:
        """Totals by WHOLE_KEY of what is not there any more as records."""
        with self._asking() as connection:
            if connection is not None:
                yield from remainders(connection)

    def conversations(
        self, where: Filter, limit: int, *, after: Place | None = None, offset: int = 0
    ) -> list[Conversation]:
        conditions: list[str] = ["1"]
        values: list[Any] = []
        for value, condition in (
            (where.since, "last >= ?"),
            (where.until, "last < ?"),
            (where.project, "project = ?"),
            (where.session, "session = ?"),
            (where.conversation, "id = ?"),
        ):
            if value is not None:
                conditions.append(condition)
                values.append(value)
        if after is not None:
            conditions.append("(last, number) < (?, ?)")
            values += [after.accepted, after.number]
        question = (
            f"SELECT {_CONVERSATION} FROM conversation WHERE {' AND '.join(conditions)} "
            "ORDER BY last DESC, number DESC LIMIT ? OFFSET ?"
        )
        with self._asking() as connection:
            if connection is None:
                return []
            return [Conversation(*found) for found in connection.execute(question, (*values, limit, offset))]

    def condition(self) -> Condition:
        size = sum(_size(f"{self.path}{end}") for end in ("", *BESIDE))
        with self._asking() as connection:
            if connection is None:
                return Condition(str(self.path), 0, 0, 0, 0, 0, 0, None, None)

            def one(question: str) -> Any:
                return connection.execute(question).fetchone()[0]

            return Condition(
                place=str(self.path),
                schema=one("PRAGMA user_version"),
                records=one("SELECT count(*) FROM exchange"),
                unfinished=one('SELECT count(*) FROM exchange WHERE "end" IS NULL'),
                blocks=one("SELECT count(*) FROM block"),
                size=size,
                used=used(connection),
                oldest=one("SELECT min(accepted) FROM exchange"),
                newest=one("SELECT max(accepted) FROM exchange"),
            )

    def faults(self) -> list[str]:
        """What is wrong with the file, by SQLite's own check and by reading every body; nothing: an empty list."""
        with self._asking() as connection:
            if connection is None:
                return []
            found = [line for (line,) in connection.execute("PRAGMA integrity_check") if line != "ok"]
            for of, request, answer in connection.execute(
                "SELECT id, request, answer FROM exchange JOIN body ON exchange = number"
            ):
                try:
                    _, recipe = unpack_both(request)
                    if recipe is not None:
                        body_of(connection, recipe)
                    unpack_both(answer)
                except ValueError as error:
                    found.append(f"{of}: {error}")
            return found

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _asking(self) -> Iterator[sqlite3.Connection | None]:
        """The connection; another where another file lies there by now, None where none does."""
        with told(self.path):
            try:
                inode = self.path.stat().st_ino
            except FileNotFoundError:
                inode = 0
            if inode != self._inode:
                self.close()
                self._inode = inode
            if self._connection is None:
                self._connection = open_to_read(self.path, self._busy_timeout)
            try:
                yield self._connection
            except ValueError as error:
                raise LedgerCorrupt(f"the ledger {self.path} cannot be read: {error}") from None


def remainders(connection: sqlite3.Connection) -> Iterator[Total]:
    """Totals by WHOLE_KEY of records that are gone: the sums less those of the records that are there."""
    of_rows = {
        "bucket": f"CAST(accepted / {BUCKET} AS INTEGER) * {BUCKET}",
        "agent": "agent IS NOT NULL",
        "requests": "1",
        "failures": "\"end\" <> 'complete'",
        "unpriced_requests": "unpriced_tokens > 0",
    }
    keys = ", ".join(KEY)
    row_keys = ", ".join(of_rows.get(name, f"coalesce({name}, '')") + f" AS {name}" for name in KEY)
    row_sums = ", ".join(f"-coalesce({of_rows.get(name, name)}, 0) AS {name}" for name in SUMS)
    question = f"""
        SELECT {keys}, {", ".join(f"sum({name})" for name in SUMS)}
        FROM (
            SELECT {keys}, {", ".join(SUMS)} FROM usage
            UNION ALL
            SELECT {row_keys}, {row_sums} FROM exchange WHERE "end" IS NOT NULL
        )
        GROUP BY {keys} HAVING sum(requests) > 0 ORDER BY {keys}
        """
    for found in connection.execute(question):
        yield _total(WHOLE_KEY, found)


def _total(by: Sequence[By], found: Sequence[Any]) -> Total:
    key = tuple(
        value if one in _NOT_TEXT else (value or (None if one not in _NEVER_NONE else ""))
        for one, value in zip(by, found, strict=False)
    )
    return Total(key, *found[len(by) :])


_NEVER_NONE = {By.ASKED_MODEL, By.MODEL, By.UPSTREAM, By.ENDPOINT}


def _conditions(where: Filter) -> tuple[list[str], list[Any]]:
    conditions: list[str] = ["1"]
    values: list[Any] = []
    for value, condition in ((where.since, "accepted >= ?"), (where.until, "accepted < ?")):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    if where.model is not None:
        conditions.append(_MODEL)
        values += [where.model, where.model]
    for name in _EQUAL:
        if (value := getattr(where, name)) is not None:
            conditions.append(f'"{name}" = ?')
            values.append(value)
    if where.end not in {None, "complete"}:
        conditions.append("\"end\" <> 'complete'")  # what has an index of its own
    if where.agents is not None:
        conditions.append(f"agent IS {'NOT ' if where.agents else ''}NULL")
    return conditions, values


def _headers(line: bytes | None) -> Headers | None:
    return None if line is None else tuple((key, value) for key, value in json.loads(line))


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except FileNotFoundError:
        return 0

"""What an SQLite ledger lets go, in steps so small that no write waits for one: old records, and bodies for space.

The sums in `usage` stay. A step is bounded by rows and by bytes; within one transaction, which the caller holds.
"""

import sqlite3

from claude_proxy.ledger.record import Kept
from claude_proxy.ledger.store import Retention

STEP_ROWS = 50
STEP_BYTES = 1 << 20


def prune_step(connection: sqlite3.Connection, retention: Retention, now: float) -> bool:
    """Does one thing, the most due first; whether it did anything."""
    if retention.keep and _records(connection, now - retention.keep):
        return True
    if _blocks(connection):
        return True
    if not retention.max_size or used(connection) <= retention.max_size:
        return False
    return _bodies(connection) or _records(connection, None)


def used(connection: sqlite3.Connection) -> int:
    """Bytes of the file that hold something."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def _records(connection: sqlite3.Connection, before: float | None) -> bool:
    """Forgets the oldest records with all that they have; of these only such as were accepted `before`."""
    rows = connection.execute(
        """
        SELECT number, conversation, coalesce(length(answer), 0) + coalesce(length(request), 0)
        FROM exchange LEFT JOIN body ON body.exchange = number
        WHERE accepted < ? ORDER BY accepted, number LIMIT ?
        """,
        (before if before is not None else float("inf"), STEP_ROWS),
    ).fetchall()
    some = _as_many_as_fit([(number, size) for number, _, size in rows])
    ours = [(number,) for number in some]
    connection.executemany("DELETE FROM body WHERE exchange = ?", ours)
    connection.executemany("DELETE FROM exchange WHERE number = ?", ours)
    left = [(conversation,) for number, conversation, _ in rows if conversation is not None and number in some]
    connection.executemany("UPDATE conversation SET requests = requests - 1 WHERE id = ?", left)
    connection.executemany("DELETE FROM conversation WHERE id = ? AND requests <= 0", set(left))
    return bool(some)


def _bodies(connection: sqlite3.Connection) -> bool:
    """Forgets the bodies of the oldest epoch's records, whose rows stay: its blocks go next, and may be enough."""
    rows = connection.execute(
        """
        SELECT number, coalesce(length(answer), 0) + coalesce(length(request), 0)
        FROM exchange INDEXED BY exchange_epoch LEFT JOIN body ON body.exchange = number
        WHERE epoch = (SELECT min(epoch) FROM exchange WHERE epoch IS NOT NULL) ORDER BY number LIMIT ?
        """,
        (STEP_ROWS,),
    ).fetchall()
    ours = [(number,) for number in _as_many_as_fit(rows)]
    connection.executemany("DELETE FROM body WHERE exchange = ?", ours)
    connection.executemany(
        "UPDATE exchange SET epoch = NULL, kept = ? WHERE number = ?", [(str(Kept.PRUNED), *one) for one in ours]
    )
    return bool(ours)


def _blocks(connection: sqlite3.Connection) -> bool:
    """Forgets blocks of epochs of which no exchange has bodies any more."""
    first = connection.execute(
        "SELECT epoch FROM exchange INDEXED BY exchange_epoch WHERE epoch IS NOT NULL ORDER BY epoch LIMIT 1"
    ).fetchone()
    rows = connection.execute(
        """
        SELECT number, coalesce(length(packed), 0) FROM block LEFT JOIN content ON content.block = number
        WHERE epoch < ? ORDER BY epoch LIMIT ?
        """,
        (first[0] if first else 1 << 62, STEP_ROWS),
    ).fetchall()
    ours = [(number,) for number in _as_many_as_fit(rows)]
    connection.executemany("DELETE FROM content WHERE block = ?", ours)
    connection.executemany("DELETE FROM block WHERE number = ?", ours)
    return bool(ours)


def _as_many_as_fit(rows: list[tuple[int, int]]) -> list[int]:
    """The first of these numbers, up to STEP_BYTES in all; one at least."""
    taken: list[int] = []
    size = 0
    for number, its_size in rows:
        size += its_size
        if taken and size > STEP_BYTES:
            break
        taken.append(number)
    return taken

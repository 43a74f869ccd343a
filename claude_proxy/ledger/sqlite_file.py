"""The file of an SQLite ledger: opened private and durable, its schema brought up to date, set aside when damaged.

`synchronous` is FULL: each batch is on the disk before the next one begins, at most one sync in a flush interval,
and none of them on the request path. docs/ledger.md says what can be lost all the same.
"""

import contextlib
import os
import re
import shutil
import sqlite3
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from claude_proxy.directories import PACKAGE
from claude_proxy.ledger.store import LedgerBusy, LedgerCorrupt, LedgerError, LedgerNewer

_PRAGMAS = """
PRAGMA synchronous = FULL;
PRAGMA fullfsync = 1;
PRAGMA checkpoint_fullfsync = 1;
PRAGMA journal_size_limit = 16777216;
PRAGMA cache_size = -8192;
PRAGMA temp_store = MEMORY;
PRAGMA trusted_schema = 0;
PRAGMA secure_delete = FAST;
"""
_FOR_NOW = {
    sqlite3.SQLITE_BUSY: "another process holds it locked",
    sqlite3.SQLITE_LOCKED: "another process holds it locked",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk cannot be read or written",
    sqlite3.SQLITE_READONLY: "it may not be written",
    sqlite3.SQLITE_PERM: "it may not be written",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
    sqlite3.SQLITE_NOMEM: "memory is short",
    sqlite3.SQLITE_PROTOCOL: "another process holds it locked",
}
_AT_ONCE = 200  # parameters of one question, of SQLite's 999
_DAMAGED = {sqlite3.SQLITE_CORRUPT: "it is damaged", sqlite3.SQLITE_NOTADB: "it is no ledger"}
BESIDE = ("-wal", "-shm")
"""What SQLite keeps beside a database, by the end of the name."""


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """SQLite's errors as those of a ledger. Its own words are not told: they may quote what was written."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in _FOR_NOW:
            raise LedgerBusy(f"the ledger {path} cannot be used now: {_FOR_NOW[code]}") from None
        if code in _DAMAGED:
            raise LedgerCorrupt(f"the ledger {path} cannot be read: {_DAMAGED[code]}") from None
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        raise LedgerError(f"the ledger {path} failed: {name}") from error
    except OSError as error:
        raise LedgerBusy(f"the ledger {path} cannot be used now: {error.strerror}") from None


def migrations() -> list[str]:
    """The steps from an empty file to the newest schema; the number of a file is the schema that it leads to."""
    found = {
        int(name[1]): file.read_text("utf-8")
        for file in (PACKAGE / "ledger/schema").iterdir()
        if (name := re.fullmatch(r"(\d{4})\.sql", file.name))
    }
    return [found[number] for number in range(1, len(found) + 1)]


def open_to_write(path: Path, busy_timeout: float) -> sqlite3.Connection:
    """The file, made where it is missing, with the newest schema. Raises LedgerError.

    `busy_timeout` is in seconds: how long to wait for another process that writes.
    """
    with told(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_private(path)
        connection = sqlite3.connect(path, timeout=busy_timeout, isolation_level=None)
    try:
        with told(path):
            if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only possible before the first table
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_PRAGMAS)
            _migrate(connection, path, migrations())
    except BaseException:
        connection.close()
        raise
    return connection


def open_to_read(path: Path, busy_timeout: float) -> sqlite3.Connection | None:
    """The file as it is, for reading alone; None where there is none. Raises LedgerError."""
    if not path.exists():
        return None
    with told(path):
        uri = f"file:{quote(str(path))}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, timeout=busy_timeout, isolation_level=None)
    try:
        with told(path):
            connection.execute("PRAGMA query_only = 1")
            version = _version(connection)
            newest = len(migrations())
            if version > newest:
                raise _newer(path, version, newest)
            if version == 0:  # somebody is about to make it
                connection.close()
                return None
            if version < newest:
                raise LedgerBusy(f"the ledger {path} has an older schema ({version}); the daemon migrates it")
    except BaseException:
        connection.close()
        raise
    return connection


def rows_in(connection: sqlite3.Connection, question: str, values: Collection[Any]) -> Iterator[tuple[Any, ...]]:
    """The rows that a question finds which ends with IN, for any number of values."""
    left = list(values)
    for at in range(0, len(left), _AT_ONCE):
        some = left[at : at + _AT_ONCE]
        yield from connection.execute(f"{question} ({','.join('?' * len(some))})", some)


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _newer(path: Path, version: int, newest: int) -> LedgerNewer:
    return LedgerNewer(
        f"the ledger {path} has schema {version} and was written by a newer claude-proxy; this one knows {newest}. "
        "Upgrade claude-proxy, or name another file in ledger.url"
    )


def _make_private(path: Path) -> None:
    """The file is there and the user's alone before SQLite opens it; what SQLite adds beside it takes its mode."""
    how = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = os.open(path, how, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def _migrate(connection: sqlite3.Connection, path: Path, steps: list[str]) -> None:
    version = _version(connection)
    if version > len(steps):
        raise _newer(path, version, len(steps))
    if version == len(steps):
        return
    if version:
        _back_up(connection, path, version)
    for number, script in enumerate(steps[version:], version + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Another process may have done it meanwhile.
            if _version(connection) < number:
                for statement in statements(script):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def statements(script: str) -> Iterator[str]:
    """Those of a script, one by one: `executescript` would end the transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _back_up(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """A copy as the older version left it; made once, and kept until somebody removes it."""
    copy = path.with_name(f"{path.name}.schema-{version}")
    if copy.exists():
        return
    unfinished = copy.with_name(f"{copy.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    _make_private(unfinished)
    with contextlib.closing(sqlite3.connect(unfinished)) as target:
        connection.backup(target)
    unfinished.replace(copy)


def set_aside(path: Path) -> Path:
    """Renames a damaged ledger, with what lies beside it; its new name. Raises LedgerError."""
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    aside = path.with_name(f"{path.name}.damaged-{now}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{now}-{number}")
    with told(path):
        for end in ("", *BESIDE):
            with contextlib.suppress(FileNotFoundError):
                shutil.move(f"{path}{end}", f"{aside}{end}")
    return aside

"""The file of a ledger: private, durable, brought up to date with a copy kept, refused where it is newer."""

import contextlib
import os
import sqlite3
from pathlib import Path

import pytest

from claude_proxy.ledger import sqlite_file
from claude_proxy.ledger.sqlite_file import migrations, open_to_read, open_to_write, set_aside, statements
from claude_proxy.ledger.store import LedgerBusy, LedgerCorrupt, LedgerNewer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def version(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def test_a_new_file_has_the_newest_schema_and_lasts(path: Path) -> None:
    with contextlib.closing(open_to_write(path, 1.0)) as connection:
        asked = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "auto_vacuum", "user_version")
        }
    assert asked == {"journal_mode": "wal", "synchronous": 2, "auto_vacuum": 2, "user_version": len(migrations())}


def test_a_newer_schema_is_refused_and_left_as_it_is(path: Path) -> None:
    open_to_write(path, 1.0).close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 9999")
    before = path.read_bytes()
    for opening in (open_to_write, open_to_read):
        with pytest.raises(LedgerNewer, match=r"schema 9999 .* newer claude-proxy.* Upgrade"):
            opening(path, 1.0)
    assert path.read_bytes() == before


def test_an_older_schema_is_migrated_and_a_copy_is_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.closing(open_to_write(path, 1.0)) as connection:
        connection.execute("INSERT INTO conversation (id, began, last, requests, model) VALUES ('kept', 0, 0, 1, 'm')")
    older = len(migrations())
    newer = [*migrations(), "ALTER TABLE conversation ADD COLUMN title TEXT;\nCREATE TABLE more (x);\n"]
    monkeypatch.setattr(sqlite_file, "migrations", lambda: newer)
    with pytest.raises(LedgerBusy, match="older schema"):
        open_to_read(path, 1.0)
    with contextlib.closing(open_to_write(path, 1.0)) as connection:
        assert connection.execute("SELECT id, title FROM conversation").fetchall() == [("kept", None)]
    assert version(path) == older + 1
    copy = path.with_name(f"ledger.db.schema-{older}")
    assert version(copy) == older
    assert copy.stat().st_mode & 0o777 == 0o600
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT id FROM conversation").fetchall() == [("kept",)]


def test_a_migration_that_fails_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_to_write(path, 1.0).close()
    older = version(path)
    faulty = [*migrations(), "CREATE TABLE more (x);\nCREATE TABLE more (x);\n"]
    monkeypatch.setattr(sqlite_file, "migrations", lambda: faulty)
    with pytest.raises(Exception, match="SQLITE_ERROR"):
        open_to_write(path, 1.0)
    assert version(path) == older
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'more'").fetchone() == (0,)


def test_statements_of_a_script_are_told_apart() -> None:
    script = "-- a remark; with a semicolon\nCREATE TABLE a (\n  x TEXT DEFAULT ';'\n);\nCREATE TABLE b (y);\n"
    found = list(statements(script))
    assert [one.splitlines()[-1] for one in found] == [");", "CREATE TABLE b (y);"]


@pytest.mark.parametrize(
    "text", [b"no database at all, but long enough to be looked at" * 50, b"SQLite format 3\0" * 99]
)
def test_what_is_no_ledger_is_told_and_can_be_set_aside(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    Path(f"{path}-wal").write_bytes(b"beside it")
    with pytest.raises(LedgerCorrupt, match=r"ledger\.db cannot be read"):
        open_to_write(path, 1.0)
    Path(f"{path}-wal").write_bytes(b"beside it")
    aside = set_aside(path)
    assert aside.name.startswith("ledger.db.damaged-")
    assert aside.read_bytes() == text
    assert Path(f"{aside}-wal").read_bytes() == b"beside it"
    open_to_write(path, 1.0).close()
    assert version(path) == len(migrations())


def test_two_that_are_set_aside_at_once_have_two_names(path: Path) -> None:
    names = set()
    for _ in range(3):
        path.write_bytes(b"x")
        names.add(set_aside(path))
    assert len(names) == 3


def test_a_link_that_lies_in_its_place_is_not_followed(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("precious")
    path.symlink_to(other)
    with pytest.raises(LedgerBusy, match="cannot be used now"):
        open_to_write(path, 1.0)
    assert other.read_text() == "precious"


def test_a_file_that_others_could_read_becomes_private(path: Path) -> None:
    path.touch(mode=0o644)
    path.chmod(0o644)
    before = os.umask(0)
    try:
        connection = open_to_write(path, 1.0)
        connection.execute("CREATE TABLE x (y)")
        assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
        connection.close()
    finally:
        os.umask(before)


def test_what_is_not_there_is_not_made_by_reading(path: Path) -> None:
    assert open_to_read(path, 1.0) is None
    assert not path.exists()


def test_nothing_is_written_through_a_reader(path: Path) -> None:
    open_to_write(path, 1.0).close()
    connection = open_to_read(path, 1.0)
    assert connection is not None
    with contextlib.closing(connection), pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM exchange")

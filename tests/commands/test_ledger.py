"""`claude-proxy ledger` works without a daemon: what each command prints, for people and for programs."""

import contextlib
import json
import sqlite3
import time
from pathlib import Path

import pytest

from claude_proxy.ledger.sqlite import SqliteStore
from claude_proxy.ledger.store import Change, Filter
from tests.commands.invoking import as_json, configured, run
from tests.ledger.made_records import begun, conversation, record, with_bodies

NOW = time.time()
DAY = 86400


@pytest.fixture
def path(home: Path) -> Path:
    """A ledger of three records, of today and of 1 and 100 days ago, of which one has no end."""
    path = home / ".local" / "share" / "claude-proxy" / "ledger.db"
    with contextlib.closing(SqliteStore(path)) as store:
        store.write(
            [
                with_bodies(1, conversation(20, "long ago " * 50), accepted=NOW - 100 * DAY, conversation="old"),
                with_bodies(2, conversation(3), accepted=NOW - DAY),
                Change(begun(3, accepted=NOW)),
            ]
        )
    return path


def count(path: Path) -> int:
    with contextlib.closing(SqliteStore(path)) as store, contextlib.closing(store.reader()) as reader:
        return reader.count(Filter())


def test_stats_say_what_there_is(path: Path) -> None:
    told = run("ledger", "stats").stdout
    assert str(path) in told
    assert "records  3, 1 of them without an end" in told
    assert "for 90 days, up to 2.0 GiB" in told
    shown = as_json(run("ledger", "stats", "--json"))
    assert (shown["records"], shown["unfinished"], shown["totals"]["requests"], shown["exists"]) == (3, 1, 2, True)
    assert shown["size"] >= shown["used"] > 0


def test_a_ledger_that_is_not_there_is_said_so_and_not_made(home: Path) -> None:
    for command in ("stats", "prune", "vacuum", "check", "export"):
        result = run("ledger", command)
        assert result.exit_code == 0, result.output
    assert "nothing recorded yet" in run("ledger", "stats").stdout
    assert as_json(run("ledger", "stats", "--json"))["exists"] is False
    assert not (home / ".local").exists()


def test_prune_forgets_what_is_too_old(path: Path) -> None:
    assert "forgot 1 records" in run("ledger", "prune").stdout
    assert count(path) == 2
    assert as_json(run("ledger", "prune", "--keep", "2h", "--json"))["records"] == 1
    assert count(path) == 1
    assert as_json(run("ledger", "stats", "--json"))["totals"]["requests"] == 2


def test_prune_forgets_what_is_too_much(path: Path) -> None:
    assert run("ledger", "prune", "--keep", "0s", "--max-size", "1B").exit_code == 0
    assert count(path) == 0


def test_what_cannot_be_a_duration_is_told(path: Path) -> None:
    result = run("ledger", "prune", "--keep", "soon")
    assert result.exit_code == 78
    assert "ledger.keep" in result.stderr
    assert count(path) == 3


def test_vacuum_gives_space_back(path: Path) -> None:
    with contextlib.closing(SqliteStore(path)) as store:
        store.write([with_bodies(9, b"".join(b"%d" % (n * 7919) for n in range(20_000)))])
        store.clear()
    shown = as_json(run("ledger", "vacuum", "--json"))
    assert shown["size"] < shown["size_before"]


def test_an_export_is_private_and_read_back_gives_the_same(path: Path, home: Path) -> None:
    file = home / "backup.jsonl"
    result = run("ledger", "export", str(file))
    assert (result.exit_code, result.stderr) == (0, "3 lines\n")
    assert file.stat().st_mode & 0o777 == 0o600
    assert run("ledger", "export").stdout == file.read_text()
    again = run("ledger", "export", str(file))
    assert (again.exit_code, "cannot be written: File exists" in again.stderr) == (1, True)
    path.rename(home / "elsewhere.db")
    told = run("ledger", "import", str(file)).stdout
    assert told == "3 records, 3 of them new, and 0 sums of records that are gone\n"
    assert as_json(run("ledger", "import", "-", "--json", given=file.read_bytes()))["new"] == 0
    assert run("ledger", "export").stdout == file.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_is_no_export_is_refused_by_its_line(path: Path) -> None:
    given = json.dumps({"record": {"id": "req_cp_x", "accepted": NOW, "endpoint": "/v1/messages"}}) + "\nFAKE-secret\n"
    result = run("ledger", "import", given=given.encode())
    assert result.exit_code == 1
    assert "line 2 is of no export" in result.stderr
    assert "FAKE" not in result.stderr
    assert count(path) == 3


def test_check_finds_what_is_damaged(path: Path) -> None:
    assert "3 records, nothing wrong" in run("ledger", "check").stdout
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM content WHERE block = 1")
    result = run("ledger", "check")
    assert result.exit_code == 1
    assert f"{record(1).id}: block 1 of a body is missing" in result.stdout
    shown = run("ledger", "check", "--json")
    assert shown.exit_code == 1
    assert len(as_json(shown)["faults"]) == 2  # it is a system prompt, which the second one has too


def test_a_ledger_of_a_newer_version_is_refused(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA user_version = 9999")
    for command in ("stats", "prune", "vacuum", "export", "check"):
        result = run("ledger", command)
        assert result.exit_code == 78
        assert "newer claude-proxy" in result.stderr


def test_another_file_is_found_by_the_configuration(home: Path) -> None:
    config = configured(home, ledger={"url": f"sqlite:///{home}/mine.db"})
    given = json.dumps({"record": {"id": "req_cp_x", "accepted": NOW, "endpoint": "/v1/messages"}})
    assert run("ledger", "import", "--config", config, given=given.encode()).exit_code == 0
    assert (home / "mine.db").exists()
    assert as_json(run("ledger", "stats", "--json", "--config", config))["records"] == 1

"""The ledger's sums on stdout: a table, JSON or CSV; where there is nothing it is said why, on stderr."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from claude_proxy.ledger.store import Change
from tests.commands.invoking import as_json, configured, run
from tests.ledger.made_records import NOON, record
from tests.web.recorded_before import write

MADE = [
    Change(record(1)),
    Change(record(2, session="s2", conversation="s2", project="/p/two", list_value=None, unpriced_tokens=4330)),
    Change(record(3, accepted=NOON - 5 * 86400, model="=cmd|x", billed=10**12, covered=None, end="failed")),
]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TZ", "UTC")
    write(tmp_path / "ledger.db", MADE)
    return configured(tmp_path, ledger={"url": f"sqlite://{tmp_path / 'ledger.db'}"})


def test_a_table_of_days_unless_it_is_said_what_of(config: str) -> None:
    result = run("usage", "--config", config)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:4]] == [["2027-01-10", "1"], ["2027-01-15", "2"], ["total", "3"]]
    assert max(map(len, lines)) <= 80
    assert result.stderr == ""


def test_json_is_exact(config: str) -> None:
    told: dict[str, Any] = as_json(run("usage", "model", "--json", "--config", config))
    assert (told["by"], told["since"]) == ("model", None)
    assert told["total"] == {
        "requests": 3,
        "failures": 1,
        "input_tokens": 30,
        "cache_creation_input_tokens": 900,
        "cache_read_input_tokens": 12_000,
        "output_tokens": 60,
        "unpriced_tokens": 4330,
        "unpriced_requests": 1,
        "list_value": "0.00001",
        "billed": "1.00",
        "covered": "0.00001",
    }
    assert [row["model"] for row in told["rows"]] == ["claude-opus-4-8", "=cmd|x"]
    sessions = as_json(run("usage", "session", "--json", "--config", config))["rows"]
    assert [(row["session"][:8], row["project"]) for row in sessions] == [
        ("5e551011", "/home/someone/work"),
        ("s2", "/p/two"),
    ]


def test_csv_is_exact_and_no_formula(config: str) -> None:
    result = run("usage", "model", "--csv", "--config", config)
    titles, *rows = csv.reader(io.StringIO(result.stdout))
    assert titles[0] == "model"
    assert [row[0] for row in rows] == ["claude-opus-4-8", "'=cmd|x"]
    assert sum(int(row[titles.index("requests")]) for row in rows) == 3
    assert rows[1][titles.index("billed")] == "1.00"
    sessions = csv.DictReader(io.StringIO(run("usage", "session", "--csv", "--config", config).stdout))
    assert [row["project"] for row in sessions] == ["/home/someone/work", "/p/two"]


def test_nothing_is_told_with_its_reason(tmp_path: Path, config: str) -> None:
    since = run("usage", "--since", "2030-01-01", "--config", config)
    assert (since.exit_code, since.stdout, since.stderr) == (0, "", "nothing was recorded since then\n")
    assert as_json(run("usage", "--since", "2030-01-01", "--json", "--config", config))["rows"] == []
    write(tmp_path / "empty.db", [])
    for ledger, reason in (
        (
            {"url": f"sqlite://{tmp_path / 'none.db'}"},
            "none.db is not there; switch routing on with claude-proxy enable",
        ),
        ({"url": f"sqlite://{tmp_path / 'empty.db'}"}, "nothing has been recorded yet"),
        ({"url": f"sqlite://{tmp_path / 'none.db'}", "enabled": False}, "ledger.enabled is false"),
    ):
        result = run("usage", "--config", configured(tmp_path, ledger=ledger))
        assert (result.exit_code, result.stdout) == (0, "")
        assert reason in result.stderr


def test_a_ledger_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "damaged.db").write_bytes(b"no ledger" * 1000)
    result = run("usage", "--config", configured(tmp_path, ledger={"url": f"sqlite://{tmp_path / 'damaged.db'}"}))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "damaged.db" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_faulty_configuration_is_told(tmp_path: Path) -> None:
    result = run("usage", "--config", configured(tmp_path, ledger={"url": "nowhere"}))
    assert result.exit_code == 78
    assert "ledger.url: expected sqlite:///" in result.stderr

"""What became of a request that was recorded is explained, and where it would go now."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from claude_proxy.ledger.record import AttemptRecord
from claude_proxy.ledger.store import Change
from tests.commands.invoking import configured, run
from tests.ledger.made_records import conversation, record, with_bodies
from tests.web.recorded_before import write

TRIED = (
    AttemptRecord("minimax", "MiniMax-M2", "env:MINIMAX_API_KEY", 0, 20, 529, "overloaded", "busy \x1b[2J"),
    AttemptRecord("claude", "claude-haiku-4-5", "client", 20, 1500, 200),
)
HAIKU: dict[str, Any] = {
    "asked_model": "claude-haiku-4-5",
    "model": "claude-haiku-4-5",
    "route": "model claude-haiku-*",
}
MADE = [
    Change(record(1, attempts=TRIED, agent="a1", accepted=1_800_000_000.0, **HAIKU)),
    with_bodies(2, conversation(3), end="failed", status=529, cause="all failed"),
    Change(record(3, endpoint="/v1/files", method="GET", asked_model="", model="")),
    Change(record(4, end=None, status=None, attempts=(), route="")),
]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TZ", "UTC")
    write(tmp_path / "ledger.db", MADE)
    routes = [
        {"agent": "sub", "to": [{"upstream": "minimax", "model": "MiniMax-M3"}]},
        *yaml.safe_load("[{ to: [{ upstream: claude }] }]"),
    ]
    return configured(tmp_path, ledger={"url": f"sqlite://{tmp_path / 'ledger.db'}"}, routes=routes)


def explained(config: str, of: str) -> list[str]:
    result = run("explain", "--config", config, "--id", of)
    assert result.exit_code == 0, result.stderr
    return result.stdout.splitlines()


def test_what_became_of_it_comes_first_and_then_where_it_would_go_now(config: str) -> None:
    lines = explained(config, record(1).id)
    assert lines[0].startswith(f"recorded   {record(1).id}  2027-01-15 ")
    assert lines[1:7] == [
        "took route model claude-haiku-*",
        "1. attempt minimax as MiniMax-M2, credential from env:MINIMAX_API_KEY: 529 overloaded: busy ?[2J after 20 ms",
        "2. attempt claude as claude-haiku-4-5, credential from client: 200 answered after 1480 ms",
        "ended      complete, 200",
        "",
        "and now it would go so:",
    ]
    assert lines[7:10] == [
        "model      claude-haiku-4-5",
        "route      agent sub  (matches agent sub)",
        "1. target  minimax as MiniMax-M3  https://api.minimax.io/anthropic",
    ]


def test_the_beginning_of_an_id_is_enough_and_a_body_that_was_kept_is_looked_at(config: str) -> None:
    lines = explained(config, record(2).id[:-1] + "2")
    assert "ended      failed, 529: all failed" in lines
    assert "model      claude-opus-4-8" in lines


def test_what_has_not_ended_is_told_as_such(config: str) -> None:
    lines = explained(config, record(4).id)
    assert lines[1:3] == ["took route (none)", "ended      has not ended, or its end was lost"]


def test_what_cannot_be_explained_is_told(tmp_path: Path, config: str) -> None:
    for of, reason in (
        ("nowhere", "no request with this id is recorded in"),
        ("req_cp_", "or more than one begin so"),
        (record(3).id, "that was no request for a message, but GET /v1/files"),
    ):
        result = run("explain", "--config", config, "--id", of)
        assert (result.exit_code, result.stdout) == (1, "")
        assert reason in result.stderr
    (tmp_path / "damaged.db").write_bytes(b"no ledger" * 1000)
    damaged = configured(tmp_path, ledger={"url": f"sqlite://{tmp_path / 'damaged.db'}"})
    result = run("explain", "--config", damaged, "--id", "x")
    assert (result.exit_code, "damaged.db" in result.stderr) == (1, True)

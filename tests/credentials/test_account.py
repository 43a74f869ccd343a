"""What may be shown of a login: its plan and its account, never a token."""

import json
from pathlib import Path
from typing import Any

import pytest

from claude_proxy.credentials.account import (
    Account,
    Plan,
    read_account,
    read_plan,
    read_plan_file,
    state_file,
)
from claude_proxy.credentials.claude_program import login_file
from tests.claude_request import stored_login

TOKEN = "sk-ant-oat01-FAKE-login"


def test_the_envelope_names_plan_tier_and_expiry_and_no_token_is_kept() -> None:
    plan = read_plan(stored_login(TOKEN, expiresAt=1_800_000_123_000, rateLimitTier="default_claude_max_5x"))
    assert plan == Plan("max", "default_claude_max_5x", 1_800_000_123.0)
    assert "FAKE" not in repr(plan)


@pytest.mark.parametrize("expires", [None, "soon", True, 0, -5, 1e300, float("nan"), float("inf")])
def test_an_odd_expiry_is_left_out(expires: object) -> None:
    plan = read_plan(stored_login(TOKEN, expiresAt=expires))
    assert plan is not None
    assert plan.expires_at is None


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "{}", '{"claudeAiOauth": 7}', '{"claudeAiOauth": {"accessToken": ""}}', "[" * 100_000],
    ids=["empty", "half", "list", "null", "nothing", "number", "blanked", "deep"],
)
def test_what_holds_no_login_has_no_plan(text: str) -> None:
    assert read_plan(text) is None


def test_odd_words_are_left_out() -> None:
    assert read_plan(stored_login(TOKEN, subscriptionType=None, rateLimitTier=[1], expiresAt=None)) == Plan(
        None, None, None
    )


def test_a_file_that_cannot_be_read_has_no_plan(tmp_path: Path) -> None:
    assert read_plan_file(tmp_path / "missing") is None
    assert read_plan_file(tmp_path) is None
    (tmp_path / "bytes").write_bytes(b"\xff")
    assert read_plan_file(tmp_path / "bytes") is None
    (tmp_path / "login").write_text(stored_login(TOKEN))
    plan = read_plan_file(tmp_path / "login")
    assert plan is not None
    assert plan.subscription == "max"


def test_both_files_lie_where_claude_code_keeps_them() -> None:
    home = {"HOME": "/home/u"}
    assert login_file(home) == Path("/home/u/.claude/.credentials.json")
    assert state_file(home) == Path("/home/u/.claude.json")
    moved = {**home, "CLAUDE_CONFIG_DIR": "/c"}
    assert (login_file(moved), state_file(moved)) == (Path("/c/.credentials.json"), Path("/c/.claude.json"))
    apart = {**moved, "CLAUDE_SECURESTORAGE_CONFIG_DIR": "/s"}
    assert (login_file(apart), state_file(apart)) == (Path("/s/.credentials.json"), Path("/c/.claude.json"))


ACCOUNT: dict[str, Any] = {
    "accountUuid": "x",
    "emailAddress": "tester@mailbox.invalid",
    "organizationName": "Testers",
    "displayName": "T",
}


def test_the_account_is_that_of_the_state_file(tmp_path: Path) -> None:
    (tmp_path / ".claude.json").write_text(json.dumps({"numStartups": 3, "oauthAccount": ACCOUNT}))
    assert read_account({"HOME": str(tmp_path)}) == Account("tester@mailbox.invalid", "T", "Testers")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"oauthAccount": []}', '{"oauthAccount": {"emailAddress": 5}}'])
def test_a_state_without_an_account_has_none(tmp_path: Path, text: str) -> None:
    assert read_account({"HOME": str(tmp_path)}) is None
    (tmp_path / ".claude.json").write_text(text)
    assert read_account({"HOME": str(tmp_path)}) is None

"""What how things stand comes to: the exit code, what lies at a source, and who renews it."""

from typing import Any

import pytest

from claude_proxy.commands.standing import (
    BreakerStanding,
    DaemonStanding,
    LoginStanding,
    Standing,
    breakers_of,
    login_kind,
    refreshed_by,
)
from claude_proxy.health_report import BreakerReport, HealthReport, PartReport, UpstreamReport

OPEN = BreakerStanding("minimax", "api", None, "open", "5 failures in a row", 18.0)


TIRED = PartReport("api", None, "half_open", "tired", 0.0)
SPENT = PartReport("model", "M", "open", "spent", 60.0)


def login(state: str = "present", **more: Any) -> LoginStanding:
    return LoginStanding("claude", state, "file", None, None, "daemon", **more)


def standing(daemon: str = "up", *logins: LoginStanding, breakers: tuple[BreakerStanding, ...] = ()) -> Standing:
    return Standing(DaemonStanding(daemon, "http://127.0.0.1:8082", "1"), list(logins), [], breakers=breakers)


@pytest.mark.parametrize(
    ("stands", "code"),
    [
        (standing(), 0),
        (standing("up", login()), 0),
        (standing("up", login("pass-through")), 0),
        (standing("up", login("not read")), 0),
        (standing("draining", login()), 1),
        (standing("up", login(), breakers=(OPEN,)), 1),
        (standing("up", login("absent")), 4),
        (standing("up", login("unusable")), 4),
        (standing("up", login("a state that a later daemon has")), 4),
        (standing("up", login(probe={"refused": True})), 4),
        (standing("up", login(probe={"refused": False})), 0),
        (standing("up", login(probe={"problem": "not asked"})), 0),
        (standing("up", login(), login("absent"), breakers=(OPEN,)), 4),
        (standing("down", login("absent"), breakers=(OPEN,)), 3),
    ],
)
def test_the_exit_code_says_the_worst_of_it(stands: Standing, code: int) -> None:
    assert stands.exit_code == code


@pytest.mark.parametrize(
    ("source", "kind", "renewed"),
    [
        (None, None, None),
        ("client", "claude-code", "claude-code"),
        ("keychain", "claude-code", "claude-code"),
        ("file", "claude-code", "claude-code"),
        ("file:/run/claude-credentials.json", "claude-code", "writer"),
        ("env:CLAUDE_CODE_OAUTH_TOKEN", "setup-token", "nobody"),
        ("keyring:setup-token", "setup-token", "nobody"),
        ("env:REAL_ANTHROPIC_API_KEY", "api-key", None),
        ("keyring:anthropic", "api-key", None),
        ("file:~/key", "api-key", None),
    ],
)
def test_the_source_says_what_lies_there_and_who_renews_it(
    source: str | None, kind: str | None, renewed: str | None
) -> None:
    assert login_kind(source) == kind
    assert refreshed_by(source, None) == renewed


@pytest.mark.parametrize("refresh", ["delegate", {"mode": "delegate"}, True])
def test_a_daemon_that_says_so_has_a_stored_login_renewed(refresh: object) -> None:
    assert refreshed_by("file", refresh) == refreshed_by("keychain", refresh) == "daemon"
    assert refreshed_by("client", refresh) == "claude-code"
    assert refreshed_by("keyring:setup-token", refresh) == "nobody"


@pytest.mark.parametrize("refresh", ["never", False, None])
def test_a_daemon_that_does_not_leaves_it_to_claude_code(refresh: object) -> None:
    assert refreshed_by("file", refresh) == "claude-code"


def test_only_breakers_that_are_not_closed_are_told() -> None:
    upstreams = {
        "claude": UpstreamReport("claude", BreakerReport("closed", ())),
        "minimax": UpstreamReport("minimax", BreakerReport("open", (TIRED, SPENT))),
    }
    report = HealthReport("healthy", "1", 1, 1.0, 0, upstreams, {}, {})
    assert breakers_of(report) == [
        BreakerStanding("minimax", "api", None, "half_open", "tired", 0.0),
        BreakerStanding("minimax", "model", "M", "open", "spent", 60.0),
    ]

"""How things stand in words: one line for each thing, remedies apart, nothing that steers the terminal."""

import time
from datetime import datetime, timedelta
from typing import Any

import pytest

from claude_proxy.commands.standing import (
    BreakerStanding,
    CredentialStanding,
    DaemonStanding,
    LoginStanding,
    Standing,
)
from claude_proxy.commands.status_text import moment, remedies, span, status_lines
from claude_proxy.credentials.account import Account, Plan

URL = "http://127.0.0.1:8082"


def daemon(state: str = "up", version: str | None = "1.2", **more: Any) -> DaemonStanding:
    return DaemonStanding(state, URL, "1.2", version, **more)


def login(state: str = "present", source: str | None = "file", **more: Any) -> LoginStanding:
    fields: dict[str, Any] = {"detail": None, "expires_at": None, "told_by": "daemon", **more}
    return LoginStanding("claude", state, source, **fields)


def lines(*logins: LoginStanding, is_daemon: DaemonStanding | None = None, **more: Any) -> list[str]:
    return list(status_lines(Standing(is_daemon or daemon(), list(logins), more.pop("keys", []), **more)))


def test_a_daemon_that_is_up_says_where_since_when_and_which() -> None:
    (line,) = lines(is_daemon=daemon(pid=4312, uptime_seconds=8040.5, in_flight=1))
    assert line == f"Daemon    up · {URL} · pid 4312 · for 2 h 14 m · 1 in flight · version 1.2"


def test_a_daemon_that_is_down_says_what_happens_there() -> None:
    down = daemon("down", None, problem="Connection refused")
    assert lines(is_daemon=down) == [f"Daemon    down on {URL}: Connection refused"]


CLAUDES = {
    "kind": "claude-code",
    "plan": Plan("max", "default_claude_max_5x", None),
    "account": Account("tester@mailbox.invalid", "T", "Testers"),
}


def test_the_clients_own_login_names_plan_account_end_and_renewer() -> None:
    soon = time.time() + 7200 + 30
    one = login("pass-through", "client", detail="handed on", expires_at=soon, refreshed_by="claude-code", **CLAUDES)
    assert lines(one)[1] == (
        "Login     Claude Code's own, handed on as it comes · plan max (default_claude_max_5x) · "
        "tester@mailbox.invalid · Testers · expires in 2 h 0 m · Claude Code renews it"
    )


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (login(kind="claude-code", refreshed_by="daemon"), "own from file · the daemon has Claude Code renew it"),
        (
            login(source="file:/x/claude-credentials.json", kind="claude-code", refreshed_by="writer"),
            "own from file:/x/claude-credentials.json · whoever writes that file renews it",
        ),
        (login("unusable", kind="claude-code", detail="why"), "Claude Code's own from file: unusable · why"),
        (login("pass-through", "client", kind="claude-code"), "comes · none is stored on this machine"),
        (
            login(source="keyring:setup-token", kind="setup-token", refreshed_by="nobody"),
            "setup-token from keyring:setup-token · good for a year, and then nobody renews it",
        ),
        (
            login(source="env:REAL_ANTHROPIC_API_KEY", kind="api-key"),
            "API key from env:REAL_ANTHROPIC_API_KEY · no plan: each request is billed",
        ),
        (login("absent", None, detail="nothing in file"), "none · nothing in file"),
        (login("not read", None), "not looked up yet"),
        (login("unusable", None, detail="it is locked"), "unusable · it is locked"),
        (login("pass-through", "client", kind="claude-code", behind=["keyring:setup-token"]), "bring none: keyring:se"),
    ],
)
def test_each_kind_of_login_is_named_as_such(one: LoginStanding, words: str) -> None:
    assert words in lines(one)[1]


def test_an_expired_login_says_since_when() -> None:
    assert "expired 3 h 0 m ago" in lines(login(kind="claude-code", expires_at=time.time() - 10_810))[1]


def test_what_came_of_asking_claude_to_renew_it_is_told() -> None:
    last = {"at": time.time() - 61, "outcome": "it was renewed"}
    one = login(kind="claude-code", refreshed_by="daemon", last_refresh=last)
    assert "the daemon has Claude Code renew it · asked for that 1 m 1 s ago: it was renewed" in lines(one)[1]
    for odd in (7, {}, {"at": "x"}, {"at": None, "outcome": "x"}):
        assert "asked for that" not in lines(login(kind="claude-code", last_refresh=odd))[1]


def test_several_logins_are_told_apart() -> None:
    first, second = lines(login(kind="claude-code"), login(kind="api-key"))[1:3]
    assert first.startswith("Login     claude: Claude Code's own")
    assert second.startswith("Login     claude: API key")


def test_quota_names_each_window_its_use_its_reset_and_the_age_of_the_reading() -> None:
    later = datetime.now().astimezone() + timedelta(days=2)
    quota = {
        "claude": {
            "status": "allowed_warning",
            "windows": {
                "5h": {"status": "allowed", "utilization": 0.424, "resets_at": later.timestamp()},
                "7d": {"status": "allowed_warning", "utilization": 0.81, "resets_at": None},
                "7d_oi": None,
            },
            "overage": {"status": "rejected", "disabled_reason": "out_of_credits", "in_use": True, "resets_at": 1},
            "other": {"new-field": "7"},
            "age_seconds": 12.3,
        }
    }
    assert lines(quota=quota)[1] == (
        f"Quota     claude: 5h 42 % (resets {later:%a %H:%M}) · 7d 81 % (allowed_warning) · 7d_oi · "
        "overage rejected, out_of_credits, in use · new-field 7 · allowed_warning · read 12 s ago"
    )


@pytest.mark.parametrize("quota", [{}, {"windows": 5, "overage": 7, "other": 1, "age_seconds": "x", "status": None}])
def test_a_quota_of_which_less_is_told_is_no_crash(quota: dict[str, Any]) -> None:
    assert lines(quota={"claude": quota})[1] == "Quota     claude: status unknown"


def test_that_no_quota_is_known_is_told_only_where_there_is_a_plan_and_a_daemon() -> None:
    told = "Quota     not known yet; Anthropic states it with each answer"
    assert told in lines(login(kind="claude-code"))
    assert told not in lines(login(kind="api-key"))
    assert told not in lines(login(kind="claude-code"), is_daemon=daemon("down"))


def test_a_breaker_says_its_reason_and_when_it_is_tried_again() -> None:
    breakers = [
        BreakerStanding("minimax", "api", None, "open", "5 times 529", 18.4),
        BreakerStanding("x", "credential", None, "half_open", None, None),
        BreakerStanding("x", "model", "claude-opus-4-8", "open", "slow down", None),
        BreakerStanding("x", "something new", None, "open", "why", None),
    ]
    assert lines(breakers=breakers)[1:] == [
        "Breaker   minimax is open: 5 times 529; next try in 18 s",
        "Breaker   x is half-open for a credential: no reason is known",
        "Breaker   x is open for claude-opus-4-8: slow down",
        "Breaker   x is open for a something new: why",
    ]


def test_a_key_of_another_provider_is_present_or_missing() -> None:
    keys = [
        CredentialStanding("minimax", "present", "keyring:minimax", None, None, "daemon"),
        CredentialStanding("zai", "absent", None, "nothing in env:ZAI", None, "daemon"),
        CredentialStanding("kimi", "not read", None, None, None, "daemon"),
        CredentialStanding("odd", "unusable", None, "it is locked", None, "store"),
    ]
    assert lines(keys=keys)[1:] == [
        "Key       minimax: present from keyring:minimax",
        "Key       zai: missing, nothing in env:ZAI",
        "Key       kimi: not looked up yet, no request has needed it",
        "Key       odd: unusable, it is locked",
    ]


def test_what_was_probed_stands_below_its_login() -> None:
    probe = {
        "base_url": URL,
        "refused": False,
        "profile": {
            "status": 200,
            "account": {"email": "tester@mailbox.invalid", "display_name": None},
            "organization": {"organization_type": "claude_max", "rate_limit_tier": "default_claude_max_5x"},
        },
        "usage": {"status": 200, "windows": {"five_hour": {"utilization": 42.0, "resets_at": None}}},
    }
    assert lines(login(kind="claude-code", probe=probe))[2:4] == [
        "Probe     profile: tester@mailbox.invalid · claude_max · default_claude_max_5x",
        "Probe     usage: five_hour 42 %",
    ]


def test_a_probe_that_was_refused_says_when_to_ask_again() -> None:
    probe = {
        "profile": {"status": 200, "account": None, "organization": None},
        "usage": {"status": 429, "message": "HTTP 429: Rate limited", "retry_after": 2900},
    }
    assert lines(login(kind="claude-code", probe=probe))[2:4] == [
        "Probe     profile: nothing is stated",
        "Probe     usage: HTTP 429: Rate limited; ask again in 48 m 20 s",
    ]
    problem = login(kind="claude-code", probe={"problem": "not asked: no login"})
    assert "Probe     not asked: no login" in lines(problem)


def test_nothing_that_comes_from_elsewhere_steers_the_terminal() -> None:
    breakers = [BreakerStanding("minimax", "api", None, "open", "\x1b[31mred\x07\r\nDaemon    up", None)]
    assert lines(breakers=breakers)[1] == "Breaker   minimax is open: ?[31mred???Daemon    up"


@pytest.mark.parametrize(
    ("stands", "words"),
    [
        (Standing(daemon("down"), [], []), "start it with `claude-proxy serve`"),
        (Standing(daemon("down", port_taken=True), [], []), "see which, lsof -i :8082; or set another listen.port"),
        (Standing(daemon(version="1.1"), [], []), "version 1.1, this command of 1.2: restart the daemon"),
        (Standing(daemon(version=None), [], []), "version unknown, this command of 1.2"),
        (Standing(daemon(), [login("absent", None)], []), "There is no login: `claude-proxy login`"),
        (Standing(daemon(), [login("unusable", kind="claude-code")], []), "run `claude` once"),
        (Standing(daemon(), [login(kind="setup-token", probe={"refused": True})], []), "`claude setup-token`, then"),
    ],
)
def test_what_to_do_is_told_with_its_command(stands: Standing, words: str) -> None:
    (line,) = remedies(stands)
    assert words in line


def test_where_all_is_well_there_is_nothing_to_do() -> None:
    assert list(remedies(Standing(daemon(), [login(kind="claude-code")], []))) == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59, "59 s"), (61, "1 m 1 s"), (3600, "1 h 0 m"), (90_000, "1 d 1 h")],
)
def test_a_length_of_time_is_told_in_its_two_largest_units(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_a_time_of_today_needs_no_date_and_one_of_this_week_its_day() -> None:
    now = datetime.now().astimezone()
    assert moment(now.timestamp()) == f"{now:%H:%M}"
    assert moment(now.isoformat()) == f"{now:%H:%M}"
    later, much_later = now + timedelta(days=3), now + timedelta(days=30)
    assert moment(later.isoformat()) == f"{later:%a %H:%M}"
    assert moment(much_later.timestamp()) == f"{much_later:%Y-%m-%d %H:%M}"


@pytest.mark.parametrize("value", [None, "soon", [], 1e300, float("nan"), float("inf")])
def test_what_is_no_time_is_left_out(value: object) -> None:
    assert moment(value) == ""

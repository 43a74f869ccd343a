"""The words of a status, as they were agreed upon: what is worst comes first."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from claude_proxy.toggle.health import Silence
from claude_proxy.toggle.status import Status
from claude_proxy.toggle.status_text import duration, lines
from tests.toggle.told import NOW, OFF, ON, credential, health, part, quota, upstream, window

REASON = "5 \N{MULTIPLICATION SIGN} 529"
FIVE_HOURS = window(0.42, NOW + 1900)
SEVEN_DAYS = window(0.81, NOW + 5 * 86400 - 12980)
OPEN = {"claude": upstream("claude"), "minimax": upstream("minimax", part(REASON, 18.2))}


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def told(status: Status) -> list[str]:
    return list(lines(status, NOW))


def test_as_agreed_upon() -> None:
    found = health(upstreams=OPEN, quota=quota(("7d", SEVEN_DAYS), ("5h", FIVE_HOURS)))
    assert told(Status(ON, found, "1.2.0", memory=51_000_000)) == [
        "Routing   on   via ~/.claude/settings.json",
        "Daemon    up   pid 4312 · 2 h 14 m · 51 MB · 127.0.0.1:8082 · 1 in flight",
        "Claude    ok   window 5 h 42 % (resets 14:05) · 7 d 81 % (resets Tue 09:57) · read 12 s ago",
        f"MiniMax   OPEN breaker: {REASON}, next try in 18 s; Haiku goes to Claude meanwhile",
    ]


def test_on_and_nobody_listens_comes_first() -> None:
    assert told(Status(ON, Silence("connection refused"), "1.2.0")) == [
        (
            "Routing on, but nothing answers on 127.0.0.1:8082: claude will hang. "
            "Start: claude-proxy service start · or go direct: proxy-toggle disable"
        ),
        "Routing   on   via ~/.claude/settings.json",
        "Daemon    down 127.0.0.1:8082: connection refused",
    ]


def test_on_and_somebody_else_listens_comes_first_too() -> None:
    silence = Silence("something else than claude-proxy answers there", taken=True)
    assert told(Status(ON, silence, "1.2.0"))[0].startswith(
        "Routing on, but something else than claude-proxy answers there (127.0.0.1:8082): claude will hang. "
    )


def test_off() -> None:
    assert told(Status(OFF, Silence("connection refused"), "1.2.0")) == [
        "Routing   off  switch it on: proxy-toggle enable",
        "Daemon    down 127.0.0.1:8082: connection refused · start it: claude-proxy service start",
    ]
    elsewhere = replace(OFF, elsewhere="https://gw.example", elsewhere_by="~/.claude/settings.json")
    assert told(Status(elsewhere, health(), "1.2.0"))[0] == (
        "Routing   off  ~/.claude/settings.json sends Claude Code to https://gw.example"
    )


def test_with_a_login_and_keys_and_nothing_told_of_the_plan() -> None:
    found = health(
        credentials={
            "claude": credential("pass-through"),
            "minimax": credential("absent", detail="nothing in env:HAIKU_PROVIDER_API_KEY"),
        }
    )
    assert told(Status(ON, found, "1.2.0"))[2:] == [
        "Claude    ok   your own login, passed through",
        "MiniMax   --   no usable key: nothing in env:HAIKU_PROVIDER_API_KEY; Haiku goes to Claude",
    ]
    found = health(credentials={"claude": credential("refused", detail="revoked"), "minimax": credential("not read")})
    assert told(Status(ON, found, "1.2.0"))[2:] == [
        "Claude    BAD  no usable key: revoked; nobody answers instead",
        "MiniMax   ok   its key has not been looked for yet",
    ]


def test_breakers_of_a_part() -> None:
    half = {**part(REASON, None), "state": "half_open"}
    found = health(
        upstreams={
            "claude": upstream("claude", part("slow down", 900, "model", "claude-opus-4-8")),
            "minimax": upstream("minimax", half, part(None, None, "credential")),
        }
    )
    assert told(Status(ON, found, "1.2.0"))[2:] == [
        "Claude    OPEN breaker for claude-opus-4-8: slow down, next try in 15 m",
        (
            f"MiniMax   OPEN breaker: {REASON}, the next request tries it; breaker of its credential: no reason told"
            "; Haiku goes to Claude meanwhile"
        ),
    ]


def test_a_spent_plan_and_windows_of_any_name() -> None:
    spent = quota(
        ("7d_oi", window(0.5, None)),
        ("other", window(0.25, NOW + 30 * 86400)),
        ("5h", window(1.0, NOW + 86400, "rejected")),
        ("7d", window(None, NOW)),
        age=0.2,
    )
    assert told(Status(ON, health(quota=spent), "1.2.0"))[2] == (
        "Claude    SPENT window 5 h 100 % (resets Fri 13:33) · 7 d oi 50 % · "
        "other 25 % (resets 2026-12-26 13:33) · read 0 s ago"
    )


def test_requests_that_wait_and_a_daemon_that_ends() -> None:
    found = health(
        status="draining",
        upstreams={"claude": upstream("claude"), "minimax": upstream("minimax", waiting=3, limit=5)},
    )
    assert told(Status(ON, found, "1.2.0"))[1:] == [
        (
            "Daemon    ends pid 4312 · 2 h 14 m · 127.0.0.1:8082 · 1 in flight · "
            "it lets running answers finish and then ends"
        ),
        "Claude    ok   your own login, passed through",
        "MiniMax   ok   with env:HAIKU_PROVIDER_API_KEY · all 5 places taken, 3 wait",
    ]


def test_what_else_is_to_be_known_comes_last() -> None:
    routing = replace(ON, troubles=("a trouble",), notes=("a note",))
    status = Status(routing, health(), "1.3.0", ("a warning",), stale_sessions=1, features_off=("A", "B"))
    assert told(status)[4:] == [
        "Features  off  A · B",
        "! 1 running session was started before routing was on: restart it",
        "! the daemon is version 1.2.0, this command 1.3.0: restart the daemon",
        "! a trouble",
        "! a note",
        "! a warning",
    ]
    assert "! 2 running sessions were started before routing was on: restart them" in told(
        status._replace(stale_sessions=2)
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 m"), (3599, "59 m"), (8040, "2 h 14 m"), (86400 * 3 + 7300, "3 d 2 h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text

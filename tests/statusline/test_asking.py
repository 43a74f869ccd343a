"""The daemon asked by the status line: which one, what comes back, and what does not."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from claude_proxy.statusline.asking import PATIENCE, NoAnswer, Told, ask, daemon_address
from claude_proxy.toggle.places import Places
from tests.closed_port import refusing_url
from tests.in_process import in_process
from tests.stand_in import Received, StandIn, Wire

HEALTH = {"status": "healthy", "version": "1", "upstreams": {}}
TODAY = {"requests": 3, "list_value": "12.84"}
TOKEN = "FAKE-access-token"


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://127.0.0.1:8082", ("127.0.0.1", 8082)),
        ("http://127.0.0.1:8082/", ("127.0.0.1", 8082)),
        ("http://localhost:9/x", ("localhost", 9)),
        ("http://[::1]:8082", ("::1", 8082)),
        ("http://[::1]", ("::1", 80)),
        ("http://127.0.0.1", ("127.0.0.1", 80)),
        ("https://127.0.0.1:8082", None),
        ("https://api.anthropic.com", None),
        ("http://gateway.example:8082", None),
        ("http://127.0.0.1:x", None),
        ("nonsense", None),
        ("", None),
    ],
)
def test_the_daemon_is_the_one_that_claude_code_asks(tmp_path: Path, url: str, found: tuple[str, int] | None) -> None:
    assert daemon_address({"ANTHROPIC_BASE_URL": url, "HOME": str(tmp_path)}) == found


@pytest.mark.parametrize(
    "variables", [{}, {"XDG_STATE_HOME": "/…/state"}, {"XDG_STATE_HOME": "state"}, {"XDG_STATE_HOME": " "}]
)
def test_without_the_variable_it_is_where_enable_has_noted_it(
    tmp_path: Path, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    environment = {"HOME": str(tmp_path)}
    for name, value in variables.items():
        environment[name] = value.replace("/…", str(tmp_path))
        monkeypatch.setenv(name, environment[name])
    flag = Places.of(environment).flag
    assert daemon_address(environment) is None
    flag.parent.mkdir(parents=True)
    flag.write_text("http://127.0.0.1:8083\n")
    assert daemon_address(environment) == ("127.0.0.1", 8083)
    flag.write_bytes(b"\xff")
    assert daemon_address(environment) is None


async def test_the_daemon_says_how_it_is(tmp_path: Path) -> None:
    async with in_process(tmp_path, {}) as daemon:
        told = await asyncio.to_thread(ask, "127.0.0.1", daemon.port, {}, 5.0)
    assert told.health["status"] == "healthy"
    assert "claude" in told.health["upstreams"]


async def test_both_questions_are_answered_over_one_connection_with_the_token_for_the_second_alone() -> None:
    async def answer(request: Received, wire: Wire) -> None:
        await wire.reply(200, json.dumps(HEALTH if request.path == "/health" else TODAY).encode())

    headers = f"x-else: 1\nX-Claude-Proxy-Token: {TOKEN}"
    async with StandIn(answer) as daemon:
        told = await asyncio.to_thread(
            ask, "127.0.0.1", daemon.port, {"ANTHROPIC_CUSTOM_HEADERS": headers, "AUTH_TOKEN": "FAKE-other"}, 5.0
        )
    assert told == Told(HEALTH, TODAY)
    assert daemon.connections == 1
    assert [(one.path, one.header("x-claude-proxy-token")) for one in daemon.received] == [
        ("/health", None),
        ("/api/stats/today", TOKEN),
    ]


@pytest.mark.parametrize("today", [b"no json", b"[]", b"[" * 100_000])
async def test_an_account_that_cannot_be_read_is_left_out(today: bytes) -> None:
    async def answer(request: Received, wire: Wire) -> None:
        await wire.reply(200, json.dumps(HEALTH).encode() if request.path == "/health" else today)

    async with StandIn(answer) as daemon:
        assert await asyncio.to_thread(ask, "127.0.0.1", daemon.port, {}, 5.0) == Told(HEALTH, {})


async def test_a_refusal_of_the_account_is_none() -> None:
    async def answer(request: Received, wire: Wire) -> None:
        await wire.reply(*(200, json.dumps(HEALTH).encode()) if request.path == "/health" else (403, b'{"a": 1}'))

    async with StandIn(answer) as daemon:
        assert await asyncio.to_thread(ask, "127.0.0.1", daemon.port, {}, 5.0) == Told(HEALTH, {})


async def test_health_is_told_though_the_account_never_comes() -> None:
    async def answer(request: Received, wire: Wire) -> None:
        if request.path == "/health":
            await wire.reply(200, json.dumps(HEALTH).encode())
        else:
            await wire.peer_left.wait()

    async with StandIn(answer) as daemon:
        assert await asyncio.to_thread(ask, "127.0.0.1", daemon.port, {}, 0.5) == Told(HEALTH, {})


def test_who_is_down_refuses_at_once() -> None:
    with refusing_url() as url, pytest.raises(NoAnswer, match="down"):
        ask("127.0.0.1", int(url.rpartition(":")[2]), {}, 60.0)


@pytest.mark.parametrize("body", [b"<html>", b'{"status": "ok"}', b""])
async def test_another_program_is_told_apart(body: bytes) -> None:
    async def answer(_: Received, wire: Wire) -> None:
        await wire.reply(200, body)

    async with StandIn(answer) as other:
        with pytest.raises(NoAnswer, match="is another program"):
            await asyncio.to_thread(ask, "127.0.0.1", other.port, {}, 5.0)


async def test_one_who_is_silent_is_not_waited_for() -> None:
    async def answer(_: Received, wire: Wire) -> None:
        await wire.peer_left.wait()

    async with StandIn(answer) as hanging:
        begun = time.monotonic()
        with pytest.raises(NoAnswer, match="does not answer"):
            await asyncio.to_thread(ask, "127.0.0.1", hanging.port, {})
        # Far from the test's own limit: it is the patience that ended it, on any machine.
        assert PATIENCE <= time.monotonic() - begun < 30

"""The daemon is asked how it is; whoever else answers, or nobody, is told apart from it."""

import asyncio
import json
from pathlib import Path

import pytest

from claude_proxy import __version__
from claude_proxy.toggle import health
from claude_proxy.toggle.health import Health, Silence, ask, wants_token
from tests.closed_port import refusing_url
from tests.in_process import in_process
from tests.stand_in import Answer, StandIn, hangs, raw, replies, resets

TOKEN = "FAKE-access-token-of-the-proxy"


async def asked(url: str) -> Health | Silence:
    return await asyncio.to_thread(ask, url)


async def test_the_daemon_tells_how_it_is(tmp_path: Path) -> None:
    async with in_process(tmp_path, {}) as daemon:
        found = await asked(daemon.url)
        assert isinstance(found, Health)
        assert (found.version, found.draining) == (__version__, False)
        assert 0 < found.seconds < health.PATIENCE
        assert set(found.section("upstreams")) == {"claude", "minimax"}
        assert found.section("status") == found.section("nothing") == {}
        daemon.house.drain.begin()
        draining = await asked(daemon.url)
        assert isinstance(draining, Health)
        assert draining.draining


async def test_nobody_answers() -> None:
    with refusing_url() as url:
        assert await asked(url) == Silence("connection refused")
        assert not await asyncio.to_thread(wants_token, url)


@pytest.mark.parametrize(
    "answer",
    [
        replies(200, b"<html>"),
        replies(200, b"[]"),
        replies(200, b'"healthy"'),
        replies(200, json.dumps({"status": "ok", "version": "1"}).encode()),
        replies(404, b"{}"),
        replies(200, b"[" * 100_000),
        raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
    ],
)
async def test_something_else_answers(answer: Answer) -> None:
    async with StandIn(answer) as other:
        assert await asked(other.url) == Silence("something else than claude-proxy answers there", taken=True)


async def test_it_hangs_up() -> None:
    async with StandIn(resets()) as other:
        found = await asked(other.url)
    assert isinstance(found, Silence)


async def test_it_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "PATIENCE", 0.05)
    async with StandIn(hangs()) as other:
        assert await asked(other.url) == Silence(
            "what listens there does not answer within 0.05 s", taken=True, hangs=True
        )


async def test_whether_it_asks_for_its_access_token(tmp_path: Path) -> None:
    async with in_process(tmp_path, {}) as daemon:
        assert not await asyncio.to_thread(wants_token, daemon.url)
    async with in_process(tmp_path, {}, {"AUTH_TOKEN": TOKEN}) as daemon:
        assert await asyncio.to_thread(wants_token, daemon.url)
        assert isinstance(await asked(daemon.url), Health)

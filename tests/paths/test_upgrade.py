"""Another version takes over where one has served, under load: no request is lost, no stream is cut."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.asking import ask
from tests.in_process import LOGIN
from tests.managed import held_sockets, managed
from tests.paths.held_streams import ASKED
from tests.paths.steady_load import SLOW, answers, slow_stream, steady_load
from tests.running import Daemon, running
from tests.stand_in import StandIn

LOAD_SECONDS = 10


def config(upstream: StandIn) -> dict[str, Any]:
    return {"upstreams": {"claude": {"base_url": upstream.url}}}


async def slow_answer(url: str) -> bytes:
    async with aiohttp.ClientSession() as session:
        body = {**ASKED, "model": SLOW}
        async with session.post(f"{url}/v1/messages", json=body, headers=LOGIN) as reply:
            return await reply.read()


async def begun(url: str) -> "asyncio.Task[bytes]":
    """A slow answer that has begun."""
    slow = asyncio.create_task(slow_answer(url))
    async with asyncio.timeout(20):
        while not (await ask(f"{url}/livez", method="GET")).json()["in_flight"]:
            pass
    return slow


async def who_serves(url: str) -> int:
    return int((await ask(f"{url}/health", method="GET")).json()["pid"])


async def test_a_manager_stops_one_and_starts_the_next_on_its_socket(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = slow_stream()
    with held_sockets() as sockets:
        async with StandIn(answers(events)) as upstream, managed(tmp_path / "old", config(upstream), sockets) as old:
            slow = await begun(old.url)
            load = asyncio.create_task(steady_load(old.url, LOAD_SECONDS))
            old.signal(signal.SIGTERM)
            async with managed(tmp_path / "new", config(upstream), sockets) as new:
                assert await who_serves(old.url) == new.process.pid
                assert await slow == b"".join(events)
                assert await old.ended() == 0
                result = await load
                assert new.log.count("event=exchange") > LOAD_SECONDS
    with capsys.disabled():
        print(f"\nstopped and started: {result}")
    assert result.lost == []


async def test_a_daemon_hands_over_to_the_version_that_is_installed_now(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = slow_stream()
    with held_sockets() as sockets:
        async with StandIn(answers(events)) as upstream, managed(tmp_path, config(upstream), sockets) as daemon:
            await hand_over_under_load(daemon, events, capsys)


async def test_a_daemon_with_a_socket_of_its_own_hands_over_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = slow_stream()
    async with StandIn(answers(events)) as upstream, running(tmp_path, config(upstream)) as daemon:
        await hand_over_under_load(daemon, events, capsys)


async def hand_over_under_load(daemon: Daemon, events: list[bytes], capsys: pytest.CaptureFixture[str]) -> None:
    slow = await begun(daemon.url)
    load = asyncio.create_task(steady_load(daemon.url, LOAD_SECONDS + 3))
    daemon.signal(signal.SIGUSR2)
    stand_in = int((await daemon.logged(r"event=handed_over to=(\d+)"))[1])
    assert await who_serves(daemon.url) == stand_in != daemon.process.pid
    assert await slow == b"".join(events)
    await daemon.logged("event=succeeding")
    await daemon.logged("event=draining signal=TAKEN_OVER")
    assert await who_serves(daemon.url) == daemon.process.pid
    result = await load
    with capsys.disabled():
        print(f"\nhanded over: {result}")
    assert result.lost == []
    assert await daemon.stop() == 0
    assert daemon.log.count("event=stopped") == 2  # the stand-in's and its own

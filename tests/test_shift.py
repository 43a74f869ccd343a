"""A shift within this process: what it tells while it drains, and a next version that cannot be started or hangs.

Whole shifts of real processes are in tests/paths: test_drain, test_managed, test_reload, test_upgrade.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from claude_proxy import shift as module
from claude_proxy.assembly import House, assemble
from claude_proxy.config.load import load
from claude_proxy.handover import StandIn
from claude_proxy.listening import Listening
from claude_proxy.notify import Notifier
from claude_proxy.shift import End, Shift
from claude_proxy.web.gate import Gate
from claude_proxy.web.protocol import Server
from tests.in_process import ONLY_GIVEN
from tests.managed import Ear, ear
from tests.paths.held_streams import HeldStreams, in_the_middle
from tests.raw_client import ask
from tests.stand_in import StandIn as Upstream


@dataclass
class Running:
    """A shift that runs beside the test."""

    shift: "asyncio.Task[End]"
    port: int
    hearing: Ear
    house: House

    def signal(self, number: signal.Signals) -> None:
        os.kill(os.getpid(), number)


@contextlib.asynccontextmanager
async def running_shift(
    tmp_path: Path, config: dict[str, Any], start: Callable[[socket.socket], StandIn] | None = None
) -> AsyncIterator[Running]:
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({"listen": {"port": 0}, "credentials": ONLY_GIVEN, **config}))

    def start_nothing(_: socket.socket) -> StandIn:
        raise AssertionError("no stand-in is wanted here")

    with socket.create_server(("127.0.0.1", 0)) as own, ear(str(tmp_path / "notify")) as hearing:
        listening = Listening([own], held=True)
        settings = load(file, {})
        async with assemble(settings, {}, listening.port, lambda _: None) as house:
            gate = Gate(Server(house.app, settings.limits), listening.sockets)
            notifier = Notifier({"NOTIFY_SOCKET": hearing.address})
            shift = Shift(
                house, lambda: load(file, {}), gate, listening, notifier, lambda: (start or start_nothing)(own)
            )
            task = asyncio.create_task(shift.run())
            try:
                assert (await hearing.next())["READY"] == "1"
                yield Running(task, listening.port, hearing, house)
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                await gate.leave()


async def test_what_takes_its_time_is_read_ahead_once_it_serves(tmp_path: Path) -> None:
    async with running_shift(tmp_path, {}) as running:
        assert list(running.house.transport._pool._trusting) == [""]


async def test_more_time_is_asked_for_again_and_again_while_it_drains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PROGRESS_EVERY", 0.05)
    held = HeldStreams()
    async with Upstream(held.answer) as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}}
        async with running_shift(tmp_path, config) as running:
            url = f"http://127.0.0.1:{running.port}"
            async with in_the_middle(url, held, 1) as (client,):
                running.signal(signal.SIGTERM)
                for _ in range(4):
                    message = await running.hearing.next()
                    assert message["STOPPING"] == "1"
                    assert int(message["EXTEND_TIMEOUT_USEC"]) == 150_000  # three times as long as until the next one
                held.let_go()
                assert await client.all() == held.whole
            assert await asyncio.wait_for(running.shift, 20) is End.DONE


async def test_a_next_version_that_cannot_be_run_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def start(own: socket.socket) -> StandIn:
        return StandIn.start([str(tmp_path / "gone")], [own], held=True)

    async with running_shift(tmp_path, {}, start) as running:
        running.signal(signal.SIGUSR2)
        running.signal(signal.SIGHUP)  # which is answered once that has been acted upon
        await running.hearing.hears(lambda message: "READY" in message)
        assert "handover_failed" in caplog.text
        assert (await ask(running.port)).json() == {"in_flight": 0, "draining": False}


async def test_a_next_version_that_hangs_before_it_serves_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_START_TIMEOUT", 0.1)
    started: list[StandIn] = []

    def start(own: socket.socket) -> StandIn:
        command = [sys.executable, "-c", "import time; time.sleep(60)"]
        started.append(StandIn.start(command, [own], held=True))
        return started[-1]

    async with running_shift(tmp_path, {}, start) as running:
        for number in (1, 2):  # and may be tried again
            running.signal(signal.SIGUSR2)
            async with asyncio.timeout(20):
                while caplog.text.count("handover_failed") < number:
                    await asyncio.sleep(0.01)
            assert len(started) == number
            assert not _exists(started[-1].pid)
        assert (await ask(running.port)).json() == {"in_flight": 0, "draining": False}
    for stand_in in started:
        stand_in.channel.close()


def _exists(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


async def test_stopped_while_the_next_version_starts_it_waits_for_that_to_end(tmp_path: Path) -> None:
    started: list[StandIn] = []
    until_sent_away = """
import json, os, socket
channel = socket.socket(fileno=json.loads(os.environ["_CLAUDE_PROXY_HANDOVER"])["channel"])
channel.recv(1)
"""

    def start(own: socket.socket) -> StandIn:
        started.append(StandIn.start([sys.executable, "-c", until_sent_away], [own], held=True))
        return started[-1]

    async with running_shift(tmp_path, {}, start) as running:
        running.signal(signal.SIGUSR2)
        running.signal(signal.SIGTERM)
        assert await asyncio.wait_for(running.shift, 20) is End.DONE
        (stand_in,) = started
        assert not _exists(stand_in.pid)
        stand_in.channel.close()

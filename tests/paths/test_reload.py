"""SIGHUP reads the configuration again: new requests go by it, running ones keep theirs, a fault changes nothing."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from tests.asking import Reply, ask
from tests.in_process import LOGIN
from tests.paths.held_streams import ASKED, HeldStreams, in_the_middle
from tests.running import Daemon, running
from tests.stand_in import Received, StandIn, Wire, fails, says

RETRY = {"max_retries": 0}


@dataclass
class House:
    """A daemon whose configuration names three upstreams, and routes everything to some of them."""

    daemon: Daemon
    file: Path
    upstreams: Mapping[str, StandIn]

    def configure(self, *targets: str, **more: Any) -> None:
        self.file.write_text(yaml.safe_dump(configuration(self.upstreams, *targets, **more)))

    async def reload(self) -> None:
        await self.daemon.reload()

    async def ask(self) -> Reply:
        return await ask(f"{self.daemon.url}/v1/messages", {**ASKED, "stream": False}, LOGIN)


def configuration(upstreams: Mapping[str, StandIn], *targets: str, **more: Any) -> dict[str, Any]:
    return {
        "listen": {"host": "127.0.0.1", "port": 0},
        "upstreams": {
            name: {"base_url": upstream.url, "dialect": "anthropic", "credential": "claude"}
            for name, upstream in upstreams.items()
        },
        "routes": [{"to": [{"upstream": name} for name in targets]}],
        "retry": RETRY,
        **more,
    }


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Everything goes to the first upstream, else to the second."""
    async with StandIn() as one, StandIn() as two, StandIn() as three:
        upstreams = {"one": one, "two": two, "three": three}
        async with running(tmp_path, configuration(upstreams, "one", "two")) as daemon:
            yield House(daemon, tmp_path / "config.yaml", upstreams)


def answered_by(reply: Reply) -> str:
    assert reply.status == 200
    return reply.headers["x-claude-proxy-upstream"]


async def test_a_changed_route_holds_for_new_requests(house: House) -> None:
    assert answered_by(await house.ask()) == "one"
    house.configure("three")
    assert answered_by(await house.ask()) == "one"  # not before it is told
    await house.reload()
    assert answered_by(await house.ask()) == "three"
    assert f"config={house.file}" in next(line for line in house.daemon.lines if "event=reloaded" in line)


async def test_a_running_stream_is_finished_by_the_upstream_that_began_it(house: House) -> None:
    held = HeldStreams()
    house.upstreams["one"].answer = held.answer
    async with in_the_middle(house.daemon.url, held, 3) as clients:
        house.configure("three")
        await house.reload()
        assert answered_by(await house.ask()) == "three"
        held.let_go()
        assert await asyncio.gather(*(client.all() for client in clients)) == [held.whole] * 3


async def test_a_running_request_keeps_the_targets_with_which_it_began(house: House) -> None:
    asked, reloaded = asyncio.Event(), asyncio.Event()

    async def fails_late(received: Received, wire: Wire) -> None:
        asked.set()
        await reloaded.wait()
        await fails(529, "overloaded_error")(received, wire)

    house.upstreams["one"].answer = fails_late
    running_request = asyncio.create_task(house.ask())
    await asyncio.wait_for(asked.wait(), 20)
    house.configure("three")
    await house.reload()
    reloaded.set()
    assert answered_by(await running_request) == "two"
    assert house.upstreams["three"].received == []


FAULTY = {
    "a wrong value": ("routes: []\nretry:\n  max_retries: -1\n", r":3:16 retry.max_retries: expected"),
    "an unknown key": ("drain_timeot: 1m\n", r":1:1 drain_timeot: unknown setting; did you mean 'drain_timeout'"),
    "an unknown upstream": ("routes: [{ to: [{ upstream: nobody }] }]\n", r":1:29 routes\[0\].to\[0\].upstream: "),
    "broken YAML": ("routes: [\n  {to: }\n", r":\d+:\d+ this is not valid YAML"),
    "no text at all": ("\x00", r".* not valid YAML"),
}


@pytest.mark.parametrize("name", FAULTY)
async def test_a_faulty_file_changes_nothing_and_the_log_says_what_and_where(house: House, name: str) -> None:
    text, said = FAULTY[name]
    house.file.write_text(text)
    await house.reload()
    await house.daemon.logged(rf'event=reload_refused fault="{re.escape(str(house.file))}{said}')
    assert "event=reloaded" not in house.daemon.log
    assert answered_by(await house.ask()) == "one"
    house.configure("three")
    await house.reload()
    assert answered_by(await house.ask()) == "three"


async def test_every_fault_of_the_file_is_logged(house: House) -> None:
    house.file.write_text("drain_timeout: soon\nlog: { level: loud }\nretry: 7\n")
    await house.reload()
    await house.daemon.logged("event=reload_refused .*retry")
    faults = [line for line in house.daemon.lines if "event=reload_refused" in line]
    assert [f"{house.file}:{at}" in line for at, line in zip(("1:", "2:", "3:"), faults, strict=True)] == [True] * 3


async def test_a_file_that_has_gone_changes_nothing(house: House) -> None:
    house.file.unlink()
    await house.reload()
    await house.daemon.logged("event=reload_refused .*does not exist")
    assert answered_by(await house.ask()) == "one"


async def test_a_reload_keeps_what_is_known_of_an_upstream_that_fails(house: House) -> None:
    """Its breaker is open, and stays so under its name: it is not asked again."""
    house.configure("one", "two", breaker={"failures": 1, "cooldown": "1h"})
    house.upstreams["one"].answer = fails(500, "api_error")
    async with running(house.daemon.home / "again", yaml.safe_load(house.file.read_text())) as daemon:
        again = House(daemon, daemon.home / "config.yaml", house.upstreams)
        assert answered_by(await again.ask()) == "two"
        house.upstreams["one"].answer = says()
        asked = len(house.upstreams["one"].received)
        await again.reload()
        assert answered_by(await again.ask()) == "two"
        assert len(house.upstreams["one"].received) == asked
        health = (await ask(f"{daemon.url}/health", method="GET")).json()
        assert health["upstreams"]["one"]["breaker"]["state"] == "open"


async def test_a_reload_changes_how_much_is_logged(house: House) -> None:
    house.configure("three", log={"level": "error"})
    house.daemon.signal(signal.SIGHUP)
    async with asyncio.timeout(20):
        while answered_by(await house.ask()) != "three":
            pass
    house.configure("two", log={"level": "info"})
    await house.reload()
    assert answered_by(await house.ask()) == "two"
    await house.daemon.logged("event=exchange .*upstream=two")
    assert "upstream=three" not in house.daemon.log

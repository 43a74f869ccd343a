"""What may happen while one version hands over to the next: somebody asks late, one of the two fails, or is stopped."""

import contextlib
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import yaml

from tests.asking import ask
from tests.claude_request import claude_body
from tests.in_process import LOGIN
from tests.managed import Ear, ear, held_sockets, managed
from tests.paths.held_streams import HeldStreams, in_the_middle
from tests.raw_client import connected, request
from tests.running import Daemon, eventually
from tests.stand_in import StandIn, says


@dataclass
class House:
    """A daemon on a manager's socket, its upstream, and the streams that this holds back."""

    daemon: Daemon
    upstream: StandIn
    held: HeldStreams
    hearing: Ear

    @property
    def file(self) -> Path:
        return self.daemon.home / "config.yaml"

    async def who_serves(self) -> int:
        return int((await ask(f"{self.daemon.url}/health", method="GET")).json()["pid"])

    async def hand_over(self) -> int:
        """Asks for it, and returns the stand-in's process id once that serves."""
        before = len(self.daemon.lines)
        self.daemon.signal(signal.SIGUSR2)
        await eventually(lambda: any("event=handed_over" in line for line in self.daemon.lines[before:]), 20)
        return await self.who_serves()

    def question(self, *headers: tuple[str, str]) -> bytes:
        host = f"127.0.0.1:{self.daemon.port}"
        sent = [*LOGIN.items(), ("Content-Type", "application/json"), *headers]
        return request("POST", "/v1/messages", host=host, headers=sent, body=claude_body(stream=False))


def config(upstream: StandIn) -> dict[str, Any]:
    return {"upstreams": {"claude": {"base_url": upstream.url}}}


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    held = HeldStreams()
    with held_sockets() as sockets, ear(str(tmp_path / "notify")) as hearing:
        async with (
            StandIn(held.answer) as upstream,
            managed(tmp_path, config(upstream), sockets, hearing) as daemon,
        ):
            yield House(daemon, upstream, held, hearing)


def alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


# --- who is in is answered -----------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])
async def test_a_connection_that_is_in_is_answered_once_more_and_closed(house: House, number: signal.Signals) -> None:
    async with in_the_middle(house.daemon.url, house.held, 1) as (client,), connected(house.daemon.port) as old:
        house.upstream.answer = says()
        await old.send(house.question())
        first = await old.answer()
        assert first is not None
        assert (first.status, first.header("connection")) == (200, None)

        house.daemon.signal(number)
        await house.daemon.logged("event=draining|event=handed_over")
        old.raw.clear()
        await old.send(house.question())
        outcome = await old.end()
        assert (outcome.final.status, outcome.final.header("connection")) == (200, "close")
        assert outcome.closed
        house.held.let_go()
        assert await client.all() == house.held.whole


async def test_a_connection_that_has_not_asked_yet_is_answered(house: House) -> None:
    house.upstream.answer = says()
    async with connected(house.daemon.port) as fresh:
        assert await house.who_serves() == house.daemon.process.pid  # it is in by now
        house.daemon.signal(signal.SIGTERM)
        await house.daemon.logged("event=draining")
        await fresh.send(house.question())
        answer = await fresh.answer()
        assert answer is not None
        assert answer.status == 200
    assert await house.daemon.ended() == 0


# --- the next version fails ----------------------------------------------------------------------------


async def test_a_next_version_that_does_not_start_changes_nothing(house: House) -> None:
    house.file.write_text("drain_timeout: soon\n")
    async with in_the_middle(house.daemon.url, house.held, 1) as (client,):
        house.daemon.signal(signal.SIGUSR2)
        await house.daemon.logged("event=handover_failed .*ended before it served")
        assert "drain_timeout: expected a duration" in house.daemon.log
        assert await house.who_serves() == house.daemon.process.pid
        house.held.let_go()
        assert await client.all() == house.held.whole
    house.file.write_text("listen: { port: 0 }\n")
    assert await house.hand_over() != house.daemon.process.pid


async def test_a_next_version_that_dies_while_it_serves_is_replaced_by_the_old_one(house: House) -> None:
    async with in_the_middle(house.daemon.url, house.held, 1) as (client,):
        stand_in = await house.hand_over()
        os.kill(stand_in, signal.SIGKILL)
        await house.daemon.logged("event=handover_failed .*this one serves")
        assert await house.who_serves() == house.daemon.process.pid
        house.held.let_go()
        assert await client.all() == house.held.whole
        assert (await ask(f"{house.daemon.url}/health", method="GET")).json()["status"] == "healthy"
        async with connected(house.daemon.port) as kept:
            await kept.send(request("GET", "/livez", host=f"127.0.0.1:{house.daemon.port}"))
            answer = await kept.answer()
            assert answer is not None
            assert answer.header("connection") is None


async def test_a_configuration_that_was_spoilt_meanwhile_is_waited_for(house: House) -> None:
    async with in_the_middle(house.daemon.url, house.held, 1) as (client,):
        stand_in = await house.hand_over()
        good = house.file.read_text()
        house.file.write_text("drain_timeout: soon\n")
        house.held.let_go()
        assert await client.all() == house.held.whole
    await house.daemon.logged("event=handover_waits .*expected a duration")
    assert await house.who_serves() == stand_in
    house.file.write_text(good)
    house.daemon.signal(signal.SIGHUP)
    await house.daemon.logged("event=draining signal=TAKEN_OVER")
    assert await house.who_serves() == house.daemon.process.pid
    assert "event=reloaded" in house.daemon.log  # the stand-in was told as well
    assert await house.daemon.stop() == 0


# --- somebody stops it ---------------------------------------------------------------------------------


async def test_stopped_in_the_middle_both_finish_what_they_have_begun(house: House) -> None:
    async with in_the_middle(house.daemon.url, house.held, 1) as (first,):
        stand_in = await house.hand_over()
        async with in_the_middle(house.daemon.url, house.held, 1) as (second,):
            house.daemon.signal(signal.SIGTERM)
            await house.daemon.logged("event=draining signal=SIGTERM")
            await house.daemon.logged("event=draining signal=SENT_AWAY")
            await house.hearing.hears(lambda message: message.get("STOPPING") == "1")
            house.held.let_go()
            assert await first.all() == await second.all() == house.held.whole
            assert await house.daemon.ended() == 0
    assert not alive(stand_in)


async def test_a_second_signal_ends_both_at_once(house: House) -> None:
    async with in_the_middle(house.daemon.url, house.held, 1) as (first,):
        stand_in = await house.hand_over()
        async with in_the_middle(house.daemon.url, house.held, 1) as (second,):
            house.daemon.signal(signal.SIGTERM)
            await house.daemon.logged("event=draining signal=SIGTERM")
            house.daemon.signal(signal.SIGTERM)
            assert await house.daemon.ended() == 1
            for client in (first, second):
                with pytest.raises(aiohttp.ClientError):
                    await client.all()
    await eventually(lambda: not alive(stand_in))


async def test_a_stand_in_whose_predecessor_is_killed_finishes_and_ends(house: House) -> None:
    async with in_the_middle(house.daemon.url, house.held, 1):
        stand_in = await house.hand_over()
        async with in_the_middle(house.daemon.url, house.held, 1) as (second,):
            house.daemon.signal(signal.SIGKILL)
            await house.daemon.logged("event=draining signal=SENT_AWAY")
            house.held.let_go()
            assert await second.all() == house.held.whole
            await eventually(lambda: not alive(stand_in))


async def test_a_second_handover_has_to_wait_for_the_first(house: House) -> None:
    async with in_the_middle(house.daemon.url, house.held, 1):
        stand_in = await house.hand_over()
        for pid in (house.daemon.process.pid, stand_in):
            os.kill(pid, signal.SIGUSR2)
        await eventually(lambda: house.daemon.log.count("event=handover_refused") == 2)
        assert await house.who_serves() == stand_in
        house.held.let_go()
        await house.daemon.logged("event=draining signal=TAKEN_OVER")
        assert await house.hand_over() not in {stand_in, house.daemon.process.pid}


# --- what the relatives are given ----------------------------------------------------------------------


async def test_a_stand_in_knows_nothing_of_the_manager_and_the_successor_all(house: House) -> None:
    async with in_the_middle(house.daemon.url, house.held, 1):
        stand_in = await house.hand_over()
        given = Path(f"/proc/{stand_in}/environ").read_bytes()
        assert b"NOTIFY_SOCKET" not in given
        assert b"LISTEN_FDS" not in given
        house.held.let_go()
        await house.hearing.hears(lambda message: "READY" in message)
        await house.daemon.logged("event=draining signal=TAKEN_OVER")
    again = await house.hearing.hears(lambda message: "READY" in message)
    assert again["MAINPID"] == str(house.daemon.process.pid)


async def test_the_configuration_of_the_stand_in_is_the_one_of_now(house: House) -> None:
    async with StandIn() as other:
        house.file.write_text(yaml.safe_dump({"listen": {"port": 0}, **config(other)}))
        async with in_the_middle(house.daemon.url, house.held, 1) as (client,):
            await house.hand_over()
            body = claude_body(stream=False)
            assert (await ask(f"{house.daemon.url}/v1/messages", body, LOGIN)).status == 200
            assert len(other.received) == 1
            house.held.let_go()
            assert await client.all() == house.held.whole

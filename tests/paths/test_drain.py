"""The daemon is told to end: what runs is finished, what comes is refused, and a second signal ends it at once."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.asking import ask
from tests.claude_request import claude_body
from tests.in_process import LOGIN
from tests.paths.held_streams import ASKED, HeldStreams, in_the_middle
from tests.raw_client import connected, request
from tests.running import Daemon, eventually, running
from tests.stand_in import StandIn, message_json, replies

House = tuple[Daemon, StandIn, HeldStreams]


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    held = HeldStreams()
    async with (
        StandIn(held.answer) as upstream,
        running(tmp_path, {"upstreams": {"claude": {"base_url": upstream.url}}}) as daemon,
    ):
        yield daemon, upstream, held


async def test_ten_streams_are_finished_before_the_daemon_ends(house: House) -> None:
    daemon, upstream, held = house
    async with in_the_middle(daemon.url, held, 10) as clients:
        daemon.signal(signal.SIGTERM)
        assert (await daemon.logged(r"event=draining .*in_flight=(\d+)"))[1] == "10"

        health = await ask(f"{daemon.url}/health", method="GET")
        assert (health.status, health.json()["status"], health.json()["in_flight"]) == (503, "draining", 10)
        livez = await ask(f"{daemon.url}/livez", method="GET")
        assert (livez.status, livez.json()) == (200, {"in_flight": 10, "draining": True})

        late = await ask(f"{daemon.url}/v1/messages", ASKED, LOGIN)
        assert late.status == 503
        assert late.headers["retry-after"] == "1"
        assert late.headers.getall("x-should-retry") == ["true"]
        assert late.headers["x-claude-proxy-error"] == "draining"
        assert late.headers["Connection"] == "close"
        assert late.json()["type"] == "error"
        assert late.json()["error"]["type"] == "api_error"
        assert len(upstream.received) == 10

        held.let_go()
        assert await asyncio.gather(*(client.all() for client in clients)) == [held.whole] * 10
        assert await daemon.ended() == 0
    assert "event=stopped" in daemon.log
    assert daemon.log.count("end=complete") == 10
    assert "Traceback" not in daemon.log


async def test_a_second_signal_ends_the_daemon_at_once(house: House) -> None:
    daemon, _, held = house
    async with in_the_middle(daemon.url, held, 10) as clients:
        daemon.signal(signal.SIGTERM)
        await daemon.logged("event=draining")
        daemon.signal(signal.SIGTERM)
        assert await daemon.ended() == 1
        for client in clients:
            with pytest.raises(aiohttp.ClientError):
                await client.all()
    stopped = next(line for line in daemon.lines if "event=stopped" in line)
    assert 'cause="a second signal"' in stopped
    assert "cut_off=10" in stopped
    assert "Traceback" not in daemon.log


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
async def test_either_signal_begins_a_drain_that_the_other_ends(house: House, first: signal.Signals) -> None:
    daemon, _, held = house
    async with in_the_middle(daemon.url, held, 1):
        daemon.signal(first)
        await daemon.logged(f"event=draining signal={first.name}")
        daemon.signal(signal.SIGINT if first is signal.SIGTERM else signal.SIGTERM)
        assert await daemon.ended() == 1


async def test_ctrl_c_lets_a_stream_finish(house: House) -> None:
    daemon, _, held = house
    async with in_the_middle(daemon.url, held, 1) as (client,):
        daemon.signal(signal.SIGINT)
        await daemon.logged("event=draining")
        held.let_go()
        assert await client.all() == held.whole
        assert await daemon.ended() == 0
    assert "Traceback" not in daemon.log


async def test_a_reload_during_a_drain_neither_ends_nor_undoes_it(house: House) -> None:
    daemon, _, held = house
    async with in_the_middle(daemon.url, held, 1) as (client,):
        daemon.signal(signal.SIGTERM)
        await daemon.logged("event=draining")
        daemon.signal(signal.SIGHUP)
        assert (await ask(f"{daemon.url}/health", method="GET")).status == 503
        held.let_go()
        assert await client.all() == held.whole
        assert await daemon.ended() == 0
    assert "event=reloaded" not in daemon.log


async def test_a_drain_ends_at_its_limit(tmp_path: Path) -> None:
    held = HeldStreams()
    async with StandIn(held.answer) as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}, "drain_timeout": "100ms"}
        async with running(tmp_path, config) as daemon, in_the_middle(daemon.url, held, 2) as clients:
            daemon.signal(signal.SIGTERM)
            assert await daemon.ended() == 1
            for client in clients:
                with pytest.raises(aiohttp.ClientError):
                    await client.all()
    assert 'cause="the drain timeout" cut_off=2' in daemon.log


async def test_a_daemon_with_nothing_to_do_ends_at_once(house: House) -> None:
    daemon, _, _ = house
    async with connected(daemon.port) as idle:  # a connection that rests between two requests holds nobody up
        await idle.send(request("GET", "/livez", host=f"127.0.0.1:{daemon.port}"))
        assert await idle.answer() is not None
        assert await daemon.stop() == 0
        assert (await idle.end()).closed
    with pytest.raises(aiohttp.ClientConnectorError):
        await ask(f"{daemon.url}/livez", method="GET")


async def test_a_request_whose_body_is_still_coming_is_answered(house: House) -> None:
    daemon, _, held = house
    held.let_go()
    headers = [*LOGIN.items(), ("Content-Type", "application/json")]
    body = claude_body(stream=True)
    whole = request("POST", "/v1/messages", host=f"127.0.0.1:{daemon.port}", headers=headers, body=body)
    async with connected(daemon.port) as client:
        await client.send(whole[:-10])
        async with asyncio.timeout(20):
            while (await ask(f"{daemon.url}/livez", method="GET")).json()["in_flight"] != 1:
                pass
        daemon.signal(signal.SIGTERM)
        await daemon.logged("event=draining")
        await client.send(whole[-10:])
        answer = await client.answer()
        assert answer is not None
        assert (answer.status, answer.body) == (200, held.whole)
        assert await daemon.ended() == 0


async def test_an_answer_that_its_client_has_not_read_yet_is_still_in_flight(house: House) -> None:
    daemon, upstream, _ = house
    large = message_json("x" * 20_000_000)
    upstream.answer = replies(200, large)
    headers = [*LOGIN.items(), ("Content-Type", "application/json"), ("Connection", "close")]
    body = claude_body(stream=False)
    whole = request("POST", "/v1/messages", host=f"127.0.0.1:{daemon.port}", headers=headers, body=body)
    async with connected(daemon.port) as client:
        await client.send(whole)
        await client.read_until(lambda so_far: len(so_far.raw) > 0)  # and reads on only once the drain has begun
        daemon.signal(signal.SIGTERM)
        assert (await daemon.logged(r"event=draining .*in_flight=(\d+)"))[1] == "1"
        assert (await client.end()).final.body == large
        assert await daemon.ended() == 0


async def test_metrics_are_given_during_a_drain(house: House) -> None:
    daemon, _, held = house
    async with in_the_middle(daemon.url, held, 3):
        daemon.signal(signal.SIGTERM)
        await daemon.logged("event=draining")
        metrics = await ask(f"{daemon.url}/metrics", method="GET")
        assert metrics.status == 200
        assert b"\nclaude_proxy_requests_in_flight 3.0\n" in metrics.body
        held.let_go()
        await eventually(lambda: daemon.process.returncode == 0)


async def test_a_port_that_is_taken_is_told_with_a_remedy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with running(tmp_path, {"listen": {"host": "127.0.0.1", "port": port}}, wait=False) as daemon:
            assert await daemon.ended() == 78
    assert f"127.0.0.1:{port}" in daemon.log
    assert "in use" in daemon.log
    assert "--port" in daemon.log
    assert "Traceback" not in daemon.log
    assert "event=listening" not in daemon.log


async def test_a_second_daemon_on_the_same_port_leaves_the_first_alone(house: House, tmp_path: Path) -> None:
    daemon, _, _ = house
    config = {"listen": {"host": "127.0.0.1", "port": daemon.port}}
    async with running(tmp_path / "second", config, wait=False) as second:
        assert await second.ended() == 78
    assert (await ask(f"{daemon.url}/health", method="GET")).status == 200

"""After the first event nothing is tried again: the client gets what came, one error event, and a clean end."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.asking import ask, sse_events
from tests.in_process import LOGIN, InProcess, in_process, turns_of_the_loop
from tests.stand_in import Answer, Received, StandIn, Wire, message_end, message_start, sse, text_block

ASKED = {"model": "claude-sonnet-4-5", "max_tokens": 100, "stream": True, "messages": []}

START = message_start(input_tokens=11)
DELTAS = text_block("one two three")
END = message_end(output_tokens=5)
PING = sse("ping", {"type": "ping"})
ERROR = sse("error", {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})


@dataclass
class House:
    daemon: InProcess
    first: StandIn
    second: StandIn


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Two upstreams for every request, and no silence of more than 300 ms."""
    async with StandIn() as first, StandIn() as second:
        config = {
            "upstreams": {
                name: {"base_url": upstream.url, "dialect": "anthropic", "credential": "claude"}
                for name, upstream in (("first", first), ("second", second))
            },
            "routes": [{"to": [{"upstream": "first"}, {"upstream": "second"}]}],
            "retry": {"first_wait": "1ms", "max_wait": "1ms"},
            "transport": {"stream_idle_timeout": "300ms"},
        }
        async with in_process(tmp_path, config) as daemon:
            yield House(daemon, first, second)


def breaks(parts: Sequence[bytes], how: str) -> Answer:
    """A stream of these parts, and then no good end."""

    async def answer(_: Received, wire: Wire) -> None:
        await wire.start_stream()
        for part in parts:
            await wire.chunk(part)
            await turns_of_the_loop(20)  # a reset would discard what has not been read
        match how:
            case "reset":
                wire.reset()
            case "closed":
                wire.close()
            case "ended":
                await wire.end()
            case "bad chunks":
                await wire.send(b"zz\r\nno chunk size\r\n")
                await wire.reader.read(1)
                wire.keep_alive = False
            case "a chunk that is cut short":
                await wire.send(b"ff\r\nevent: ")
                wire.close()
            case "silence":
                await wire.reader.read(1)
                wire.peer_left.set()
                wire.keep_alive = False

    return answer


HOWS = ["reset", "closed", "ended", "bad chunks", "a chunk that is cut short", "silence"]

WHERE: dict[str, tuple[list[bytes], bytes]] = {
    # what comes before the break, and what of it is whole events
    "after the first event": ([START], START),
    "between events": ([START, *DELTAS[:2]], START + b"".join(DELTAS[:2])),
    "within an event": ([START, DELTAS[0], DELTAS[1][:30]], START + DELTAS[0]),
    "within a line end": ([START, DELTAS[0][:-1]], START),
    "within the last event": ([START, *DELTAS, END[0], END[1][:-3]], START + b"".join(DELTAS) + END[0]),
    "after a ping": ([PING], PING),
    "after a comment": ([b": hold on\n\n"], b": hold on\n\n"),
    "after half a character": ([START, "data: é".encode()[:-1]], START),
}


def assert_broken(body: bytes, whole: bytes) -> dict[str, Any]:
    """The whole events that came, and exactly one error event in Anthropic's shape, whose data it gives."""
    assert body.startswith(whole)
    ((name, data),) = sse_events(body[len(whole) :])
    assert name == "error"
    assert data["type"] == "error"
    assert data["error"]["type"] == "api_error"
    assert "first" in data["error"]["message"]
    assert isinstance(data, dict)
    return data


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("where", WHERE)
async def test_a_break_is_told_in_one_error_event_and_nothing_is_asked_again(
    house: House, where: str, how: str
) -> None:
    parts, whole = WHERE[where]
    house.first.answer = breaks(parts, how)
    async with asyncio.timeout(10):
        reply = await ask(f"{house.daemon.url}/v1/messages", ASKED, LOGIN)
    assert reply.status == 200
    assert not reply.cut
    told = assert_broken(reply.body, whole)
    assert told["request_id"] == reply.headers["x-claude-proxy-request-id"]
    assert len(house.first.received) == 1
    assert house.second.received == []
    (line,) = house.daemon.logged("exchange")
    assert (line["end"], line["attempts"], line["id"]) == ("broken", 1, told["request_id"])


async def test_the_connection_to_an_upstream_that_fell_silent_is_closed(house: House) -> None:
    house.first.answer = breaks([START], "silence")
    await ask(f"{house.daemon.url}/v1/messages", ASKED, LOGIN)
    await house.first.wait_for(lambda: house.first.open_connections == 0)


async def test_an_event_without_end_is_cut_off(house: House) -> None:
    house.first.answer = breaks([START, *[b"data: " + b"x" * 1_000_000] * 9], "silence")
    reply = await ask(f"{house.daemon.url}/v1/messages", ASKED, LOGIN)
    assert_broken(reply.body, START)


@pytest.mark.parametrize("how", ["ended", "reset", "closed", "silence"])
async def test_the_upstreams_own_error_event_is_the_only_one(house: House, how: str) -> None:
    parts = [START, DELTAS[0], ERROR]
    house.first.answer = breaks(parts, how)
    reply = await ask(f"{house.daemon.url}/v1/messages", ASKED, LOGIN)
    assert reply.body == b"".join(parts)
    assert not reply.cut
    assert house.second.received == []
    (line,) = house.daemon.logged("exchange")
    assert line["end"] == "failed"


@pytest.mark.parametrize("opening", [PING, b": hold on\n\n"], ids=["ping", "comment"])
async def test_an_error_event_after_a_sign_of_life_goes_through_as_it_is(house: House, opening: bytes) -> None:
    arrived = asyncio.Event()

    async def answer(_: Received, wire: Wire) -> None:
        await wire.start_stream()
        await wire.chunk(opening)
        await arrived.wait()
        await wire.chunk(ERROR)
        await wire.end()

    house.first.answer = answer
    async with (
        asyncio.timeout(10),
        aiohttp.ClientSession() as session,
        session.post(f"{house.daemon.url}/v1/messages", json=ASKED, headers=LOGIN) as reply,
    ):
        assert await reply.content.readexactly(len(opening)) == opening
        arrived.set()
        assert await reply.content.read() == ERROR
    assert len(house.first.received) == 1
    assert house.second.received == []


@pytest.mark.parametrize("how", ["reset", "closed", "silence"])
async def test_a_stream_whose_last_event_came_is_complete_however_it_ends(house: House, how: str) -> None:
    parts = [START, *DELTAS, *END]
    house.first.answer = breaks(parts, how)
    reply = await ask(f"{house.daemon.url}/v1/messages", ASKED, LOGIN)
    assert reply.body == b"".join(parts)
    assert not reply.cut
    (line,) = house.daemon.logged("exchange")
    assert (line["end"], line["input_tokens"], line["output_tokens"]) == ("complete", 11, 5)


async def test_the_usage_of_a_broken_stream_is_recorded_as_far_as_it_came(house: House) -> None:
    house.first.answer = breaks([START, *DELTAS, END[0]], "closed")
    await ask(f"{house.daemon.url}/v1/messages", ASKED, LOGIN)
    (line,) = house.daemon.logged("exchange")
    assert (line["end"], line["input_tokens"], line["output_tokens"]) == ("broken", 11, 5)


async def test_breaks_count_against_the_upstream_until_it_is_left_alone(house: House) -> None:
    house.first.answer = breaks([START], "ended")
    for _ in range(5):
        assert_broken((await ask(f"{house.daemon.url}/v1/messages", ASKED, LOGIN)).body, START)
    assert house.second.received == []
    reply = await ask(f"{house.daemon.url}/v1/messages", ASKED, LOGIN)
    assert reply.headers["x-claude-proxy-upstream"] == "second"
    assert len(house.first.received) == 5


@pytest.mark.parametrize("how", ["reset", "closed", "bad chunks", "a chunk that is cut short", "silence"])
async def test_the_break_of_another_answer_is_told_by_its_missing_end(house: House, how: str) -> None:
    house.first.answer = breaks([b"line 1\n", b"line 2\n"], how)
    async with asyncio.timeout(10):
        reply = await ask(f"{house.daemon.url}/v1/files/f_1/content", None, LOGIN, method="GET")
    assert reply.cut
    assert reply.body.startswith(b"line 1\nline 2\n")
    assert house.second.received == []

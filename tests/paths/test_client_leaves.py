"""A client leaves, politely or not: its upstream is let go within a second, nothing is tried again, what it used is
recorded, and nothing of it is left: no request in flight, no connection, no task."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.asking import ask
from tests.claude_request import claude_body
from tests.in_process import LOGIN, InProcess, in_process
from tests.raw_client import RawConnection, connected, request
from tests.running import eventually
from tests.stand_in import (
    Received,
    StandIn,
    Wire,
    fails,
    hangs,
    message_end,
    message_json,
    message_start,
    says,
    text_block,
)

JSON = ("Content-Type", "application/json")
EVENTS = [message_start(input_tokens=11), *text_block("one two three")]


@dataclass(frozen=True)
class Counts:
    """What a request holds as long as it is under way."""

    in_flight: int
    at_upstreams: int
    """Connections that the upstreams see."""
    acquired: int
    """Connections that the daemon's pool has lent out."""
    tasks: int


@dataclass
class House:
    daemon: InProcess
    first: StandIn
    second: StandIn
    start: Counts | None = None

    def counts(self) -> Counts:
        return Counts(
            self.daemon.house.drain.in_flight,
            self.first.open_connections + self.second.open_connections,
            len(self.daemon.house.transport._pool._acquired),
            len(asyncio.all_tasks()),
        )

    async def lets_go(self) -> None:
        """The upstreams are let go within a second of now, and all counts are back where they were at the start."""
        await self.first.wait_for(lambda: self.first.open_connections == 0, seconds=1)
        assert self.second.open_connections == 0
        with contextlib.suppress(TimeoutError):
            await eventually(lambda: self.counts() == self.start)
        assert self.counts() == self.start, asyncio.all_tasks()

    def post(self, *headers: tuple[str, str], stream: bool = True, body: bytes | None = None) -> bytes:
        """A request as it lies on the wire."""
        given = claude_body(stream=stream) if body is None else body
        named = [*LOGIN.items(), JSON, *headers]
        return request("POST", "/v1/messages", host=f"127.0.0.1:{self.daemon.port}", headers=named, body=given)

    async def in_flight(self, number: int) -> None:
        """Waits for so many, as seen from outside."""
        async with asyncio.timeout(10):
            while (await self.daemon.livez())["in_flight"] != number:
                await asyncio.sleep(0.01)

    async def line(self) -> dict[str, Any]:
        """The one log line of the one exchange, once it is there."""
        await eventually(lambda: bool(self.daemon.logged("exchange")))
        (line,) = self.daemon.logged("exchange")
        return line

    async def is_well(self) -> None:
        """Nobody holds the client's leaving against anybody: the first upstream is asked and answers."""
        assert not [record for record in self.daemon.records if record["level"] in {"warning", "error"}]
        health = (await ask(f"{self.daemon.url}/health", method="GET")).json()
        assert [upstream["breaker"]["state"] for upstream in health["upstreams"].values()] == ["closed"] * 4
        self.first.answer = says("still there")
        reply = await ask(f"{self.daemon.url}/v1/messages", claude_body(), LOGIN)
        assert reply.headers["x-claude-proxy-upstream"] == "first"
        assert b"still there" in reply.body


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with StandIn() as first, StandIn() as second:
        config = {
            "upstreams": {
                name: {"base_url": upstream.url, "dialect": "anthropic", "credential": "claude"}
                for name, upstream in (("first", first), ("second", second))
            },
            "routes": [
                {"model": "of-the-first-alone", "to": [{"upstream": "first"}]},
                {"to": [{"upstream": "first"}, {"upstream": "second"}]},
            ],
            "retry": {"first_wait": "1h", "max_wait": "1h", "max_elapsed": "1d"},
            "breaker": {"failures": 1},
        }
        async with in_process(tmp_path, config) as daemon:
            house = House(daemon, first, second)
            house.start = house.counts()
            assert house.start.in_flight == house.start.at_upstreams == house.start.acquired == 0
            yield house


async def politely(client: RawConnection) -> None:
    """With FIN, as a program that ends."""
    client.writer.close()


async def by_halves(client: RawConnection) -> None:
    """With FIN while it still listens; whoever asks for a stream and says goodbye does not want it any more."""
    client.finish_sending()


async def abruptly(client: RawConnection) -> None:
    """With RST, as a program that is killed."""
    linger_for_no_time = struct.pack("ii", 1, 0)
    client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_for_no_time)
    client.writer.transport.abort()


Leave = Callable[[RawConnection], Awaitable[None]]
LEAVES = pytest.mark.parametrize("leave", [politely, by_halves, abruptly], ids=lambda way: way.__name__)


@LEAVES
async def test_a_client_that_leaves_while_it_sends_its_body_has_asked_for_nothing(house: House, leave: Leave) -> None:
    async with connected(house.daemon.port) as client:
        await client.send(house.post()[:-20])
        await house.in_flight(1)
        await leave(client)
        await house.lets_go()
    assert house.first.connections == house.second.connections == 0
    await house.is_well()


@LEAVES
async def test_a_client_that_leaves_between_two_chunks_of_its_body_has_asked_for_nothing(
    house: House, leave: Leave
) -> None:
    host = f"127.0.0.1:{house.daemon.port}"
    headers = [*LOGIN.items(), JSON, ("Transfer-Encoding", "chunked")]
    body = claude_body()
    async with connected(house.daemon.port) as client:
        head = request("POST", "/v1/messages", host=host, headers=headers)
        await client.send(head + b"%x\r\n%s\r\n" % (len(body), body))  # all of it, but for the chunk that ends it
        await house.in_flight(1)
        await leave(client)
        await house.lets_go()
    assert house.first.connections == house.second.connections == 0
    await house.is_well()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@LEAVES
async def test_a_client_that_leaves_before_the_answer_lets_the_upstream_go(
    house: House, leave: Leave, stream: bool
) -> None:
    house.first.answer = hangs()
    async with connected(house.daemon.port) as client:
        await client.send(house.post(stream=stream))
        await house.first.wait_for(lambda: len(house.first.received) == 1)
        assert house.counts().acquired == 1
        await house.in_flight(1)
        await leave(client)
        await house.lets_go()
    line = await house.line()
    assert (line["end"], line["level"], line["attempts"]) == ("client_gone", "info", 1)
    assert len(house.first.received) == 1
    assert house.second.received == []
    await house.is_well()


@LEAVES
async def test_a_client_that_leaves_before_the_first_event_lets_the_upstream_go(house: House, leave: Leave) -> None:
    house.first.answer = hangs([EVENTS[0][:-1]])
    async with connected(house.daemon.port) as client:
        await client.send(house.post())
        await house.first.wait_for(lambda: len(house.first.received) == 1)
        await leave(client)
        await house.lets_go()
    assert (await house.line())["end"] == "client_gone"
    assert house.second.received == []
    await house.is_well()


@LEAVES
async def test_a_client_that_leaves_in_the_middle_of_a_stream_is_recorded_with_what_it_used(
    house: House, leave: Leave
) -> None:
    house.first.answer = hangs([*EVENTS, message_end(output_tokens=5)[0]])
    async with connected(house.daemon.port) as client:
        await client.send(house.post())
        assert await client.read_until(lambda so_far: b"message_delta" in so_far.raw)
        assert house.counts().acquired == 1
        await house.in_flight(1)
        await leave(client)
        await house.lets_go()
    line = await house.line()
    assert (line["end"], line["level"], line["upstream"]) == ("client_gone", "info", "first")
    assert (line["input_tokens"], line["output_tokens"]) == (11, 5)
    assert house.second.received == []
    metrics = (await ask(f"{house.daemon.url}/metrics", method="GET")).body
    assert b'claude_proxy_tokens_total{model="other",type="input",upstream="first"} 11.0' in metrics
    assert b'end="client_gone"' in metrics
    await house.is_well()


@LEAVES
async def test_a_client_that_leaves_between_two_attempts_is_not_asked_for_again(house: House, leave: Leave) -> None:
    overloaded = fails(529, "overloaded_error", headers=[("Connection", "close")])

    async def answer_and_close(received: Received, wire: Wire) -> None:
        await overloaded(received, wire)
        wire.close()

    house.first.answer = answer_and_close
    async with connected(house.daemon.port) as client:
        await client.send(house.post(body=claude_body(model="of-the-first-alone")))
        await eventually(lambda: bool(house.daemon.logged("attempt_failed")))
        await house.in_flight(1)
        breaker = house.daemon.house.forwarder.routes.upstreams["first"].breaker
        before = (breaker.state, breaker.reason)
        await leave(client)
        await house.lets_go()
    assert (breaker.state, breaker.reason) == before
    assert before[0] == "open"  # by the refusal, which is the upstream's
    assert (await house.line())["end"] == "client_gone"
    assert len(house.first.received) == 1
    assert house.second.received == []


@LEAVES
async def test_a_client_that_leaves_within_a_whole_answer_lets_the_upstream_go(house: House, leave: Leave) -> None:
    begun = asyncio.Event()

    async def half_of_it(_: Received, wire: Wire) -> None:
        body = message_json()
        await wire.head(200, [JSON, ("Content-Length", str(len(body)))])
        await wire.send(body[:-9])
        begun.set()
        await wire.reader.read(1)
        wire.keep_alive = False

    house.first.answer = half_of_it
    async with connected(house.daemon.port) as client:
        await client.send(house.post(stream=False))
        await begun.wait()
        await house.in_flight(1)
        await leave(client)
        await house.lets_go()
    assert (await house.line())["end"] == "client_gone"
    assert house.second.received == []
    await house.is_well()


@LEAVES
async def test_a_client_that_leaves_while_its_body_goes_up_lets_the_upstream_go(
    house: House, leave: Leave, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The upstream takes the connection and reads nothing of a body that no buffers of the system hold."""
    taken, gone = asyncio.Event(), asyncio.Event()

    async def reads_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: int) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a reading transport too
        taken.set()
        await gone.wait()

    monkeypatch.setattr(house.first, "_serve", reads_nothing)
    async with connected(house.daemon.port) as client:
        await client.send(house.post(body=claude_body("x" * (30 << 20))))
        await taken.wait()
        await eventually(lambda: house.counts().acquired == 1)
        await leave(client)
        await eventually(lambda: house.counts().acquired == 0, seconds=1)
        gone.set()
        await house.lets_go()
    assert (await house.line())["end"] == "client_gone"
    assert house.second.received == []
    monkeypatch.undo()
    await house.is_well()


@LEAVES
async def test_a_client_that_leaves_an_answer_of_another_path_lets_the_upstream_go(house: House, leave: Leave) -> None:
    house.first.answer = hangs([b"line 1\n"])
    host = f"127.0.0.1:{house.daemon.port}"
    async with connected(house.daemon.port) as client:
        await client.send(request("GET", "/v1/files/f_1/content", host=host, headers=LOGIN.items()))
        assert await client.read_until(lambda so_far: b"line 1" in so_far.raw)
        await leave(client)
        await house.lets_go()
    assert (await house.line())["end"] == "client_gone"
    await house.is_well()


async def test_fifty_clients_that_leave_at_once_leave_nothing_behind(house: House) -> None:
    house.first.answer = hangs(EVENTS)

    async def comes_and_goes(number: int) -> None:
        async with connected(house.daemon.port) as client:
            await client.send(house.post())
            assert await client.read_until(lambda so_far: b"content_block_stop" in so_far.raw)
            await (politely, by_halves, abruptly)[number % 3](client)

    await asyncio.gather(*(comes_and_goes(number) for number in range(50)))
    await house.lets_go()
    await eventually(lambda: len(house.daemon.logged("exchange")) == 50)
    ended = {(line["end"], line["input_tokens"], line["output_tokens"]) for line in house.daemon.logged("exchange")}
    assert ended == {("client_gone", 11, 1)}  # what message_start has said
    assert len(house.first.received) == 50
    await house.is_well()


async def test_a_client_that_reads_nothing_is_not_read_for(house: House) -> None:
    """Back-pressure: the upstream is held up instead of the answer being piled up here."""
    held_up = asyncio.Event()
    event = text_block("x" * 60_000, pieces=1)[1]

    async def never_ends(_: Any, wire: Any) -> None:
        await wire.start_stream()
        await wire.chunk(EVENTS[0])
        for _number in range(4_000):  # 240 MB, which no buffers of the system hold
            wire.writer.write(b"%x\r\n%s\r\n" % (len(event), event))
            if wire.writer.transport.get_write_buffer_size() > 1 << 20:
                held_up.set()
                break
            await asyncio.sleep(0)
        await wire.reader.read(1)
        wire.keep_alive = False

    house.first.answer = never_ends
    async with connected(house.daemon.port) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a reading transport too
        await client.send(house.post())
        await asyncio.wait_for(held_up.wait(), 20)
        await abruptly(client)
        await house.lets_go()
    assert (await house.line())["end"] == "client_gone"

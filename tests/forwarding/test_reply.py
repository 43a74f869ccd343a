"""An answer on its way to the client: what passes, what is read from it, and how its end is told."""

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claude_proxy.exchange import End, Exchange
from claude_proxy.failures import FailureKind
from claude_proxy.upstreams.breaker import BreakerState
from claude_proxy.wire.messages import ClientRequest
from tests.client_requests import message_request, other_request
from tests.forwarding.forwarding_house import BRINGS_KEY, QUICK, Told, forwarding, pieces
from tests.stand_in import (
    Answer,
    Received,
    StandIn,
    Wire,
    hangs,
    message_end,
    message_json,
    message_start,
    raw,
    replies,
    resets,
    says,
    sse,
    streams,
    text_block,
    text_stream,
    two,
)

STREAM = message_request(BRINGS_KEY, stream=True)
GOOD = text_stream("hello there")
OVERLOADED = sse("error", {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
BEGUN = GOOD[:3]
HALF = b'event: content_block_delta\ndata: {"type":"content_bl'


async def ask(home: Path, answer: Answer, *, idle: str = "20s") -> tuple[Told, int, BreakerState]:
    """What became of a stream, how often the upstream was asked, and how its breaker took it."""
    transport, breaker = {"stream_idle_timeout": idle}, {"failures": 1}
    async with (
        StandIn(answer) as claude,
        forwarding(home, {"claude": claude}, transport=transport, breaker=breaker) as house,
    ):
        told = await house.ask(STREAM)
        if told.failure is not None and "ended without" not in told.failure.message:
            await claude.wait_for(lambda: claude.open_connections == 0)
        return told, len(claude.received), house.breaker("claude").state


def cut_short(*chunks: bytes) -> Answer:
    """A stream of these chunks whose connection is then closed without the end of its body."""
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    return raw(head + body)


async def turns_of_the_loop() -> None:
    """Long enough for what has arrived on a socket to be read from it."""
    for _ in range(20):
        await asyncio.sleep(0)


class Paced:
    """An upstream that sends the next chunk of its stream when the one before was read, and then ends it."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = chunks
        self._read = asyncio.Semaphore(0)

    async def answer(self, _: Received, wire: Wire) -> None:
        await wire.start_stream()
        await wire.chunk(self._chunks[0])
        for chunk in self._chunks[1:]:
            await self._read.acquire()
            await wire.chunk(chunk)
        await wire.end()

    async def read(self) -> None:
        """What the client does after each chunk."""
        self._read.release()


# --- to a good end ---------------------------------------------------------------------------------------


async def test_each_event_is_passed_on_as_soon_as_it_is_whole(tmp_path: Path) -> None:
    paced = Paced(*GOOD)
    async with StandIn(paced.answer) as claude, forwarding(tmp_path, {"claude": claude}) as house:
        told = await house.ask(STREAM, after_each=paced.read)
    assert (told.chunks, told.failure) == (GOOD, None)
    assert told.exchange.usage.output_tokens == 7


async def test_an_event_that_comes_in_two_parts_is_passed_on_in_one(tmp_path: Path) -> None:
    first, second, *rest = GOOD
    paced = Paced(first + second[:9], second[9:], *rest)
    async with StandIn(paced.answer) as claude, forwarding(tmp_path, {"claude": claude}) as house:
        told = await house.ask(STREAM, after_each=paced.read)
    assert (told.chunks, told.failure) == (GOOD, None)
    assert told.exchange.usage.output_tokens == 7


async def test_a_whole_stream_is_complete_and_its_usage_is_read(tmp_path: Path) -> None:
    told, asked, breaker = await ask(tmp_path, streams(GOOD))
    assert (told.body, told.failure, asked, breaker) == (b"".join(GOOD), None, 1, BreakerState.CLOSED)
    assert told.exchange.end is End.COMPLETE
    assert (told.exchange.usage.input_tokens, told.exchange.usage.output_tokens) == (10, 7)


@pytest.mark.parametrize("rest", [b": bye", b"\n", b"data: half"])
async def test_what_stands_behind_the_message_is_passed_on_as_well(tmp_path: Path, rest: bytes) -> None:
    told, _, breaker = await ask(tmp_path, streams([*GOOD, rest]))
    assert told.body == b"".join([*GOOD, rest])
    assert (told.exchange.end, breaker) == (End.COMPLETE, BreakerState.CLOSED)


@pytest.mark.parametrize("answer", [cut_short(*GOOD), resets(GOOD)], ids=["closed", "reset"])
async def test_a_connection_that_ends_badly_behind_the_message_harms_nothing(tmp_path: Path, answer: Answer) -> None:
    told, _, breaker = await ask(tmp_path, answer)
    assert (told.body, told.failure, breaker) == (b"".join(GOOD), None, BreakerState.CLOSED)
    assert told.exchange.end is End.COMPLETE


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, 700), max_size=12))
async def test_however_a_stream_is_cut_into_packets_the_same_bytes_pass(tmp_path: Path, cuts: list[int]) -> None:
    whole = b"".join(GOOD)
    edges = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    told, _, _ = await ask(tmp_path, streams(whole[a:b] for a, b in pairwise(edges)))
    assert told.body == whole
    assert told.exchange.end is End.COMPLETE


# --- broken ----------------------------------------------------------------------------------------------

BREAKS = {
    "a reset": (resets(BEGUN), "broke off"),
    "a reset amid an event": (resets([*BEGUN, HALF]), "broke off"),
    "a close without an end": (cut_short(*BEGUN), "broke off"),
    "a clean end": (streams(BEGUN), "ended without message_stop"),
    "a clean end amid an event": (streams([*BEGUN, HALF]), "ended without message_stop"),
    "silence": (hangs(BEGUN), "fell silent"),
    "silence amid an event": (hangs([*BEGUN, HALF]), "fell silent"),
}


@pytest.mark.parametrize(("answer", "words"), BREAKS.values(), ids=BREAKS)
async def test_a_stream_that_breaks_is_told_on_an_event_boundary_and_asked_nowhere_again(
    tmp_path: Path, answer: Answer, words: str
) -> None:
    told, asked, breaker = await ask(tmp_path, answer, idle="100ms")
    assert told.status == 200
    assert told.body == b"".join(BEGUN)
    assert told.kind is FailureKind.BROKEN_STREAM
    assert told.failure is not None
    assert words in told.failure.message
    assert asked == 1
    assert breaker is BreakerState.OPEN, "a broken stream counts"
    assert (told.exchange.end, told.exchange.status) == (End.BROKEN, 200)
    assert told.exchange.failure is told.failure
    assert told.exchange.attempts[0].failure is not None
    assert told.exchange.attempts[0].failure.upstream == "claude"
    assert told.exchange.usage.input_tokens == 10


async def test_a_torn_event_is_not_passed_on_though_it_came_alone(tmp_path: Path) -> None:
    paced = Paced(*BEGUN, HALF)
    async with StandIn(paced.answer) as claude, forwarding(tmp_path, {"claude": claude}) as house:
        told = await house.ask(STREAM, after_each=paced.read)
    assert told.chunks == BEGUN
    assert told.kind is FailureKind.BROKEN_STREAM


async def test_what_came_before_a_break_reaches_a_client_that_reads_slowly(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def answer(_: Received, wire: Wire) -> None:
        await wire.start_stream()
        await wire.chunk(BEGUN[0])
        await go_on.wait()
        for event in BEGUN[1:]:
            await wire.chunk(event)
        wire.close()

    async with StandIn(answer) as claude, forwarding(tmp_path, {"claude": claude}) as house, asyncio.timeout(20):

        async def read_slowly() -> None:
            go_on.set()
            await claude.wait_for(lambda: claude.open_connections == 0)
            await turns_of_the_loop()

        told = await house.ask(STREAM, after_each=read_slowly)
    assert told.kind is FailureKind.BROKEN_STREAM
    assert told.body == b"".join(BEGUN)


async def test_bad_chunking_amid_a_stream_is_a_break(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def answer(_: Received, wire: Wire) -> None:
        await wire.start_stream()
        await wire.chunk(b"".join(BEGUN))
        await go_on.wait()
        await wire.send(b"not a size\r\n")
        await wire.reader.read(1)
        wire.close()

    async with StandIn(answer) as claude, forwarding(tmp_path, {"claude": claude}) as house, asyncio.timeout(20):

        async def let_it_go_on() -> None:
            go_on.set()

        told = await house.ask(STREAM, after_each=let_it_go_on)
        assert (told.kind, told.body) == (FailureKind.BROKEN_STREAM, b"".join(BEGUN))
        await claude.wait_for(lambda: claude.open_connections == 0)


async def test_an_event_without_end_is_given_up_at_its_bound(tmp_path: Path) -> None:
    async def endless(_: Received, wire: Wire) -> None:
        await wire.start_stream()
        await wire.chunk(b"".join(BEGUN))
        await wire.chunk(b"data: ")
        while True:
            await wire.chunk(b"x" * (256 << 10))

    told, _, _ = await ask(tmp_path, endless)
    assert told.kind is FailureKind.BROKEN_STREAM
    assert told.body == b"".join(BEGUN)


async def test_streams_that_break_one_after_the_other_open_the_breaker(tmp_path: Path) -> None:
    async with (
        two(streams(BEGUN), says("from the second")) as (claude, gateway),
        forwarding(tmp_path, {"claude": claude, "gateway": gateway}, breaker={"failures": 3}) as house,
    ):
        for _ in range(3):
            assert (await house.ask(STREAM)).kind is FailureKind.BROKEN_STREAM
        assert house.breaker("claude").state is BreakerState.OPEN
        assert (await house.ask(STREAM)).failure is None
    assert (len(claude.received), len(gateway.received)) == (3, 1)


@pytest.mark.parametrize(
    ("good", "request_of"),
    [(streams(GOOD), STREAM), (replies(200, message_json()), message_request(BRINGS_KEY))],
    ids=["a stream", "a whole message"],
)
async def test_a_good_answer_between_broken_ones_begins_the_count_anew(
    tmp_path: Path, good: Answer, request_of: ClientRequest
) -> None:
    async with (
        StandIn(streams(BEGUN)) as claude,
        forwarding(tmp_path, {"claude": claude}, breaker={"failures": 2}) as house,
    ):
        for _ in range(3):
            assert (await house.ask(STREAM)).kind is FailureKind.BROKEN_STREAM
            assert house.breaker("claude").state is BreakerState.CLOSED
            claude.then(good)
            assert (await house.ask(request_of)).failure is None


# --- ended by the upstream itself ------------------------------------------------------------------------


async def test_the_upstreams_own_error_event_passes_untouched_and_is_recorded(tmp_path: Path) -> None:
    told, asked, breaker = await ask(tmp_path, streams([*BEGUN, OVERLOADED]))
    assert told.body == b"".join([*BEGUN, OVERLOADED])
    assert told.failure is None, "the client has been told by the upstream itself"
    assert asked == 1
    assert told.exchange.end is End.FAILED
    assert told.exchange.attempts[0].failure is not None
    assert told.exchange.attempts[0].failure.kind is FailureKind.BROKEN_STREAM
    assert breaker is BreakerState.OPEN


async def test_a_connection_that_ends_badly_behind_an_error_event_is_not_told_as_a_second_error(tmp_path: Path) -> None:
    told, _, breaker = await ask(tmp_path, resets([*BEGUN, OVERLOADED]))
    assert (told.body, told.failure) == (b"".join([*BEGUN, OVERLOADED]), None)
    assert (told.exchange.end, breaker) == (End.FAILED, BreakerState.OPEN)


# --- by a client that leaves -----------------------------------------------------------------------------


async def test_a_client_that_leaves_amid_a_stream_ends_it_and_has_its_usage_so_far_recorded(tmp_path: Path) -> None:
    async with (
        StandIn(hangs(BEGUN)) as claude,
        forwarding(tmp_path, {"claude": claude}, breaker={"failures": 1}) as house,
    ):
        begun = asyncio.Event()
        exchange = Exchange(STREAM)

        async def read() -> None:
            async with house.forwarder.forward(exchange) as reply:
                async for _ in pieces(reply):
                    begun.set()

        reading = asyncio.create_task(read())
        async with asyncio.timeout(20):
            await begun.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await claude.wait_for(lambda: claude.open_connections == 0)
        assert (exchange.end, exchange.usage.input_tokens) == (End.CLIENT_GONE, 10)
        assert house.breaker("claude").state is BreakerState.CLOSED
        assert len(claude.received) == 1


# --- what is no stream of events -------------------------------------------------------------------------


async def test_a_body_of_another_path_is_passed_on_as_it_comes_whatever_it_is(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def answer(_: Received, wire: Wire) -> None:
        await wire.start_stream([("Content-Type", "application/octet-stream")], 206)
        await wire.chunk(b"\x00half")
        await go_on.wait()
        await wire.chunk(b"\xffrest")
        await wire.end()

    async with (
        StandIn(answer) as claude,
        forwarding(tmp_path, {"claude": claude}) as house,
        asyncio.timeout(20),
        house.forwarder.forward(Exchange(other_request("GET", "/v1/files/f/content", BRINGS_KEY))) as reply,
    ):
        assert (reply.status, reply.is_events, reply.body) == (206, False, None)
        chunks = pieces(reply)
        assert await anext(chunks) == b"\x00half"
        go_on.set()
        assert [chunk async for chunk in chunks] == [b"\xffrest"]


async def test_a_body_of_another_path_that_breaks_is_told_as_broken(tmp_path: Path) -> None:
    async with StandIn(resets([b"half"])) as claude, forwarding(tmp_path, {"claude": claude}) as house:
        told = await house.ask(other_request("GET", "/v1/files/f/content", BRINGS_KEY))
        assert len(claude.received) == 1
    assert (told.body, told.kind) == (b"half", FailureKind.BROKEN_STREAM)
    assert told.exchange.end is End.BROKEN


# --- a stranger's ----------------------------------------------------------------------------------------


async def test_every_event_of_a_stranger_is_translated(tmp_path: Path) -> None:
    thinking = sse(
        "content_block_start",
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "signature": "theirs"}},
    )
    events = [message_start("MiniMax-M2.5"), *text_block("hi"), thinking, *message_end()]
    paced = Paced(*events)
    async with StandIn(paced.answer) as minimax, forwarding(tmp_path, {"minimax": minimax}) as house:
        told = await house.ask(STREAM, after_each=paced.read)
    assert b"MiniMax" not in told.body
    assert b"claude-proxy:minimax:theirs" in told.body


async def test_a_failure_that_minimax_hides_amid_its_stream_ends_it_as_an_error_event(tmp_path: Path) -> None:
    hidden = b'data: {"base_resp":{"status_code":1002,"status_msg":"rate limit"}}\n\n'
    answer = streams([message_start("MiniMax-M2.5"), hidden])
    retry = {**QUICK, "max_retries": 0}
    async with StandIn(answer) as minimax, forwarding(tmp_path, {"minimax": minimax}, retry=retry) as house:
        told = await house.ask(STREAM)
    assert told.body.count(b"event: error\n") == 1
    assert told.exchange.end is End.FAILED

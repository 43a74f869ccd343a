"""A body given out in the moment in which it arrives: in order, no faster than wanted, and to its end."""

import asyncio
import gc
import weakref
from contextlib import closing
from typing import Any

import pytest

from claude_proxy.upstreams.connection import Pool
from claude_proxy.upstreams.transport import Answer, BrokenOff, Transport, TransportSettings
from tests.running import eventually
from tests.stand_in import Answer as Answering
from tests.stand_in import Received, StandIn, Wire, hangs, raw, replies, resets, streams
from tests.upstreams.calls import PATIENT, send, to, transport

BLOCK = bytes(64 << 10)
BLOCKS = 512
MOST_KEPT = 1 << 20


class Basin:
    """What was poured into it; with `room` it asks for a rest after so many pieces."""

    def __init__(self, room: int | None = None) -> None:
        self.pieces: list[bytes] = []
        self.room = room

    def take(self, piece: bytes) -> bool:
        self.pieces.append(piece)
        return self.room is None or len(self.pieces) < self.room

    @property
    def whole(self) -> bytes:
        return b"".join(self.pieces)


async def pour(answer: Answer, basin: Basin) -> bool:
    async with asyncio.timeout(20):
        return await answer.pour(basin.take)


async def kept_while_it_rests(answer: Answering) -> tuple[int, bytes]:
    """How many bytes of a body lie here when it rests after its first piece and the upstream is read no further, and
    all of it after that."""
    async with StandIn(answer) as upstream, transport() as through:
        with closing(await send(through, to(upstream.url))) as got:
            basin = Basin(room=1)
            assert await pour(got, basin)
            await eventually(lambda: got._call._protocol._reading_paused)
            kept = got._call.content._size
            basin.room = None
            assert not await pour(got, basin)
    return kept, basin.whole


@pytest.mark.parametrize("body", [replies(200, b"12345"), streams([b"12", b"345"])], ids=["of a length", "in chunks"])
async def test_all_of_a_body_is_given_and_none_of_it_is_empty(body: object) -> None:
    async with StandIn(body) as upstream, transport() as through:  # type: ignore[arg-type]
        for _ in range(2):
            basin = Basin()
            with closing(await send(through, to(upstream.url))) as answer:
                assert not await pour(answer, basin)
            assert basin.whole == b"12345"
            assert all(basin.pieces)
        assert upstream.connections == 1


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_without_a_body_gives_nothing(status: int) -> None:
    async with StandIn(raw(b"HTTP/1.1 %d X\r\n\r\n" % status)) as upstream, transport() as through:
        basin = Basin()
        with closing(await send(through, to(upstream.url))) as answer:
            assert not await pour(answer, basin)
        assert basin.pieces == []


async def test_each_piece_is_given_when_it_comes() -> None:
    basin = Basin()

    async def answer(_: Received, wire: Wire) -> None:
        await wire.start_stream()
        for number in range(3):
            await wire.chunk(b"%d" % number)
            await eventually(lambda: len(basin.pieces) == number + 1)  # noqa: B023 - asked at once
        await wire.end()

    async with StandIn(answer) as upstream, transport() as through:
        with closing(await send(through, to(upstream.url))) as got:
            timers: list[object] = [got._call._protocol._silence_timer]
            assert not await pour(got, basin)
        timers.append(got._call._protocol._silence_timer)
    assert timers[0] is not None
    assert timers[1] is None  # each stream would leave one for minutes
    assert basin.pieces == [b"0", b"1", b"2"]


async def test_after_a_rest_it_goes_on_with_what_came_meanwhile() -> None:
    rested = asyncio.Event()

    async def answer(_: Received, wire: Wire) -> None:
        await wire.start_stream()
        await wire.chunk(b"first")
        await rested.wait()
        await wire.chunk(b"second")
        await wire.chunk(b"third")
        await wire.end()

    async with StandIn(answer) as upstream, transport() as through:
        with closing(await send(through, to(upstream.url))) as got:
            basin = Basin(room=1)
            assert await pour(got, basin)
            rested.set()
            await eventually(got._call.content.is_eof)
            assert basin.pieces == [b"first"]
            basin.room = None
            assert not await pour(got, basin)
            assert basin.pieces == [b"first", b"secondthird"]


async def test_while_it_rests_the_upstream_is_read_no_further_than_its_bound() -> None:
    async def answer(_: Received, wire: Wire) -> None:
        await wire.start_stream()
        for _number in range(BLOCKS):  # 32 MiB: more than the buffers of any system
            await wire.chunk(BLOCK)
        await wire.end()

    kept, whole = await kept_while_it_rests(answer)
    assert kept <= MOST_KEPT
    assert len(whole) == BLOCKS * len(BLOCK)


async def test_what_the_taker_raises_ends_it() -> None:
    def leave(_: bytes) -> bool:
        raise ConnectionResetError("the client has left")

    async with StandIn(hangs([b"a part"])) as upstream, transport() as through:
        with closing(await send(through, to(upstream.url))) as got, pytest.raises(ConnectionResetError):
            await got.pour(leave)
        await upstream.wait_for(lambda: upstream.open_connections == 0)


async def test_a_reset_is_told_after_what_came_before_it() -> None:
    async with StandIn(resets([b"first"])) as upstream, transport() as through:
        basin = Basin()
        with closing(await send(through, to(upstream.url))) as got, pytest.raises(BrokenOff) as broken:
            await pour(got, basin)
        assert basin.whole == b"first"
        assert not broken.value.stalled


async def test_a_reset_during_a_rest_is_told_after_what_came_before_it() -> None:
    reset = asyncio.Event()

    async with StandIn(hangs()) as upstream, transport() as through:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"

        async def two(_: Received, wire: Wire) -> None:
            await wire.send(head)
            await reset.wait()
            await wire.send(b"6\r\nsecond\r\n")
            wire.keep_alive = False

        upstream.then(two)
        with closing(await send(through, to(upstream.url))) as got:
            basin = Basin(room=1)
            assert await pour(got, basin)
            reset.set()
            await eventually(lambda: got._call.content.exception() is not None)
            basin.room = None
            with pytest.raises(BrokenOff):
                await pour(got, basin)
            assert basin.pieces == [b"first", b"second"]


async def test_silence_is_limited_from_the_last_piece_on() -> None:
    async with StandIn(hangs([b"first"])) as upstream, transport() as through:
        basin = Basin()
        answer = await send(through, to(upstream.url), TransportSettings(stream_idle_timeout=0.05))
        with closing(answer), pytest.raises(BrokenOff, match="it fell silent") as broken:
            await pour(answer, basin)
        assert broken.value.stalled
        assert basin.pieces == [b"first"]


async def test_a_stream_that_is_never_silent_for_so_long_is_not_ended() -> None:
    """Twice the limit in all: the timer has looked, and found that there was something."""

    async def drips(_: Received, wire: Wire) -> None:
        await wire.start_stream()
        for _number in range(20):
            await wire.chunk(b".")
            await asyncio.sleep(0.05)  # what is tested: pauses below the limit
        await wire.end()

    async with StandIn(drips) as upstream, Pool() as pool:
        basin = Basin()
        answer = await send(Transport(pool), to(upstream.url), TransportSettings(stream_idle_timeout=0.5))
        with closing(answer):
            assert not await pour(answer, basin)
        assert basin.whole == b"." * 20


async def test_a_kept_connection_may_be_silent_between_two_answers() -> None:
    settings = TransportSettings(stream_idle_timeout=0.05)
    async with StandIn(replies(200, b"{}")) as upstream, StandIn(hangs([b"first"])) as silent, transport() as through:
        for _ in range(2):
            with closing(await send(through, to(upstream.url), settings)) as got:
                assert not await pour(got, Basin())
            # As long as it takes another answer to stall, this connection has been silent too.
            with closing(await send(through, to(silent.url), settings)) as stalls, pytest.raises(BrokenOff):
                await pour(stalls, Basin())
        assert upstream.connections == 1


async def test_a_call_that_is_cancelled_while_it_pours_ends_it() -> None:
    async with StandIn(hangs([b"first"])) as upstream, transport() as through:
        basin = Basin()
        answer = await send(through, to(upstream.url), PATIENT)
        with closing(answer):
            pouring = asyncio.create_task(pour(answer, basin))
            await eventually(lambda: basin.pieces == [b"first"])
            pouring.cancel()
            with pytest.raises(asyncio.CancelledError):
                await pouring
            assert answer._call._protocol.sink is None
        await upstream.wait_for(lambda: upstream.open_connections == 0)


@pytest.mark.parametrize("fails", [True, False], ids=["fails", "asks for a rest"])
async def test_who_is_cancelled_while_a_piece_is_taken_is_told_nothing_more(fails: bool) -> None:
    """As when a client leaves in the moment in which an event comes for it."""
    more, faults = asyncio.Event(), list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))

    async def two_pieces(_: Received, wire: Wire) -> None:
        await wire.start_stream()
        await wire.chunk(b"first")
        await more.wait()
        await wire.chunk(b"second")
        await wire.end()

    pieces: list[bytes] = []

    def take(piece: bytes) -> bool:
        pieces.append(piece)
        if len(pieces) == 1:
            return True
        pouring.cancel()
        if fails:
            raise ConnectionResetError("the client has left")
        return False

    async with StandIn(two_pieces) as upstream, transport() as through:
        with closing(await send(through, to(upstream.url), PATIENT)) as answer:
            pouring = asyncio.create_task(answer.pour(take))
            await eventually(lambda: pieces == [b"first"])
            more.set()
            with pytest.raises(asyncio.CancelledError):
                await pouring
    assert pieces == [b"first", b"second"]
    assert faults == []


@pytest.mark.parametrize(
    ("answering", "cancelled"),
    [(streams([b"first"]), False), (resets([b"first"]), False), (hangs([b"first"]), True)],
    ids=["ended", "broken off", "cancelled"],
)
async def test_what_was_poured_into_is_not_held_until_the_collector_comes(
    answering: Answering, cancelled: bool
) -> None:
    """It leads to all of an answer, and the collector comes after hundreds of them."""

    async def poured_into(upstream: StandIn, through: Transport) -> weakref.ref[Basin]:
        basin = Basin()
        with closing(await send(through, to(upstream.url), PATIENT)) as answer:
            pouring = asyncio.create_task(pour(answer, basin))
            await eventually(lambda: basin.pieces == [b"first"])
            if cancelled:
                pouring.cancel()
            await asyncio.wait([pouring])
            assert pouring.cancelled() == cancelled
            assert pouring.cancelled() or type(pouring.exception()) in {type(None), BrokenOff}
        return weakref.ref(basin)

    gc.disable()
    try:
        async with StandIn(answering) as upstream, transport() as through:
            gone = await poured_into(upstream, through)
            assert gone() is None
    finally:
        gc.enable()

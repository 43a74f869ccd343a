"""A stream is relayed: the bytes that go out are the bytes that came in, and each event goes at once."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable, Sequence

import aiohttp
import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.asking import ask
from tests.in_process import LOGIN, InProcess, in_process, turns_of_the_loop
from tests.stand_in import (
    Answer,
    Received,
    StandIn,
    Wire,
    message_end,
    message_start,
    sse,
    streams,
    text_block,
    text_stream,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

House = tuple[InProcess, StandIn]

ASKED = {"model": "claude-sonnet-4-5", "max_tokens": 100, "stream": True, "messages": []}

START = message_start()
MIDDLE = b"".join(text_block("grüße, 世界, 🙂 and a family 👩‍👩‍👧"))
END = b"".join(message_end())
PLAIN = START + MIDDLE + END
STOP = b"event: message_stop\ndata: {}\n\n"

BIG = sse("content_block_delta", {"type": "content_block_delta", "index": 0, "delta": {"text": "é\\n" * 500_000}})

ODD: dict[str, bytes] = {
    "comments between events": START + b": keep-alive\n\n:\n\n" + MIDDLE + b":: \n\n" + END,
    "a comment in an event": START.replace(b"data:", b": a note\ndata:") + MIDDLE + END,
    "ids and retries": b"id: 1\nretry: 3000\n" + START + b"id\n\nretry: x\n\n" + MIDDLE + b"id: 2\n\n" + END,
    "CRLF": PLAIN.replace(b"\n", b"\r\n"),
    "CR alone": PLAIN.replace(b"\n", b"\r"),
    "one line end after another": START + MIDDLE.replace(b"\n", b"\r\n") + b": x\r\r" + b": y\n\r\n" + END,
    "a byte order mark": b"\xef\xbb\xbf" + PLAIN,
    "unknown events": START + sse("from_the_future", {"type": "from_the_future", "x": [1.10]}) + MIDDLE + END,
    "unknown fields": START + b"event: ping\nfrom: afar\nnot a field\ndata: {}\n\n" + MIDDLE + END,
    "data in several lines": START + b'event: ping\ndata: {\ndata:"type":\ndata:  "ping"}\n\n' + MIDDLE + END,
    "events without a name": START + b'data: {"type":"ping"}\n\n' + MIDDLE + END,
    "no space after the colon": PLAIN.replace(b"data: ", b"data:").replace(b"event: ", b"event:"),
    "empty lines at the start": b"\n\n\r\n" + PLAIN,
    "empty lines between events": START + b"\n\n\n" + MIDDLE + b"\r\n\r\n" + END,
    "a ping before the start": sse("ping", {"type": "ping"}) + PLAIN,
    "a comment before the start": b": hold on\n\n" + PLAIN,
    "an error after the start": START + sse("error", {"type": "error", "error": {"type": "api_error"}}) + END,
    "bytes that are no UTF-8": START + b'event: ping\ndata: {"x":"\xff\xfe\xc3"}\n\n' + MIDDLE + END,
    "a NUL": START + b": \x00\n\n" + MIDDLE + END,
    "data that is no JSON": START + b"event: content_block_delta\ndata: {broken\n\n" + MIDDLE + END,
    "a comment after the stop": PLAIN + b": bye\n\n",
    "half an event after the stop": PLAIN + b": bye\nda",
    "an event of two megabytes": START + BIG + END,
    "ten of them": START + BIG * 10 + END,
    "a comment of two megabytes": START + b": " + b"c" * 2_000_000 + b"\n\n" + END,
    "ten thousand events": START + text_block("x", pieces=1)[1] * 10_000 + END,
}
SMALL = [name for name, stream in ODD.items() if len(stream) < 10_000]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with (
        StandIn() as upstream,
        in_process(tmp_path_factory.mktemp("relay"), {"upstreams": {"claude": {"base_url": upstream.url}}}) as daemon,
    ):
        yield daemon, upstream


def pieces(stream: bytes, cuts: Iterable[int]) -> list[bytes]:
    """The stream, cut at these offsets."""
    at = [0, *sorted(cuts), len(stream)]
    return [stream[a:b] for a, b in itertools.pairwise(at) if a < b]


def piecemeal(parts: Sequence[bytes]) -> Answer:
    """A stream whose parts come one by one, each in a chunk and a packet of its own."""

    async def answer(_: Received, wire: Wire) -> None:
        await wire.start_stream()
        for part in parts:
            await wire.chunk(part)
            await turns_of_the_loop()
        await wire.end()

    return answer


async def relayed(house: House, answer: Answer) -> bytes:
    """What the client gets of this stream; that it is told to be complete is part of it."""
    daemon, upstream = house
    upstream.answer = answer
    reply = await ask(f"{daemon.url}/v1/messages", ASKED, LOGIN)
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "text/event-stream"
    assert not reply.cut
    return reply.body


@pytest.mark.parametrize("name", ODD)
async def test_a_stream_comes_out_as_it_came_in(house: House, name: str) -> None:
    assert await relayed(house, streams([ODD[name]])) == ODD[name]


@pytest.mark.parametrize("name", ODD)
async def test_a_stream_is_relayed_in_packets_of_any_size(house: House, name: str) -> None:
    stream = ODD[name]
    step = max(997, len(stream) // 50)
    assert await relayed(house, piecemeal(pieces(stream, range(step, len(stream), step)))) == stream


@pytest.mark.parametrize("name", SMALL)
async def test_a_stream_is_relayed_that_comes_byte_by_byte(house: House, name: str) -> None:
    stream = ODD[name]
    assert await relayed(house, piecemeal(pieces(stream, range(len(stream))))) == stream


async def test_a_stream_is_relayed_wherever_it_is_cut(house: House) -> None:
    stream = START + sse("content_block_delta", {"text": "grüße, 世界, 🙂👩‍👩‍👧"}).replace(b"\n", b"\r\n") + STOP
    for cut in range(1, len(stream)):
        assert await relayed(house, piecemeal(pieces(stream, [cut]))) == stream, cut


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
async def test_each_event_leaves_before_the_next_arrives(house: House, line_end: bytes) -> None:
    daemon, upstream = house
    events = [b": hold on\n\n", sse("ping", {"type": "ping"}), *text_stream("one two three"), b": bye\n\n"]
    events = [event.replace(b"\n", line_end) for event in events]
    received = [asyncio.Event() for _ in events]

    async def answer(_: Received, wire: Wire) -> None:
        await wire.start_stream()
        for event, proof in zip(events, received, strict=True):
            await wire.chunk(event)
            await proof.wait()
        await wire.end()

    upstream.answer = answer
    async with (
        asyncio.timeout(20),
        aiohttp.ClientSession() as session,
        session.post(f"{daemon.url}/v1/messages", json=ASKED, headers=LOGIN) as reply,
    ):
        for event, proof in zip(events, received, strict=True):
            assert await reply.content.readexactly(len(event)) == event
            proof.set()
        assert await reply.content.read() == b""


async def test_what_came_with_half_of_the_next_event_does_not_wait_for_its_end(house: House) -> None:
    daemon, upstream = house
    whole, half, other_half = START + MIDDLE, END[:40], END[40:]
    proof = asyncio.Event()

    async def answer(_: Received, wire: Wire) -> None:
        await wire.start_stream()
        await wire.chunk(whole + half)
        await proof.wait()
        await wire.chunk(other_half)
        await wire.end()

    upstream.answer = answer
    async with (
        asyncio.timeout(20),
        aiohttp.ClientSession() as session,
        session.post(f"{daemon.url}/v1/messages", json=ASKED, headers=LOGIN) as reply,
    ):
        assert await reply.content.readexactly(len(whole)) == whole
        proof.set()
        assert await reply.content.read() == END


LINES = st.one_of(
    st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.binary(max_size=40),
    st.sampled_from(
        [b"data: {}", b"event: ping", b"data", b":", b"id: 7", b"retry: 1", b"event: x", b"data: \xf0\x9f"]
    ),
)
LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
BLOCKS = st.lists(st.tuples(LINES, LINE_ENDS).map(b"".join), max_size=6).map(b"".join)


@given(st.lists(st.tuples(BLOCKS, LINE_ENDS), max_size=6), LINE_ENDS, st.data())
@settings(max_examples=150, deadline=None)
async def test_any_stream_cut_anywhere_comes_out_as_it_came_in(
    house: House, blocks: list[tuple[bytes, bytes]], line_end: bytes, data: st.DataObject
) -> None:
    middle = b"".join(block + end * 2 for block, end in blocks)
    stream = START.replace(b"\n", line_end) + middle + b"\n\n" + STOP.replace(b"\n", line_end)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=12))
    assert await relayed(house, piecemeal(pieces(stream, cuts))) == stream

"""What is kept of an answer's body while nobody reads it, and what a reader gets of it."""

import asyncio
from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from tests.stand_in import Received, StandIn, Wire
from tests.upstreams.calls import body_of, send, to, transport
from tests.upstreams.test_connection_pouring import MOST_KEPT, Basin, kept_while_it_rests, pour


async def test_while_it_rests_small_chunks_are_bounded_by_their_number_too() -> None:
    """Each is an object of its own in memory, whatever its size."""
    number = 1_000_000  # in 6 MB on the wire; a megabyte of content would not be too much to keep

    async def answer(_: Received, wire: Wire) -> None:
        await wire.start_stream()
        await wire.send(b"1\r\nx\r\n" * number)
        await wire.end()

    kept, whole = await kept_while_it_rests(answer)
    assert kept < MOST_KEPT // 8
    assert whole == b"x" * number


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=30), st.booleans())
def test_a_body_in_chunks_of_any_sizes_is_read_whole(pieces: list[bytes], trailers: bool) -> None:
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    end = b"0\r\n" + (b"x-checksum: 1\r\n" if trailers else b"") + b"\r\n"

    async def answer(_: Received, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + end)

    async def read() -> tuple[bytes, bytes, int]:
        async with StandIn(answer) as upstream, transport() as through:
            basin = Basin()
            with closing(await send(through, to(upstream.url))) as got:
                assert not await pour(got, basin)
            return basin.whole, await body_of(await send(through, to(upstream.url))), upstream.connections

    poured, read_whole, connections = asyncio.run(read())
    assert poured == read_whole == b"".join(pieces)
    assert connections == 1

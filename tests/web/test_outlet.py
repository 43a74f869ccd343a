"""The client's end of a stream: written as it comes, in the framing of its HTTP version, no faster than it is read."""

import asyncio

import pytest
from aiohttp import web

from claude_proxy.web.outlet import Outlet
from tests.raw_client import connected
from tests.running import eventually
from tests.web.serving import Handler, get, serving

BLOCK = bytes(64 << 10)
MOST_KEPT = 1 << 20
BLOCKS = 512


def writing(*blocks: bytes, opening: bytes = b"") -> Handler:
    async def handler(asked: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(asked)
        outlet = Outlet(asked, response)
        await outlet.open(opening)
        for block in blocks:
            assert outlet.write(block)
        await response.write_eof()
        return response

    return handler


@pytest.mark.parametrize("opening", [b"", b"begun "])
async def test_head_opening_and_blocks_come_in_order(opening: bytes) -> None:
    async with serving(writing(b"one ", b"two", opening=opening)) as port, connected(port) as client:
        for _ in range(2):  # the framing is right: the connection serves again
            await client.send(get())
            answer = await client.answer()
            assert answer is not None
            assert (answer.status, answer.body) == (200, opening + b"one two")


async def test_a_client_of_an_older_http_gets_the_bytes_alone() -> None:
    async with serving(writing(b"one ", b"two")) as port, connected(port) as client:
        await client.send(get().replace(b"HTTP/1.1", b"HTTP/1.0"))
        outcome = await client.end()
    assert outcome.final.body == b"one two"


async def test_a_client_that_reads_nothing_is_waited_for() -> None:
    kept: list[int] = []
    full = asyncio.Event()

    async def handler(asked: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(asked)
        outlet = Outlet(asked, response)
        await outlet.open(b"")
        assert asked.transport is not None
        for _ in range(BLOCKS):  # 32 MiB: more than the buffers of any system
            if not outlet.write(BLOCK):
                kept.append(asked.transport.get_write_buffer_size())
                full.set()
                await outlet.rest()
        await response.write_eof()
        return response

    async with serving(handler) as port, connected(port) as client:
        await client.send(get().replace(b"HTTP/1.1", b"HTTP/1.0"))
        async with asyncio.timeout(20):
            await full.wait()
        outcome = await client.end()
    assert len(outcome.final.body) == BLOCKS * len(BLOCK)
    assert max(kept) <= MOST_KEPT


async def test_a_client_that_has_left_is_written_to_no_more() -> None:
    raised: list[BaseException] = []

    async def handler(asked: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(asked)
        outlet = Outlet(asked, response)
        await outlet.open(b"")
        assert asked.transport is not None
        asked.transport.abort()
        try:
            outlet.write(b"to nobody")
        except ConnectionError as error:
            raised.append(error)
            raise
        return response

    async with serving(handler) as port, connected(port) as client:
        await client.send(get())
        await eventually(lambda: len(raised) == 1)
        assert (await client.end()).closed

"""One connection to an upstream: how a request is written, above all a large one, and when the connection is kept.

What comes back, and how each failure is named, is asked through the transport: test_transport.py.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing

import pytest

from claude_proxy.upstreams.connection import Call, Pool, Protocol
from tests.stand_in import StandIn, replies

LARGE = bytes(range(256)) * (12 << 10)  # 3 MiB: written in pieces
HUGE = bytes(32 << 20)

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def call(pool: Pool, url: str, body: bytes = b"{}", **headers: str) -> Call:
    async with asyncio.timeout(20):
        return await pool.call("POST", f"{url}/v1/messages", tuple(headers.items()), body, 20)


async def read(answer: Call) -> bytes:
    async with asyncio.timeout(20):
        return await answer.content.read()


@asynccontextmanager
async def served(peer: Peer) -> AsyncIterator[str]:
    """An upstream that does what it likes with each connection, which is closed once it has done it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await peer(reader, writer)
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def until_gone(reader: asyncio.StreamReader) -> None:
    """Reads on until the peer has left, whichever way."""
    try:
        while await reader.read(1 << 20):
            pass
    except ConnectionError:
        pass


# --- large bodies ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 256 << 10, (256 << 10) + 1, 1 << 20, (1 << 20) + 1, len(LARGE)])
async def test_a_body_of_any_size_arrives_whole_and_the_connection_is_kept(size: int) -> None:
    async with StandIn(replies(200, b"{}")) as upstream, Pool() as pool:
        for _ in range(2):
            with closing(await call(pool, upstream.url, LARGE[:size])) as answer:
                assert await read(answer) == b"{}"
        assert [received.body for received in upstream.received] == [LARGE[:size]] * 2
        assert upstream.connections == 1


async def test_a_large_body_is_written_no_faster_than_it_is_read() -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await go_on.wait()
        await reader.readexactly(len(HUGE))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    async with served(slow) as url, Pool() as pool:
        calling = asyncio.create_task(call(pool, url, HUGE))
        await asked.wait()
        (protocol,) = pool._acquired
        assert isinstance(protocol, Protocol)
        assert protocol.transport is not None
        async with asyncio.timeout(20):
            while not protocol.writing_paused:
                await asyncio.sleep(0)
        assert protocol.transport.get_write_buffer_size() <= 512 << 10
        go_on.set()
        with closing(await calling) as answer:
            assert await read(answer) == b"{}"


async def test_an_answer_may_come_before_the_body_was_read_and_ends_the_connection() -> None:
    left = asyncio.Event()

    async def refuses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
        await asked.wait()
        await until_gone(reader)
        left.set()

    asked = asyncio.Event()
    async with served(refuses) as url, Pool() as pool:
        answer = await call(pool, url, HUGE)
        with closing(answer):
            assert answer.status == 413
            assert await read(answer) == b"big"
        asked.set()
        async with asyncio.timeout(20):
            await left.wait()


async def test_a_peer_that_leaves_amid_the_body_ends_the_call() -> None:
    async def leaves(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with served(leaves) as url, Pool() as pool:
        with pytest.raises(OSError, match=r"reset|disconnected|lost|pipe|Cannot write|ended"):
            await call(pool, url, HUGE)
        assert not pool._acquired


async def test_a_call_that_is_cancelled_amid_the_body_writes_no_more() -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def waits(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await go_on.wait()
        await until_gone(reader)
        left.set()

    go_on = asyncio.Event()
    async with served(waits) as url, Pool() as pool:
        before = asyncio.all_tasks()
        calling = asyncio.create_task(call(pool, url, HUGE))
        await asked.wait()
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        assert not pool._acquired
        go_on.set()
        async with asyncio.timeout(20):
            await left.wait()
            while {task for task in asyncio.all_tasks() - before if "upload" in repr(task)}:
                await asyncio.sleep(0)


# --- heads -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["a\r\nx-api-key: FAKE", "a\nb", "a\rb", "a\0b", "\x7f"])
async def test_a_header_cannot_begin_a_line_of_its_own(value: str) -> None:
    async with StandIn() as upstream, Pool() as pool:
        with pytest.raises(ValueError, match="control character") as refused:
            await call(pool, upstream.url, accept=value)
        assert "FAKE" not in str(refused.value)
        assert upstream.connections == 0


async def test_a_tab_and_letters_of_other_scripts_are_sent_as_they_came() -> None:
    async with StandIn() as upstream, Pool() as pool:
        with closing(await call(pool, upstream.url, accept="a\tcaf\u00e9")):
            assert upstream.received[0].header("accept") == "a\tcaf\u00e9".encode().decode("latin-1")


async def test_what_stands_behind_a_hash_is_never_sent() -> None:
    async with StandIn() as upstream, Pool() as pool:
        with closing(await pool.call("GET", f"{upstream.url}/v1/models?limit=1#x", (), b"", 20)):
            assert upstream.received[0].target == "/v1/models?limit=1"


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://[::1]:81", "[::1]:81"),
        ("https://api.example:443", "api.example"),
        ("http://a.example:81", "a.example:81"),
    ],
)
async def test_the_host_is_named_without_the_port_of_its_scheme(origin: str, host: str) -> None:
    async with Pool() as pool:
        assert (await pool.asked(origin)).headers["Host"] == host

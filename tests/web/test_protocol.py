"""One connection: what aiohttp takes too lightly is bounded here, and nothing of a request is quoted."""

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from claude_proxy import __version__
from claude_proxy.web.protocol import LimitSettings, Server
from tests.raw_client import Answer, connected, request

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

SECRET = "FAKE-secret-of-the-client"


async def reads_and_greets(asked: web.BaseRequest) -> web.Response:
    return web.Response(text=f"hello {len(await asked.read())}")


@contextlib.asynccontextmanager
async def serving(handler: Handler = reads_and_greets, limits: LimitSettings | None = None) -> AsyncIterator[int]:
    """The port on which this handler is served."""
    runner = web.ServerRunner(Server(handler, limits or LimitSettings()), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    try:
        await site.start()
        host, port, *_ = runner.addresses[0]
        assert host == "127.0.0.1"
        yield port
    finally:
        await runner.cleanup()


def get(*headers: tuple[str, str]) -> bytes:
    return request("GET", "/x", host="h", headers=headers)


def error_of(answer: Answer) -> str:
    """The kind of an error of our own, which has Anthropic's shape."""
    assert answer.json()["type"] == "error"
    assert answer.json()["request_id"] == answer.header("x-claude-proxy-request-id")
    assert SECRET.encode() not in answer.body
    kind = answer.header("x-claude-proxy-error")
    assert kind is not None
    return kind


async def test_a_request_is_handed_to_the_handler_with_its_bytes(caplog: pytest.LogCaptureFixture) -> None:
    async def echoes(asked: web.BaseRequest) -> web.Response:
        return web.Response(body=await asked.read())

    body = bytes(range(256))
    async with serving(echoes) as port, connected(port) as client:
        await client.send(request("POST", "/x", host="h", headers=[("Content-Encoding", "gzip")], body=body))
        answer = await client.answer()
    assert answer is not None
    assert answer.body == body  # not decompressed, though it says that it could be
    assert caplog.records == []


MALFORMED = {
    "no HTTP": f"{SECRET}\r\n\r\n",
    "two lengths": f"POST /{SECRET} HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    "a header without a colon": f"GET / HTTP/1.1\r\nHost: h\r\n{SECRET}\r\n\r\n",
    "a control character": f"GET / HTTP/1.1\r\nHost: h\r\nx-key: {SECRET}\x01\r\n\r\n",
    "a bad chunk": f"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{SECRET}\r\n",
    "a header without end": f"GET / HTTP/1.1\r\nHost: h\r\nx-key: {SECRET * 4000}\r\n\r\n",
    "too many headers": "GET / HTTP/1.1\r\nHost: h\r\n" + f"x: {SECRET}\r\n" * 200 + "\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_what_cannot_be_parsed_is_refused_and_neither_quoted_nor_logged(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving() as port, connected(port) as client:
        await client.send(MALFORMED[name].encode())
        outcome = await client.end()
    assert outcome.closed
    assert [answer.status for answer in outcome.answers] == [400]
    assert error_of(outcome.final) == "malformed"
    assert outcome.final.all("server") == [f"claude-proxy/{__version__}"]
    assert SECRET not in caplog.text
    assert "Traceback" not in caplog.text
    assert [record.getMessage() for record in caplog.records if record.name.startswith("claude_proxy")] == [
        "malformed_request"
    ]


@pytest.mark.parametrize("version", ["HTTP/0.9", "HTTP/2.0", "HTTP/1.2", "HTTP/3.0"])
async def test_another_version_is_not_spoken(version: str) -> None:
    async with serving() as port, connected(port) as client:
        await client.send(f"GET /x {version}\r\nHost: h\r\n\r\n".encode())
        outcome = await client.end()
    assert outcome.closed
    assert b"hello" not in outcome.raw
    assert all(answer.status == 400 for answer in outcome.answers)


async def test_chunks_that_break_in_a_later_packet_end_the_request() -> None:
    refused: list[str] = []
    begun = asyncio.Event()

    async def reads(asked: web.BaseRequest) -> web.Response:
        begun.set()
        try:
            await asked.read()
        except web.RequestPayloadError as error:
            refused.append(str(error))
        return web.Response(status=400, text="refused")

    head = request("POST", "/x", host="h", headers=[("Transfer-Encoding", "chunked")])
    async with serving(reads) as port, connected(port) as client:
        await client.send(head + b"5\r\nab")
        await asyncio.wait_for(begun.wait(), 10)
        await client.send(b"cde\r\nno size\r\n")
        outcome = await client.end()
    assert refused == ["the body's framing is broken"]
    assert outcome.statuses == [400]
    assert outcome.closed


async def test_a_fault_of_ours_is_told_without_its_reason_which_is_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fails(_: web.BaseRequest) -> web.Response:
        raise LookupError("the reason")

    async with serving(fails) as port, connected(port) as client:
        await client.send(get(("x-key", SECRET)))
        outcome = await client.end()
    assert outcome.statuses == [500]
    assert error_of(outcome.final) == "internal"
    assert outcome.final.json()["error"]["type"] == "api_error"
    assert b"reason" not in outcome.final.body.replace(b"its log has the reason", b"")
    assert "LookupError: the reason" in caplog.text
    assert SECRET not in caplog.text


async def test_a_fault_of_ours_within_an_answer_cuts_it_off(caplog: pytest.LogCaptureFixture) -> None:
    async def breaks(asked: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(asked)
        await response.write(b"one")
        raise LookupError("the reason")

    async with serving(breaks) as port, connected(port) as client:
        await client.send(get())
        outcome = await client.end()
    assert outcome.closed
    assert outcome.answers == ()  # the answer has no end
    assert b"3\r\none\r\n" in outcome.raw
    assert b"internal" not in outcome.raw
    assert "LookupError: the reason" in caplog.text


async def test_a_client_that_leaves_cancels_what_is_done_for_it() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def waits(_: web.BaseRequest) -> web.Response:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        raise AssertionError

    async with serving(waits) as port:
        async with connected(port) as client:
            await client.send(get())
            await asyncio.wait_for(begun.wait(), 10)
        await asyncio.wait_for(cancelled.wait(), 10)


SHORT = LimitSettings(head_timeout=0.2, idle_timeout=1.0)


@pytest.mark.parametrize(
    "beginning",
    [b"", b"\r\n", b"GET / HTTP/1.1\r\nHost", get() + b"GET / HTT", get()[:-2]],
    ids=["nothing", "an empty line", "half a head", "half of the second head", "all but its end"],
)
async def test_a_head_that_does_not_come_is_not_waited_for(beginning: bytes) -> None:
    async with serving(limits=SHORT) as port, connected(port) as client:
        await client.send(beginning)
        outcome = await client.end()
    assert outcome.closed
    assert outcome.statuses in ([], [200], [408])


async def test_a_connection_may_rest_longer_than_a_head_may_take() -> None:
    async with serving(limits=SHORT) as port, connected(port) as client:
        await client.send(get())
        assert await client.answer() is not None
        assert not await client.read_until(lambda so_far: so_far.closed, seconds=0.6)
        await client.send(get(("Connection", "close")))
        assert (await client.end()).statuses == [200, 200]


async def test_a_connection_that_rests_too_long_is_closed() -> None:
    async with serving(limits=LimitSettings(idle_timeout=0.2)) as port, connected(port) as client:
        await client.send(get())
        outcome = await client.end()
    assert outcome.closed
    assert outcome.statuses == [200]


async def test_a_slow_answer_is_not_mistaken_for_a_slow_head() -> None:
    async def takes_its_time(_: web.BaseRequest) -> web.Response:
        await asyncio.sleep(0.5)
        return web.Response(text="hello")

    async with serving(takes_its_time, SHORT) as port, connected(port) as client:
        await client.send(get(("Connection", "close")))
        assert (await client.end()).statuses == [200]


async def test_framing_without_end_is_cut_off_though_no_body_comes_of_it() -> None:
    async with serving(limits=LimitSettings(max_body=1024, max_header=8192)) as port, connected(port) as client:
        await client.send(request("POST", "/x", host="h", headers=[("Transfer-Encoding", "chunked")]))
        for _ in range(2000):  # more than the buffers between us hold
            if not await client.send(b"1;" + b"e" * 16_000 + b"\r\nx\r\n"):
                break
        outcome = await client.end()
    assert outcome.closed
    assert outcome.answers == ()
    assert client.sent < 20_000_000


async def test_many_requests_on_one_connection_are_not_counted_together() -> None:
    async with serving(limits=LimitSettings(max_body=1024, max_header=8192)) as port, connected(port) as client:
        for number in range(1, 101):
            await client.send(request("POST", "/x", host="h", body=b"x" * 1000))
            assert await client.read_until(lambda so_far, n=number: len(so_far.outcome().answers) == n)  # type: ignore[misc]
    assert re.fullmatch(rb"(?s)(HTTP/1\.1 200 OK\r\n.*?hello 1000){100}", bytes(client.raw))


@pytest.mark.parametrize("size", [7_000, 60_000])
async def test_a_header_may_be_as_large_as_is_configured(size: int) -> None:
    async with serving(limits=LimitSettings(max_header=64 << 10)) as port, connected(port) as client:
        await client.send(get(("x-large", "h" * size), ("Connection", "close")))
        assert (await client.end()).statuses == [200]

"""Whatever goes wrong on a connection is answered or closed, told to the handler, and explained to the log alone."""

import asyncio
import logging
import socket
import struct

import pytest
from aiohttp import http_exceptions, web
from aiohttp.web_protocol import RequestPayloadError

from claude_proxy.web.errors import Refused
from tests.in_process import turns_of_the_loop
from tests.raw_client import Answer, Outcome, connected, request
from tests.web.knocking import told
from tests.web.serving import get, serving

MARK = "mark-of-the-client"
CHUNKED = ("Transfer-Encoding", "chunked")


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """All that is logged by anybody."""
    caplog.set_level(logging.DEBUG)
    return caplog


def faults(log: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in log.records if record.levelno >= logging.WARNING]


async def hello(request: web.BaseRequest) -> web.Response:
    return web.Response(text=f"hello {request.raw_path}")


async def sent(port: int, *pieces: bytes) -> Outcome:
    """What comes back until the server closes; each piece is sent once the server has read the one before."""
    async with connected(port) as client:
        for piece in pieces:
            await client.send(piece)
            await turns_of_the_loop(20)
        outcome = await client.end()
    assert outcome.closed
    return outcome


async def test_a_connection_is_used_for_one_request_after_the_other() -> None:
    async with serving(hello) as port:
        outcome = await sent(port, get("/1"), get("/2") + get("/3"), get("/4", ("Connection", "close")))
    assert [answer.body for answer in outcome.answers] == [b"hello /1", b"hello /2", b"hello /3", b"hello /4"]
    assert outcome.rest == b""


# --- what cannot be parsed -----------------------------------------------------------------------------


async def test_a_request_that_cannot_be_parsed_is_logged_with_the_kind_of_its_fault(
    log: pytest.LogCaptureFixture,
) -> None:
    async with serving(hello) as port:
        await sent(port, f"GET / HTTP/1.1\r\n{MARK} : x\r\n\r\n".encode())
    (record,) = [record for record in log.records if record.getMessage() == "malformed_request"]
    assert record.levelno == logging.INFO
    cause = vars(record)["fields"]["cause"]
    assert issubclass(getattr(http_exceptions, cause), http_exceptions.HttpProcessingError)


@pytest.mark.parametrize("version", ["HTTP/0.9", "HTTP/2.0"])
async def test_versions_that_only_the_parser_speaks_are_closed_without_an_answer(version: str) -> None:
    """An answer to them would be in that version."""
    asked: list[str] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        asked.append(request.raw_path)
        return web.Response()

    async with serving(handler) as port:
        outcome = await sent(port, get().replace(b"HTTP/1.1", version.encode()))
    assert outcome.raw == b""
    assert asked == []


async def test_http_1_0_is_spoken() -> None:
    async with serving(hello) as port:
        outcome = await sent(port, get("/old").replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert [(answer.version, answer.body) for answer in outcome.answers] == [("HTTP/1.0", b"hello /old")]


async def test_garbage_behind_a_request_that_is_being_answered_does_not_harm_its_answer(
    log: pytest.LogCaptureFixture,
) -> None:
    go = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.Response:
        await go.wait()
        return await hello(request)

    async with serving(handler) as port, connected(port) as client:
        await client.send(get("/1"))
        await turns_of_the_loop(20)
        await client.send(MARK.encode() + b"\r\n\r\n")
        await turns_of_the_loop(20)
        go.set()
        outcome = await client.end()
    assert outcome.statuses == [200, 400]
    assert outcome.answers[0].body == b"hello /1"
    assert MARK.encode() not in outcome.raw
    assert MARK not in log.text


# --- bodies whose framing breaks -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("with_the_head", "later"),
    [(b"", b"zz\r\n"), (b"3\r\nabc\r\n", b"zz\r\n"), (b"3\r\nab", b"cdef\r\n"), (b"3\r\nabc\r\n0\r\n", b"x y\r\n\r\n")],
    ids=["at once", "after a chunk", "within a chunk", "in a trailer"],
)
async def test_a_handler_that_reads_a_body_is_told_that_its_framing_broke(
    with_the_head: bytes, later: bytes, log: pytest.LogCaptureFixture
) -> None:
    """By itself aiohttp tells it only where the fault is in the packet with the head."""

    async def handler(request: web.BaseRequest) -> web.Response:
        with pytest.raises(RequestPayloadError):
            await request.read()
        raise Refused(400, "malformed", "its framing broke", close=True)

    head = request("POST", "/", host="127.0.0.1", headers=[CHUNKED])
    async with serving(handler) as port:
        outcome = await sent(port, head + with_the_head, later)
    assert told(outcome.answers[0]) == "its framing broke"
    assert faults(log) == []


async def test_a_body_that_is_whole_is_not_harmed_by_garbage_behind_it() -> None:
    go = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.Response:
        await go.wait()
        return web.Response(body=await request.read())

    async with serving(handler) as port, connected(port) as client:
        await client.send(request("POST", "/", host="127.0.0.1", body=b"a whole body"))
        await turns_of_the_loop(20)
        await client.send(b"garbage\r\n\r\n")
        await turns_of_the_loop(20)
        go.set()
        outcome = await client.end()
    assert outcome.statuses == [200, 400]
    assert outcome.answers[0].body == b"a whole body"


async def test_framing_that_breaks_behind_a_refusal_is_nobodys_fault(log: pytest.LogCaptureFixture) -> None:
    async def handler(_: web.BaseRequest) -> web.Response:
        raise Refused(403, "cross_site", "no")

    head = request("POST", "/", host="127.0.0.1", headers=[CHUNKED])
    async with serving(handler) as port, connected(port) as client:
        await client.send(head + b"3\r\nabc\r\n")
        answer = await client.answer()
        assert answer is not None
        assert answer.status == 403
        await client.send(f"{MARK}\r\n".encode())
        outcome = await client.end()
    assert outcome.closed
    assert MARK.encode() not in outcome.raw
    assert MARK not in log.text
    assert faults(log) == []


async def test_a_refusal_reaches_a_client_that_first_sends_all_of_its_body() -> None:
    async def handler(_: web.BaseRequest) -> web.Response:
        raise Refused(413, "too_large", "no", close=True)

    body = b"x" * 8_000_000  # more than the sockets hold: unless the server reads it, the client is reset
    async with serving(handler) as port, connected(port) as client:
        assert await client.send(request("POST", "/", host="127.0.0.1", body=body))
        assert (await client.end()).statuses == [413]


# --- faults of our own ---------------------------------------------------------------------------------


def assert_internal(answer: Answer) -> None:
    assert (answer.status, answer.header("x-claude-proxy-error")) == (500, "internal")
    assert answer.json()["error"]["type"] == "api_error"
    assert told(answer) == "claude-proxy failed; its log has the reason"
    assert answer.header("connection") == "close"


@pytest.mark.parametrize("fault", [ValueError, KeyError, TimeoutError, OSError, ConnectionResetError])
async def test_every_kind_of_fault_is_told_as_one_of_ours_and_explained_in_the_log(
    fault: type[Exception], log: pytest.LogCaptureFixture
) -> None:
    async def handler(_: web.BaseRequest) -> web.Response:
        raise fault("of the test")

    async with serving(handler) as port:
        outcome = await sent(port, get())
    assert_internal(outcome.final)
    assert b"of the test" not in outcome.raw
    (record,) = faults(log)
    assert record.levelno == logging.ERROR
    assert "fault in claude-proxy" in record.getMessage()
    if fault is not TimeoutError:  # of that aiohttp does not say where it was
        assert record.exc_info is not None
        assert record.exc_info[0] is fault


async def test_a_fault_in_writing_an_answer_ends_the_connection_and_is_explained_in_the_log(
    log: pytest.LogCaptureFixture,
) -> None:
    class Unwritable(web.Response):
        async def write_eof(self, data: bytes = b"") -> None:
            raise ValueError("of the test")

    async def handler(_: web.BaseRequest) -> web.Response:
        return Unwritable(text="never")

    async with serving(handler) as port:
        outcome = await sent(port, get("/" + MARK))
    assert b"never" not in outcome.raw
    (record,) = faults(log)
    assert record.name == "claude_proxy.web.protocol"
    assert "a connection ended because of a fault in claude-proxy" in record.getMessage()
    assert isinstance(record.exc_info, tuple)
    assert isinstance(record.exc_info[1], ValueError)
    assert MARK not in log.text


async def test_a_client_that_leaves_between_two_writes_is_nobodys_fault(log: pytest.LogCaptureFixture) -> None:
    """Its leaving cancels the handler only in the loop's next turn; until then a write fails."""
    go, failed = asyncio.Event(), asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"one")
        await go.wait()
        try:
            await response.write(b"two")
            await response.write(b"three")
        except ConnectionError:
            failed.set()
            raise
        return response

    async with serving(handler) as port:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.setblocking(False)
            await asyncio.get_running_loop().sock_sendall(client, get())
            assert await asyncio.get_running_loop().sock_recv(client, 1000)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        go.set()  # in the same turn as the reset
        await asyncio.wait_for(failed.wait(), 10)
        await turns_of_the_loop(20)
    assert faults(log) == []


async def test_after_a_fault_others_are_served() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        if request.raw_path == "/faulty":
            raise ValueError("of the test")
        return await hello(request)

    async with serving(handler) as port, connected(port) as other:
        assert_internal((await sent(port, get("/faulty"))).final)
        await other.send(get("/other"))
        answer = await other.answer()
    assert answer is not None
    assert answer.body == b"hello /other"


async def test_a_request_that_is_served_is_logged_by_nobody(log: pytest.LogCaptureFixture) -> None:
    async with serving(hello) as port:
        outcome = await sent(port, get("/" + MARK, ("x-note", MARK), ("Connection", "close")))
    assert outcome.statuses == [200]
    assert MARK not in log.text

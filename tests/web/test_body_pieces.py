"""A body is the same in however many pieces it comes, and just the limit is still within it."""

import asyncio
import gzip
import threading
from collections.abc import Sequence
from unittest import mock

import pytest
from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import StreamReader
from aiohttp.test_utils import make_mocked_request
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_proxy.web import body as body_module
from claude_proxy.web.body import decoded, read_body
from claude_proxy.web.errors import Refused
from claude_proxy.web.protocol import LimitSettings
from claude_proxy.wire.encoding import decode_body
from tests.raw_client import connected, request
from tests.web.knocking import told
from tests.web.serving import serving

LIMIT = 1024
LIMITS = LimitSettings(max_body=LIMIT)
CHUNKED = ("Transfer-Encoding", "chunked")


async def in_pieces(pieces: Sequence[bytes], length: int | None = None, *, whole: bool = True) -> bytes:
    """What is read of a body that comes so."""
    loop = asyncio.get_running_loop()
    reader = StreamReader(mock.Mock(spec=BaseProtocol, _reading_paused=False), 1 << 16, loop=loop)
    headers = {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
    asked = make_mocked_request("POST", "/v1/messages", headers=headers, payload=reader)
    reading = asyncio.create_task(read_body(asked, LIMITS))
    for piece in pieces:
        reader.feed_data(piece)
        await asyncio.sleep(0)
    if whole:
        reader.feed_eof()
    return await reading


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=300), max_size=8))
def test_it_is_what_the_pieces_are_together_up_to_the_limit(pieces: list[bytes]) -> None:
    body = b"".join(pieces)
    if len(body) <= LIMIT:
        assert asyncio.run(in_pieces(pieces)) == body
        assert asyncio.run(in_pieces(pieces, len(body))) == body
    else:
        with pytest.raises(Refused) as refused:
            asyncio.run(in_pieces(pieces))
        assert refused.value.status == 413


@pytest.mark.parametrize("more", [0, 1])
async def test_just_the_limit_is_within_it_and_one_byte_more_is_not(more: int) -> None:
    body = b"x" * (LIMIT + more)
    for length in (len(body), None):
        if more:
            with pytest.raises(Refused) as refused:
                await in_pieces([body], length, whole=False)
            assert (refused.value.status, refused.value.kind, refused.value.close) == (413, "too_large", True)
        else:
            assert await in_pieces([body], length) == body


async def lengths(asked: web.BaseRequest) -> web.Response:
    return web.Response(text=str(len(await read_body(asked, LIMITS))))


async def test_a_body_over_the_limit_is_refused_before_its_client_has_sent_it_all() -> None:
    async with serving(lengths, LIMITS) as port, connected(port) as client:
        await client.send(request("POST", "/", host="h", headers=[CHUNKED]) + b"401\r\n" + b"x" * 0x401)
        answer = await client.answer()
    assert answer is not None
    assert answer.status == 413
    assert "limits.max_body" in told(answer)


async def test_no_body_is_an_empty_one() -> None:
    async with serving(lengths, LIMITS) as port, connected(port) as client:
        await client.send(request("POST", "/", host="h"))
        answer = await client.answer()
    assert answer is not None
    assert answer.body == b"0"


async def test_a_client_that_leaves_within_its_body_is_not_answered() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def handler(asked: web.BaseRequest) -> web.Response:
        begun.set()
        try:
            return await lengths(asked)
        finally:
            ended.set()

    async with serving(handler, LIMITS) as port, asyncio.timeout(10):
        async with connected(port) as client:
            await client.send(request("POST", "/", host="h", headers=[("Content-Length", "10")]) + b"12345")
            await begun.wait()
            assert not ended.is_set()
        await ended.wait()


# --- expectations --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "interim"), [("HTTP/1.1", [100]), ("HTTP/1.0", [])])
async def test_only_a_client_that_knows_of_it_is_told_to_go_on(version: str, interim: list[int]) -> None:
    """RFC 9110 10.1.1: in HTTP/1.0 the expectation is ignored; such a client takes the 100 for its answer."""
    whole = request("POST", "/", host="h", headers=[("Expect", "100-continue"), ("Connection", "close")], body=b"12345")
    async with serving(lengths, LIMITS) as port, connected(port) as client:
        await client.send(whole.replace(b"HTTP/1.1", version.encode()))
        outcome = await client.end()
    assert outcome.statuses == [*interim, 200]
    assert outcome.final.body == b"5"


async def test_an_expectation_that_is_not_known_ends_the_connection() -> None:
    async with serving(lengths, LIMITS) as port, connected(port) as client:
        await client.send(request("POST", "/", host="h", headers=[("Expect", "tea")], body=b"12345"))
        outcome = await client.end()
    assert outcome.closed
    assert outcome.statuses == [417]


# --- compressed bodies ---------------------------------------------------------------------------------


async def test_a_body_is_decompressed_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []

    def noting(body: bytes, coding: str, limit: int) -> bytes:
        threads.append(threading.get_ident())
        return decode_body(body, coding, limit)

    monkeypatch.setattr(body_module, "decode_body", noting)
    assert await decoded(gzip.compress(b"hello"), "gzip", LIMITS) == b"hello"
    assert threads != [threading.get_ident()]
    assert len(threads) == 1


@pytest.mark.parametrize(
    ("body", "coding", "status"),
    [
        (gzip.compress(b"x" * LIMIT), "gzip", None),
        (gzip.compress(b"x" * (LIMIT + 1)), "gzip", 400),
        (gzip.compress(b"x")[:-1], "gzip", 400),
        (b"x", "gzip", 400),
        (b"x", "compress", 415),
        (b"x", "GZIP , identity", 415),
    ],
    ids=["just within", "just over", "cut", "not compressed", "unknown", "two"],
)
async def test_what_cannot_be_decompressed_within_the_limit_is_refused(
    body: bytes, coding: str, status: int | None
) -> None:
    if status is None:
        assert await decoded(body, coding, LIMITS) == b"x" * LIMIT
    else:
        with pytest.raises(Refused) as refused:
            await decoded(body, coding, LIMITS)
        assert (refused.value.status, refused.value.kind) == (status, "encoding")

"""How long and how much is waited for: a head, a rest between two requests, a field; other things take their time.

Nothing is measured here: a connection that says nothing is the clock. Once it has been given up, the others have
outlasted the same time.
"""

import asyncio

import pytest
from aiohttp import web

from claude_proxy.web.protocol import LimitSettings
from tests.in_process import turns_of_the_loop
from tests.raw_client import connected, request
from tests.web.serving import get, serving, silence_is_over

SHORT_HEADS = LimitSettings(head_timeout=0.5)
SHORT_RESTS = LimitSettings(idle_timeout=0.5)


async def hello(request: web.BaseRequest) -> web.Response:
    return web.Response(text=f"hello {len(await request.read())}")


def in_pieces(whole: bytes) -> list[bytes]:
    return [whole[:20], whole[20:40], whole[40:]]


async def test_between_two_requests_no_head_is_waited_for() -> None:
    async with serving(hello, SHORT_HEADS) as port, connected(port) as client:
        for piece in in_pieces(get("/1")):  # each of which begins or goes on with a head
            await client.send(piece)
            await turns_of_the_loop(20)
        assert await client.answer() is not None
        await silence_is_over(port)
        await client.send(get("/2", ("Connection", "close")))
        assert (await client.end()).statuses == [200, 200]


async def test_a_second_head_may_come_in_pieces_too_and_then_the_connection_rests_again() -> None:
    async with serving(hello, SHORT_HEADS) as port, connected(port) as client:
        for number in (1, 2):
            for piece in in_pieces(get(f"/{number}")):
                await client.send(piece)
                await turns_of_the_loop(20)
            assert await client.read_until(lambda so_far, n=number: len(so_far.outcome().answers) == n)  # type: ignore[misc]
            await silence_is_over(port)
        await client.send(get("/3", ("Connection", "close")))
        assert (await client.end()).statuses == [200, 200, 200]


async def test_a_second_head_is_not_waited_for_without_end() -> None:
    async with serving(hello, SHORT_HEADS) as port, connected(port) as client:
        await client.send(get())
        assert await client.answer() is not None
        await client.send(get()[:-2])
        outcome = await client.end()
    assert outcome.closed
    assert outcome.statuses == [200]


async def test_a_body_may_take_longer_than_a_head() -> None:
    whole = request("POST", "/", host="127.0.0.1", headers=[("Connection", "close")], body=b"x" * 10)
    async with serving(hello, SHORT_HEADS) as port, connected(port) as client:
        await client.send(whole[:-5])
        await silence_is_over(port)
        await client.send(whole[-5:])
        assert (await client.end()).final.body == b"hello 10"


@pytest.mark.parametrize("limits", [SHORT_HEADS, SHORT_RESTS], ids=["than a head", "than a rest"])
async def test_an_answer_may_take_longer(limits: LimitSettings) -> None:
    go = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.Response:
        await go.wait()
        return await hello(request)

    async with serving(handler, limits) as port, connected(port) as client:
        await client.send(get("/", ("Connection", "close")))
        await silence_is_over(port)
        go.set()
        assert (await client.end()).statuses == [200]


async def test_a_large_answer_may_be_read_slowly_though_the_next_head_has_begun() -> None:
    large = b"x" * 20_000_000  # more than the sockets hold

    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(body=large) if request.raw_path == "/large" else await hello(request)

    second = get("/second", ("Connection", "close"))
    async with serving(handler, SHORT_HEADS) as port, connected(port) as client:
        await client.send(get("/large"))
        assert await client.read_until(lambda so_far: len(so_far.raw) > 0)  # and no more of it for now
        await client.send(second[:20])
        await silence_is_over(port)
        await client.send(second[20:])
        outcome = await client.end()
    assert outcome.statuses == [200, 200]
    assert outcome.answers[0].body == large


async def test_the_time_to_rest_begins_anew_after_each_answer() -> None:
    go = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.Response:
        if request.raw_path == "/slow":
            await go.wait()
        return await hello(request)

    async with serving(handler, SHORT_RESTS) as port, connected(port) as client:
        await client.send(get("/slow"))
        await silence_is_over(port)
        go.set()
        assert await client.answer() is not None
        await client.send(get("/quick"))
        outcome = await client.end()
    assert outcome.closed
    assert outcome.statuses == [200, 200]


LARGEST = 10_000
SMALL = LimitSettings(max_header=LARGEST, max_body=1000)


@pytest.mark.parametrize(("size", "status"), [(LARGEST - 100, 200), (LARGEST + 100, 400)])
async def test_a_field_is_bounded_by_what_is_configured(size: int, status: int) -> None:
    close = ("Connection", "close")
    async with serving(hello, SMALL) as port:
        for large in (get("/", ("x-large", "h" * size), close), get(f"/{'p' * size}", close)):
            async with connected(port) as client:
                await client.send(large)
                assert (await client.end()).statuses == [status]


async def test_a_body_within_its_limit_is_taken_though_its_framing_is_longer_than_itself() -> None:
    chunks = b"1\r\nx\r\n" * 1000 + b"0\r\n\r\n"
    head = request("POST", "/", host="127.0.0.1", headers=[("Transfer-Encoding", "chunked"), ("Connection", "close")])
    async with serving(hello, SMALL) as port, connected(port) as client:
        await client.send(head + chunks)
        assert (await client.end()).final.body == b"hello 1000"


async def test_framing_without_end_is_cut_off_as_soon_as_no_body_could_need_it() -> None:
    cancelled = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.Response:
        try:
            await request.read()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return web.Response()

    extension = b"1;" + b"e" * 998  # a kilobyte without an end
    async with serving(handler, SMALL) as port, connected(port) as client, asyncio.timeout(10):
        await client.send(request("POST", "/", host="127.0.0.1", headers=[("Transfer-Encoding", "chunked")]))
        await client.send(extension)
        for _ in range(20):  # within the bound: it is waited for
            await client.send(b"e" * 1000)
        await turns_of_the_loop(50)
        assert not cancelled.is_set()
        for _ in range(30):
            await client.send(b"e" * 1000)
        await cancelled.wait()
        outcome = await client.end()
    assert outcome.closed
    assert outcome.answers == ()

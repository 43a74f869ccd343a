"""Clients that send a head or a body too slowly are cut off, and nobody else notices them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.paths.malformed_requests import HOST, VALID, VALID_BODY, post, ready
from tests.paths.refusals import LIMITS, assert_log_is_clean, assert_refused, assert_unharmed, so_far
from tests.raw_client import RawConnection, connected, send_raw
from tests.running import Daemon, running
from tests.stand_in import StandIn

pytestmark = pytest.mark.asyncio(loop_scope="module")

House = tuple[Daemon, StandIn]

LIVEZ = b"GET /livez HTTP/1.1\r\nHost: " + HOST + b"\r\n"
CHUNKED = b"POST /v1/messages HTTP/1.1\r\nHost: " + HOST + b"\r\nContent-Type: application/json\r\n"
CHUNKED += b"Transfer-Encoding: chunked\r\n\r\n"

# What is sent at once, and what then comes byte by byte: it would take twenty times the timeout.
SLOW = {
    "a head from its first byte": (b"", b"POST /v1/messages HTTP/1.1\r\nx-note: " + b"b" * 200),
    "a head in the middle": (LIVEZ, b"x-note: " + b"b" * 200),
    "header after header": (LIVEZ, b"a: b\r\n" * 40),
    "empty lines before a head": (b"", b"\r\n" * 100),
    "a second head": (LIVEZ + b"\r\n", b"GET /livez HTTP/1.1\r\nx-note: " + b"b" * 200),
    "a body": (post(body=b"x" * 200)[:-200], b"x" * 200),
    "a body in chunks": (CHUNKED, b"1\r\nx\r\n" * 40),
    "a chunk size": (CHUNKED, b"0" * 200),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """A daemon that waits a second for a head and a second for a body."""
    home = tmp_path_factory.mktemp("slow")
    async with StandIn() as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}, "limits": LIMITS}
        async with running(home, config) as daemon:
            yield daemon, upstream
        assert_log_is_clean(daemon.lines)


@pytest.mark.parametrize("name", SLOW)
async def test_a_client_that_drips_is_cut_off(house: House, name: str) -> None:
    daemon, upstream = house
    before = so_far(daemon, upstream)
    first, drops = (ready(part, daemon.port) for part in SLOW[name])
    async with connected(daemon.port) as connection:
        await connection.send(first)
        gone = await connection.drip(drops, every=0.1)
        assert gone < len(drops)
        outcome = await connection.end()
    if name == "a second head":  # the first was a good one
        assert outcome.statuses[0] == 200
        assert all(status == 408 for status in outcome.statuses[1:])
    else:
        assert_refused(outcome)
    await assert_unharmed(daemon, upstream, before)


async def test_a_client_that_says_nothing_is_cut_off(house: House) -> None:
    daemon, upstream = house
    before = so_far(daemon, upstream)
    async with connected(daemon.port) as connection:
        outcome = await connection.end()
    assert_refused(outcome)
    await assert_unharmed(daemon, upstream, before)


async def test_slow_clients_keep_nobody_waiting(house: House) -> None:
    daemon, upstream = house
    upstream.received.clear()
    beginnings = [ready(first, daemon.port) for first, _ in SLOW.values()] * 8
    async with contextlib.AsyncExitStack() as stack:
        slow: list[RawConnection] = [await stack.enter_async_context(connected(daemon.port)) for _ in beginnings]
        for connection, first in zip(slow, beginnings, strict=True):
            await connection.send(first)
        outcomes = await asyncio.gather(*(send_raw(daemon.port, ready(VALID, daemon.port)) for _ in range(20)))
    assert [outcome.final.status for outcome in outcomes] == [200] * 20
    assert [received.body for received in upstream.received] == [ready(VALID_BODY, daemon.port)] * 20

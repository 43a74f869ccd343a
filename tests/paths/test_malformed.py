"""Malformed requests: 4xx or a closed connection, nothing forwarded or echoed, and the daemon goes on."""

from collections.abc import AsyncIterator
from itertools import chain

import pytest
import pytest_asyncio

from tests.paths import malformed_bodies as bodies
from tests.paths import malformed_heads as heads
from tests.paths import malformed_requests as requests
from tests.paths.refusals import LIMITS, assert_log_is_clean, assert_refused, assert_unharmed, so_far
from tests.raw_client import send_raw
from tests.running import Daemon, running
from tests.stand_in import StandIn

pytestmark = pytest.mark.asyncio(loop_scope="module")

WHOLE = {
    **requests.LENGTHS,
    **requests.FRAMINGS,
    **requests.CHUNKINGS,
    **requests.TARGETS,
    **heads.METHODS,
    **heads.VERSIONS,
    **heads.HEADERS,
    **heads.HOSTS,
    **bodies.JSON,
    **bodies.FIELDS,
    **bodies.TYPES,
    **bodies.ENCODINGS,
}
# What only a timeout can end: a body that is shorter than what was said of it.
UNFINISHED = {"a chunk size that is huge", "a chunk size over the limit", "a chunk shorter than its size"}
NUMBERS = {name: number for number, name in enumerate(chain(WHOLE, bodies.HALVES), start=1)}

House = tuple[Daemon, StandIn]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """One daemon for the whole table, with small limits, before an upstream that must never be asked."""
    home = tmp_path_factory.mktemp("malformed")
    async with StandIn() as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}, "limits": LIMITS}
        async with running(home, config) as daemon:
            yield daemon, upstream
        assert_log_is_clean(daemon.lines)
        assert upstream.received == []


def at_the_head(raw: bytes) -> tuple[bytes, bytes]:
    """The request as head and body, or in the middle where it has no body."""
    head, found, body = raw.partition(b"\r\n\r\n")
    if found and body:
        return head + found, body
    return raw[: len(raw) // 2], raw[len(raw) // 2 :]


async def test_the_table_holds_more_than_a_hundred_cases_and_none_twice() -> None:
    every = [*WHOLE.values(), *bodies.HALVES.values()]
    assert len(every) == len(NUMBERS) == len(set(every))
    assert len(every) > 110


@pytest.mark.parametrize("name", WHOLE)
async def test_a_malformed_request_is_refused(house: House, name: str) -> None:
    daemon, upstream = house
    before = so_far(daemon, upstream)
    outcome = await send_raw(daemon.port, requests.ready(WHOLE[name], daemon.port, NUMBERS[name]))
    assert_refused(outcome)
    assert name in UNFINISHED or 408 not in outcome.statuses, "it was waited out and not refused"
    await assert_unharmed(daemon, upstream, before)


@pytest.mark.parametrize("name", WHOLE)
async def test_a_malformed_request_whose_body_comes_later_is_refused(house: House, name: str) -> None:
    daemon, upstream = house
    before = so_far(daemon, upstream)
    raw = requests.ready(WHOLE[name], daemon.port, NUMBERS[name])
    outcome = await send_raw(daemon.port, *at_the_head(raw))
    assert_refused(outcome)
    assert name in UNFINISHED or 408 not in outcome.statuses, "it was waited out and not refused"
    await assert_unharmed(daemon, upstream, before)


@pytest.mark.parametrize("name", bodies.HALVES)
async def test_half_a_request_is_not_served(house: House, name: str) -> None:
    daemon, upstream = house
    before = so_far(daemon, upstream)
    raw = requests.ready(bodies.HALVES[name], daemon.port, NUMBERS[name])
    outcome = await send_raw(daemon.port, raw, fin=True)
    assert_refused(outcome)
    await assert_unharmed(daemon, upstream, before)


@pytest.mark.parametrize("name", [name for name in bodies.HALVES if bodies.HALVES[name]])
async def test_half_a_request_that_never_goes_on_is_not_waited_for(house: House, name: str) -> None:
    daemon, upstream = house
    before = so_far(daemon, upstream)
    raw = requests.ready(bodies.HALVES[name], daemon.port, NUMBERS[name])
    outcome = await send_raw(daemon.port, raw)
    assert_refused(outcome)
    await assert_unharmed(daemon, upstream, before)

"""A request's body is read whole, within its limits of size and time, and decompressed only to be looked at."""

import gzip
import zlib
from collections.abc import AsyncIterator

import brotli
import pytest
import pytest_asyncio
import zstandard

from tests.in_process import LOGIN, InProcess, in_process
from tests.raw_client import Answer, connected, request
from tests.stand_in import Received, StandIn, Wire, message_json
from tests.web.knocking import BODY, JSON, knock, told

pytestmark = pytest.mark.asyncio(loop_scope="module")

House = tuple[InProcess, StandIn]

LIMIT = 64 << 10
GOOD = [*LOGIN.items(), JSON]


async def answers_any_body(_: Received, wire: Wire) -> None:
    await wire.reply(200, message_json(), [JSON])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """A daemon that takes 64 KiB, and waits half a second for them."""
    async with StandIn(answers_any_body) as upstream:
        limits = {"max_body": "64KiB", "body_timeout": "500ms"}
        config = {"upstreams": {"claude": {"base_url": upstream.url}}, "limits": limits}
        async with in_process(tmp_path_factory.mktemp("body"), config) as daemon:
            yield daemon, upstream


@pytest.fixture
def house(shared: House) -> House:
    shared[1].received.clear()
    return shared


def body_of(size: int) -> bytes:
    return b'{"model":"claude-x","filler":"%s"}' % (b"f" * (size - 32))


async def test_a_body_of_just_the_limit_is_taken(house: House) -> None:
    daemon, upstream = house
    body = body_of(LIMIT)
    assert len(body) == LIMIT
    assert (await knock(daemon, "POST", "/v1/messages", GOOD, body)).status == 200
    assert [received.body for received in upstream.received] == [body]


async def test_a_body_that_is_announced_as_too_large_is_refused_before_it_is_sent(house: House) -> None:
    daemon, upstream = house
    headers = [*GOOD, ("Content-Length", str(LIMIT + 1))]
    answer = await knock(daemon, "POST", "/v1/messages", headers)  # not a byte of the body follows
    assert answer.status == 413
    assert answer.json()["error"]["type"] == "request_too_large"
    assert f"larger than {LIMIT} bytes; raise limits.max_body" in told(answer)
    assert answer.header("connection") == "close"
    assert upstream.received == []


async def test_a_body_that_turns_out_to_be_too_large_is_refused(house: House) -> None:
    daemon, upstream = house
    head = request(
        "POST", "/v1/messages", host=f"127.0.0.1:{daemon.port}", headers=[*GOOD, ("Transfer-Encoding", "chunked")]
    )
    async with connected(daemon.port) as client:
        await client.send(head)
        for _ in range(5):  # and no end: it is refused before it is whole
            await client.send(b"4000\r\n%s\r\n" % (b"x" * 0x4000))
        answer = await client.answer()
    assert answer is not None
    assert answer.status == 413
    assert upstream.received == []


@pytest.mark.parametrize("framing", [("Content-Length", "100"), ("Transfer-Encoding", "chunked")])
async def test_a_body_that_does_not_come_is_not_waited_for(house: House, framing: tuple[str, str]) -> None:
    daemon, upstream = house
    answer = await knock(daemon, "POST", "/v1/messages", [*GOOD, framing])
    assert answer.status == 408
    assert "did not arrive within 0.5 s" in told(answer)
    assert answer.header("connection") == "close"
    assert upstream.received == []


async def test_a_body_whose_framing_breaks_is_refused(house: House) -> None:
    daemon, upstream = house
    headers = [*GOOD, ("Transfer-Encoding", "chunked")]
    head = request("POST", "/v1/messages", host=f"127.0.0.1:{daemon.port}", headers=headers)
    async with connected(daemon.port) as client:
        await client.send(head + b"5\r\n{")
        async with connected(daemon.port) as other:  # by its answer the first packet has been read too
            await other.send(request(target="/livez", host=f"127.0.0.1:{daemon.port}"))
            assert await other.answer() is not None
        await client.send(b"abcd\r\nno size\r\n")
        answer = await client.answer()
    assert answer is not None
    assert answer.status == 400
    assert upstream.received == []
    assert not [record for record in daemon.records if "exception" in record]


async def test_a_client_that_waits_to_be_told_is_told_to_go_on(house: House) -> None:
    daemon, upstream = house
    whole = request(
        "POST", "/v1/messages", host=f"127.0.0.1:{daemon.port}", headers=[*GOOD, ("Expect", "100-Continue")], body=BODY
    )
    head = whole.removesuffix(BODY)
    async with connected(daemon.port) as client:
        await client.send(head)
        assert await client.read_until(lambda so_far: so_far.raw == b"HTTP/1.1 100 Continue\r\n\r\n")
        await client.send(BODY)
        answer = await client.answer()
    assert answer is not None
    assert answer.status == 200
    (received,) = upstream.received
    assert received.header("Expect") is None


async def test_a_client_is_not_told_to_go_on_where_its_body_is_too_large(house: House) -> None:
    daemon, _ = house
    headers = [*GOOD, ("Expect", "100-continue"), ("Content-Length", str(LIMIT + 1))]
    async with connected(daemon.port) as client:
        await client.send(request("POST", "/v1/messages", host=f"127.0.0.1:{daemon.port}", headers=headers))
        await client.answer()
        assert client.outcome().statuses == [413]


async def test_no_other_expectation_is_met(house: House) -> None:
    daemon, upstream = house
    answer = await knock(daemon, "POST", "/v1/messages", [*GOOD, ("Expect", "a-miracle")], BODY)
    assert answer.status == 417
    assert "miracle" not in told(answer)
    assert upstream.received == []


CODINGS = {
    "gzip": gzip.compress(BODY),
    "deflate": zlib.compress(BODY),
    "br": brotli.compress(BODY),
    "zstd": zstandard.ZstdCompressor().compress(BODY),
}


async def compressed(house: House, coding: str, body: bytes) -> Answer:
    return await knock(house[0], "POST", "/v1/messages", [*GOOD, ("Content-Encoding", coding)], body)


@pytest.mark.parametrize("coding", CODINGS)
async def test_a_compressed_body_is_looked_at_and_sent_on_as_it_came(house: House, coding: str) -> None:
    assert (await compressed(house, coding, CODINGS[coding])).status == 200
    assert [received.body for received in house[1].received] == [CODINGS[coding]]


@pytest.mark.parametrize("coding", CODINGS)
async def test_a_compressed_body_that_is_none_or_not_whole_is_refused(house: House, coding: str) -> None:
    for body in (BODY, CODINGS[coding][:-1], CODINGS[coding] + b"more"):
        answer = await compressed(house, coding, body)
        assert answer.status == 400
        assert answer.header("x-claude-proxy-error") == "encoding"
        assert told(answer)
    assert house[1].received == []


@pytest.mark.parametrize("coding", CODINGS)
async def test_a_body_that_grows_beyond_the_limit_when_decompressed_is_refused(house: House, coding: str) -> None:
    large = body_of(5_000_000)
    bomb = {
        "gzip": gzip.compress(large),
        "deflate": zlib.compress(large),
        "br": brotli.compress(large),
        "zstd": zstandard.ZstdCompressor().compress(large),
    }[coding]
    assert len(bomb) < LIMIT
    answer = await compressed(house, coding, bomb)
    assert answer.status in {400, 413}
    assert told(answer)
    assert house[1].received == []


@pytest.mark.parametrize("coding", ["compress", "gzip, gzip", "FAKE-coding"])
async def test_a_coding_that_is_not_understood_is_refused_and_not_quoted(house: House, coding: str) -> None:
    answer = await compressed(house, coding, BODY)
    assert answer.status == 415
    assert "FAKE" not in told(answer)
    assert house[1].received == []


async def test_a_body_that_says_that_it_is_not_compressed_is_taken(house: House) -> None:
    assert (await compressed(house, "identity", BODY)).status == 200

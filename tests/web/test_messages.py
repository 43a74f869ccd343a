"""The proxy's own door: what may come in as a request, and what every answer says beside the upstream's own words."""

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from claude_proxy import __version__
from claude_proxy.wire.messages import MAX_MODEL
from tests.in_process import LOGIN, InProcess, in_process
from tests.raw_client import connected, request
from tests.stand_in import Received, StandIn, Wire, fails, says, text_stream
from tests.web.knocking import BODY, JSON, knock, told

pytestmark = pytest.mark.asyncio(loop_scope="module")

House = tuple[InProcess, StandIn]
GOOD = [*LOGIN.items(), JSON]
STREAM = BODY[:-1] + b',"stream":true}'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with StandIn() as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}, "retry": {"max_retries": 0}}
        async with in_process(tmp_path_factory.mktemp("messages"), config) as daemon:
            yield daemon, upstream


@pytest.fixture
def house(shared: House) -> House:
    daemon, upstream = shared
    upstream.received.clear()
    upstream.answer = says("hello")
    daemon.records.clear()
    return shared


@pytest.mark.parametrize("body", [BODY, STREAM], ids=["whole", "stream"])
async def test_every_answer_says_who_gave_it_after_how_many_attempts_and_under_which_id(
    house: House, body: bytes
) -> None:
    daemon, _ = house
    answer = await knock(daemon, "POST", "/v1/messages", GOOD, body)
    assert answer.all("x-claude-proxy-upstream") == ["claude"]
    assert answer.all("x-claude-proxy-attempts") == ["1"]
    (request_id,) = answer.all("x-claude-proxy-request-id")
    assert re.fullmatch(r"req_cp_[0-9a-f]{24}", request_id)
    assert [line["id"] for line in daemon.logged("exchange")] == [request_id]
    assert answer.all("server") == [f"claude-proxy/{__version__}"]


async def test_an_error_of_the_upstream_says_so_too(house: House) -> None:
    daemon, upstream = house
    upstream.answer = fails(529, "overloaded_error")
    answer = await knock(daemon, "POST", "/v1/messages", GOOD, BODY)
    assert answer.status == 529
    assert answer.all("x-claude-proxy-upstream") == ["claude"]
    assert answer.header("x-claude-proxy-request-id") == daemon.logged("exchange")[0]["id"]


async def test_no_two_requests_have_one_id(house: House) -> None:
    daemon, _ = house
    answers = [await knock(daemon, "POST", "/v1/messages", GOOD, BODY) for _ in range(5)]
    assert len({answer.header("x-claude-proxy-request-id") for answer in answers}) == 5


MEDIA = {
    "application/json": True,
    "Application/JSON": True,
    "application/json; charset=utf-8": True,
    'application/json;charset="UTF-8"': True,
    "application/json; charset=latin-1": False,
    "application/jsonx": False,
    "text/plain": False,
    "application/x-www-form-urlencoded": False,
    "multipart/form-data; boundary=x": False,
    "application/vnd.api+json": False,
    "": False,
}


@pytest.mark.parametrize("media", MEDIA)
async def test_a_body_comes_in_only_as_json(house: House, media: str) -> None:
    daemon, upstream = house
    answer = await knock(daemon, "POST", "/v1/messages", [*LOGIN.items(), ("Content-Type", media)], BODY)
    assert (answer.status == 200) is MEDIA[media]
    assert bool(upstream.received) is MEDIA[media]
    if not MEDIA[media]:
        assert answer.status == 415
        assert "application/json" in told(answer)


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/batches"])
async def test_a_body_without_a_type_is_refused(house: House, path: str) -> None:
    daemon, upstream = house
    answer = await knock(daemon, "POST", path, list(LOGIN.items()), BODY)
    assert answer.status == 415
    assert upstream.received == []


async def test_a_request_without_a_body_needs_no_type(house: House) -> None:
    daemon, upstream = house
    assert (await knock(daemon, "POST", "/v1/messages/batches/b_1/cancel", list(LOGIN.items()))).status == 200
    assert len(upstream.received) == 1


BAD = {
    "nothing": b"",
    "no JSON": b"FAKE",
    "half of one": b'{"model":"FAKE"',
    "a list": b"[]",
    "no model": b'{"messages":[]}',
    "a model that is none": b'{"model":7}',
    "an empty model": b'{"model":""}',
    "a model with a line end": b'{"model":"FAKE\\nFAKE"}',
    "a model without end": b'{"model":"%s"}' % (b"m" * (MAX_MODEL + 1)),
    "two models": b'{"model":"a","model":"b"}',
    "two models, one escaped": b'{"model":"a","\\u006dodel":"b"}',
    "two streams": b'{"model":"a","stream":true,"stream":false}',
    "a stream that is none": b'{"model":"a","stream":"FAKE"}',
    "a number without end": b'{"model":"a","stream":1e999}',
    "no UTF-8": b'{"model":"a","x":"\xff"}',
    "another encoding": '{"model":"a"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"model":"a"}',
    "more behind it": b'{"model":"a"} FAKE',
    "not a number": b'{"model":"a","x":NaN}',
    "nested without end": b'{"model":"a","x":' + b"[" * 100_000,
}


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
@pytest.mark.parametrize("name", BAD)
async def test_a_body_that_is_no_request_is_refused_and_not_quoted(house: House, name: str, path: str) -> None:
    daemon, upstream = house
    answer = await knock(daemon, "POST", path, GOOD, BAD[name])
    assert answer.status == 400
    assert answer.header("x-claude-proxy-error") == "bad_body"
    assert "FAKE" not in told(answer)
    assert upstream.received == []
    assert not [record for record in daemon.records if "exception" in record]


async def test_the_body_of_another_path_is_not_looked_at(house: House) -> None:
    daemon, upstream = house
    assert (await knock(daemon, "POST", "/v1/messages/batches", GOOD, BAD["two models"])).status == 200
    assert [received.body for received in upstream.received] == [BAD["two models"]]


NOMINATED = ["authorization", "x-api-key", "content-type", "content-length", "host", "anthropic-beta", "X_Api_Key"]


@pytest.mark.parametrize("name", NOMINATED)
async def test_a_header_for_the_upstream_cannot_be_struck_out(house: House, name: str) -> None:
    daemon, upstream = house
    answer = await knock(daemon, "POST", "/v1/messages", [*GOOD, ("Connection", f"keep-alive, {name}")], BODY)
    assert answer.status == 400
    assert "Connection names a header that is meant for the upstream" in told(answer)
    assert upstream.received == []


@pytest.mark.parametrize(("value", "good"), [("gr\xc3\xbc\xc3\x9fe", True), ("gr\xfc\xdfe", False), ("\xff", False)])
async def test_a_header_that_could_not_be_passed_on_as_it_came_is_refused(house: House, value: str, good: bool) -> None:
    daemon, upstream = house
    answer = await knock(daemon, "POST", "/v1/messages", [*GOOD, ("x-note", value)], BODY)
    assert answer.status == (200 if good else 400)
    assert [received.header("x-note") for received in upstream.received] == ([value] if good else [])


async def test_an_upstream_that_names_itself_is_not_renamed(house: House) -> None:
    daemon, upstream = house
    upstream.answer = says("hello", [("Server", "cloudflare")])
    for body in (BODY, STREAM):
        assert (await knock(daemon, "POST", "/v1/messages", GOOD, body)).all("server") == ["cloudflare"]


async def test_a_stream_that_breaks_ends_as_a_whole_answer_with_an_error_event(house: House) -> None:
    daemon, upstream = house
    first, *_ = events = text_stream()

    async def breaks(_: Received, wire: Wire) -> None:
        await wire.start_stream()
        await wire.chunk(first)
        wire.close()

    upstream.answer = breaks
    answer = await knock(daemon, "POST", "/v1/messages", GOOD, STREAM)
    assert answer.status == 200
    assert answer.body.startswith(events[0] + b"event: error\ndata: ")
    assert answer.body.count(b"event: error") == 1


async def test_after_a_broken_stream_the_connection_serves_the_next_request(house: House) -> None:
    """Its end was clean, so the client need not connect again."""
    daemon, upstream = house

    async def breaks(_: Received, wire: Wire) -> None:
        await wire.start_stream()
        await wire.chunk(text_stream()[0])
        wire.close()

    upstream.then(breaks)
    host = f"127.0.0.1:{daemon.port}"
    async with connected(daemon.port) as client:
        await client.send(request("POST", "/v1/messages", host=host, headers=GOOD, body=STREAM))
        assert await client.answer() is not None
        await client.send(
            request("POST", "/v1/messages", host=host, headers=[*GOOD, ("Connection", "close")], body=BODY)
        )
        outcome = await client.end()
    assert outcome.statuses == [200, 200]

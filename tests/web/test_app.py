"""Each request is checked and then answered by the door that its path names, or refused."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from claude_proxy import __version__
from tests.in_process import LOGIN, InProcess, in_process
from tests.raw_client import connected, request
from tests.stand_in import StandIn
from tests.web.knocking import BODY, JSON, knock, told

pytestmark = pytest.mark.asyncio(loop_scope="module")

House = tuple[InProcess, StandIn]
GOOD = [*LOGIN.items(), JSON]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with StandIn() as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}}
        async with in_process(tmp_path_factory.mktemp("app"), config) as daemon:
            yield daemon, upstream


@pytest.fixture
def house(shared: House) -> House:
    shared[1].received.clear()
    return shared


OWN_DOORS = {
    "/": ("text/plain", b"claude-proxy"),
    "/api/hello": ("application/json", b'{"message": "hello"}'),
    "/health": ("application/json", b'"status": "healthy"'),
    "/livez": ("application/json", b'"in_flight": 0'),
    "/metrics": ("text/plain", b"claude_proxy_requests_total"),
    "/openapi.json": ("application/json", b'"openapi": "3.1.0"'),
    "/openapi.yaml": ("application/yaml", b"openapi: 3.1.0"),
    "/v1/models": ("application/json", b'"type": "model"'),
}


@pytest.mark.parametrize("path", OWN_DOORS)
async def test_its_own_doors_answer_by_themselves(house: House, path: str) -> None:
    daemon, upstream = house
    media, content = OWN_DOORS[path]
    for target in (path, f"{path}?x=1&y=%2F"):
        answer = await knock(daemon, "GET", target)
        assert answer.status == 200
        assert (answer.header("content-type") or "").startswith(media)
        assert content in answer.body
        assert answer.all("server") == [f"claude-proxy/{__version__}"]
    assert upstream.received == []


@pytest.mark.parametrize("path", OWN_DOORS)
async def test_its_own_doors_take_no_other_method(house: House, path: str) -> None:
    daemon, upstream = house
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"):
        answer = await knock(daemon, method, path, GOOD)
        assert answer.status == 405
        assert "method" in told(answer)
    assert upstream.received == []


@pytest.mark.parametrize(("method", "target"), [("POST", "/v1/messages"), ("POST", "/v1/messages/count_tokens?a=b")])
async def test_messages_and_counts_are_forwarded(house: House, method: str, target: str) -> None:
    daemon, upstream = house
    assert (await knock(daemon, method, target, GOOD, BODY)).status == 200
    assert [received.target for received in upstream.received] == [target]


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT"])
async def test_messages_and_counts_are_only_posted(house: House, method: str, path: str) -> None:
    daemon, upstream = house
    assert (await knock(daemon, method, path, GOOD)).status == 405
    assert upstream.received == []


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
async def test_every_other_path_of_the_api_is_forwarded(house: House, method: str) -> None:
    daemon, upstream = house
    assert (await knock(daemon, method, "/v1/files/f_1", list(LOGIN.items()))).status == 200
    assert [(received.method, received.target) for received in upstream.received] == [(method, "/v1/files/f_1")]


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PROPFIND"])
async def test_methods_that_the_api_has_not_are_refused(house: House, method: str) -> None:
    daemon, upstream = house
    assert (await knock(daemon, method, "/v1/files", GOOD)).status == 405
    assert upstream.received == []


@pytest.mark.parametrize(
    "path", ["/nowhere", "/v1", "/v2/messages", "/messages", "/V1/messages", "/health/", "/favicon.ico"]
)
async def test_there_is_nothing_elsewhere(house: House, path: str) -> None:
    daemon, upstream = house
    answer = await knock(daemon, "GET", path)
    assert answer.status == 404
    assert "/health says how the daemon is" in told(answer)
    assert upstream.received == []


async def test_openais_api_is_pointed_to_the_right_door(house: House) -> None:
    daemon, upstream = house
    answer = await knock(daemon, "POST", "/v1/chat/completions", GOOD, BODY)
    assert answer.status == 400
    assert "use POST /v1/messages" in told(answer)
    assert upstream.received == []


TWO_READINGS = [
    "/v1/m%65ssages",
    "/v1/messages/../models",
    "/v1/./messages",
    "/v1/%2e%2e/messages",
    "/v1//messages",
    "//v1/messages",
    "/v1/messages;x=1",
    "/v1/messages#x",
    "/v1\\messages",
    "/v1/messages%00",
    "http://127.0.0.1/v1/messages",
    "http://evil.example/v1/messages",
    "*",
    "v1/messages",
    "/v1/messages?x=\x7f",
    "/v1/messages?x=\xe9",
    "/v1/..",
    "/v1/.",
]


@pytest.mark.parametrize("target", TWO_READINGS)
async def test_a_path_that_could_be_read_in_two_ways_is_refused(house: House, target: str) -> None:
    daemon, upstream = house
    async with connected(daemon.port) as client:
        await client.send(request("POST", target, host=f"127.0.0.1:{daemon.port}", headers=GOOD, body=BODY))
        outcome = await client.end()
    assert outcome.closed
    assert outcome.final.status == 400
    assert told(outcome.final)
    assert upstream.received == []


@pytest.mark.parametrize("target", ["/v1/files/a.b..c", "/v1/...", "/v1/a~b_c:d@e!$&'()*+,=-", "/v1/files/"])
async def test_a_path_that_is_plain_is_forwarded_as_it_is(house: House, target: str) -> None:
    daemon, upstream = house
    assert (await knock(daemon, "GET", target, list(LOGIN.items()))).status == 200
    assert [received.target for received in upstream.received] == [target]


async def test_another_protocol_is_not_spoken(house: House) -> None:
    daemon, upstream = house
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket")]
    answer = await knock(daemon, "GET", "/v1/files", [*LOGIN.items(), *upgrade])
    assert answer.status == 400
    assert "no other protocol" in told(answer)
    assert upstream.received == []


@pytest.mark.parametrize("coding", ["gzip, chunked", "identity", "chunked, chunked", ""])
async def test_no_other_transfer_coding_is_understood(house: House, coding: str) -> None:
    daemon, upstream = house
    answer = await knock(daemon, "POST", "/v1/messages", [*GOOD, ("Transfer-Encoding", coding)], BODY)
    assert answer.status == 400
    assert upstream.received == []


async def test_head_is_answered_where_get_is(house: House) -> None:
    daemon, _ = house
    whole = f"HEAD /health HTTP/1.1\r\nHost: 127.0.0.1:{daemon.port}\r\nConnection: close\r\n\r\n".encode()
    async with connected(daemon.port) as client:
        await client.send(whole)
        outcome = await client.end()
    head, _, rest = outcome.raw.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert rest == b""


@pytest.mark.parametrize("path", ["/", "/v1/messages", "/v1/files", "/health", "/nowhere"])
async def test_the_guard_stands_before_every_door(house: House, path: str) -> None:
    daemon, upstream = house
    answer = await knock(daemon, "POST" if "messages" in path else "GET", path, GOOD, None, host="evil.example")
    assert answer.status == 421
    assert upstream.received == []


async def test_while_it_drains_only_questions_about_itself_are_answered(tmp_path: Path) -> None:
    async with StandIn() as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}}
        async with in_process(tmp_path, config) as daemon:
            daemon.house.drain.begin()
            statuses = [(await knock(daemon, "GET", path)).status for path in ("/health", "/livez", "/metrics")]
            assert statuses == [503, 200, 200]
            for method, path in (("POST", "/v1/messages"), ("GET", "/v1/files"), ("GET", "/v1/models"), ("GET", "/")):
                answer = await knock(daemon, method, path, GOOD, BODY if method == "POST" else None)
                assert answer.status == 503
                assert answer.header("retry-after") == "1"
                assert answer.header("x-claude-proxy-error") == "draining"
        assert upstream.received == []

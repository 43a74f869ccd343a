"""Requests that are odd but honest, or piled up on one connection: served once and exactly, or refused."""

import gzip
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.paths.malformed_requests import (
    CHUNKED,
    HOST,
    JSON_TYPE,
    LENGTH,
    MARK,
    VALID,
    VALID_BODY,
    chunks,
    framed,
    head,
    post,
    ready,
    to,
)
from tests.paths.refusals import ANY_MARK, LIMITS, assert_log_is_clean, assert_refused
from tests.raw_client import ask, send_raw
from tests.running import Daemon, running
from tests.stand_in import Received, StandIn, message_json, replies

pytestmark = pytest.mark.asyncio(loop_scope="module")

House = tuple[Daemon, StandIn]

N = b"%x" % len(VALID_BODY)
ONE_BYTE_CHUNKS = b"".join(b"1\r\n%c\r\n" % byte for byte in VALID_BODY) + b"0\r\n\r\n"


def body_with(member: bytes) -> bytes:
    return b"{" + member + b", " + VALID_BODY[1:]


SPACED = VALID_BODY.replace(b": ", b" \r\n:\t ").replace(b", ", b"\n,\r\t ")
ESCAPED = VALID_BODY.replace(b'"model"', b'"\\u006dodel"')

# Each is answered 200, and the upstream receives one request with this body.
LEGAL = {
    "nothing odd": (VALID, VALID_BODY),
    "header names in small letters": (
        VALID.replace(b"Host", b"host").replace(b"Content-", b"content-"),
        VALID_BODY,
    ),
    "header names in capitals": (VALID.replace(b"Content-Length", b"CONTENT-LENGTH"), VALID_BODY),
    "no space after the colon": (VALID.replace(b": application", b":application"), VALID_BODY),
    "spaces around a value": (post(b"x-a: \t  b \t "), VALID_BODY),
    "a header without a value": (post(b"x-a:"), VALID_BODY),
    "a header of seven kilobytes": (post(b"anthropic-beta: " + b"b" * 7000), VALID_BODY),
    "a hundred headers": (post(*(b"x-%d: b" % n for n in range(100))), VALID_BODY),
    "a header in UTF-8": (post("x-a: grüße".encode()), VALID_BODY),
    "an empty line before the request": (b"\r\n" + VALID, VALID_BODY),
    "HTTP/1.0": (
        head(b"POST /v1/messages HTTP/1.0", b"Host: " + HOST, JSON_TYPE, LENGTH) + VALID_BODY,
        VALID_BODY,
    ),
    "one chunk": (chunks(N + b"\r\n" + VALID_BODY + b"\r\n0\r\n\r\n"), VALID_BODY),
    "chunks of one byte": (chunks(ONE_BYTE_CHUNKS), VALID_BODY),
    "a chunk size in capitals with zeros": (
        chunks(b"000" + N.upper() + b"\r\n" + VALID_BODY + b"\r\n0\r\n\r\n"),
        VALID_BODY,
    ),
    "chunk extensions": (
        chunks(N + b';a=b;c="d"\r\n' + VALID_BODY + b"\r\n0;last\r\n\r\n"),
        VALID_BODY,
    ),
    "the coding in capitals": (framed(CHUNKED.replace(b"c", b"C"), body=ONE_BYTE_CHUNKS), VALID_BODY),
    "an expectation to continue": (post(b"Expect: 100-continue"), VALID_BODY),
    "an offer of HTTP/2": (
        post(
            b"Connection: Upgrade, HTTP2-Settings",
            b"Upgrade: h2c",
            b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
        ),
        VALID_BODY,
    ),
    "a type with a charset": (post(b'Content-Type: Application/JSON ; Charset="UTF-8"'), VALID_BODY),
    "spaces and line ends in JSON": (post(body=SPACED), SPACED),
    "spaces around JSON": (post(body=b" \r\n\t" + VALID_BODY + b"\r\n"), b" \r\n\t" + VALID_BODY + b"\r\n"),
    "an escaped name": (post(body=ESCAPED), ESCAPED),
    "a pair of surrogates, escaped": (
        post(body=body_with(b'"note": "\\ud83d\\ude00"')),
        body_with(b'"note": "\\ud83d\\ude00"'),
    ),
    "an emoji in UTF-8": (
        post(body=body_with('"note": "\U0001f600"'.encode())),
        body_with('"note": "\U0001f600"'.encode()),
    ),
    "another name twice": (
        post(body=body_with(b'"x": {"a": 1, "a": 2}')),
        body_with(b'"x": {"a": 1, "a": 2}'),
    ),
    "a model twice further down": (
        post(body=body_with(b'"x": {"model": "a", "model": 2, "stream": 3}')),
        body_with(b'"x": {"model": "a", "model": 2, "stream": 3}'),
    ),
    "the word model in a text": (
        post(body=body_with(b'"x": "\\"model\\": \\"y\\""')),
        body_with(b'"x": "\\"model\\": \\"y\\""'),
    ),
    "arrays two hundred deep": (
        post(body=body_with(b'"x": ' + b"[" * 200 + b"]" * 200)),
        body_with(b'"x": ' + b"[" * 200 + b"]" * 200),
    ),
    "no messages": (post(body=b'{"model": "claude-sonnet-4-5"}'), b'{"model": "claude-sonnet-4-5"}'),
    "a compressed body": (
        post(b"Content-Encoding: gzip", body=gzip.compress(VALID_BODY, mtime=0)),
        gzip.compress(VALID_BODY, mtime=0),
    ),
}

# Each may be served or refused; where it is served, the upstream receives one faultless request.
CONTESTED = {
    "absolute form to ourselves": to(b"http://" + HOST + b"/v1/messages"),
    "a Connection that names the length": post(b"Connection: content-length"),
    "a Connection that names Host and type": post(b"Connection: host, content-type"),
    "a Connection that names a note": post(b"x-secret: " + MARK, b"Connection: close, x-secret"),
    "a coding spelt with an underscore": post(b"Transfer_Encoding: chunked"),
    "a length spelt with an underscore": post(b"Content_Length: 5"),
    "a trailer": chunks(N + b"\r\n" + VALID_BODY + b"\r\n0\r\nx-secret: " + MARK + b"\r\n\r\n"),
    "a trailer that names a length": chunks(N + b"\r\n" + VALID_BODY + b"\r\n0\r\nContent-Length: 5\r\n\r\n"),
    "trailers that name Host and key": chunks(
        N + b"\r\n" + VALID_BODY + b"\r\n0\r\nHost: evil.example\r\nx-api-key: x-secret\r\n\r\n"
    ),
    "a header in Latin-1": post(b"x-a: caf\xe9"),
    "an offer of a WebSocket": post(
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """One daemon for all, before an upstream that answers every question alike."""
    home = tmp_path_factory.mktemp("odd")
    async with StandIn(replies(200, message_json())) as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}, "limits": LIMITS}
        async with running(home, config) as daemon:
            yield daemon, upstream
        assert_log_is_clean(daemon.lines)


@pytest.fixture
def house(shared: House) -> House:
    """The same, with nothing received so far."""
    shared[1].received.clear()
    return shared


def assert_faultless(received: Received, body: bytes) -> None:
    """One message request with exactly this body, framed in one way, without what a proxy has to drop."""
    assert (received.method, received.target, received.body) == ("POST", "/v1/messages", body)
    names = [name.lower().replace("_", "-") for name, _ in received.headers]
    assert names.count("content-length") + names.count("transfer-encoding") == 1
    assert names.count("host") == 1
    assert not {"upgrade", "http2-settings", "trailer", "te", "x-secret", "expect"} & set(names)
    assert "evil.example" not in str(received.headers)
    assert "x-secret" not in str(received.headers)


@pytest.mark.parametrize("name", LEGAL)
async def test_an_odd_but_honest_request_is_served_exactly(house: House, name: str) -> None:
    daemon, upstream = house
    raw, body = LEGAL[name]
    outcome = await send_raw(daemon.port, ready(raw, daemon.port))
    assert outcome.final.status == 200, outcome
    assert outcome.closed
    (received,) = upstream.received
    assert_faultless(received, body)


@pytest.mark.parametrize("name", CONTESTED)
async def test_a_doubtful_request_is_served_without_what_is_doubtful_or_refused(house: House, name: str) -> None:
    daemon, upstream = house
    outcome = await send_raw(daemon.port, ready(CONTESTED[name], daemon.port))
    if upstream.received:
        assert outcome.final.status == 200
        (received,) = upstream.received
        assert_faultless(received, ready(VALID_BODY, daemon.port))
    else:
        assert outcome.final.status != 200
        assert_refused(outcome)


@pytest.mark.parametrize(
    "query",
    ["?beta=true", "?a=%2e%2e%2F&b=%00", "?beta=true&beta=false&x[]={}|^`", "?/v1/../x", "?a=b?c=d;e"],
)
async def test_a_query_is_passed_on_as_it_came(house: House, query: str) -> None:
    daemon, upstream = house
    target = "/v1/messages" + query
    outcome = await send_raw(daemon.port, ready(to(target.encode()), daemon.port))
    assert outcome.final.status == 200, outcome
    assert [received.target for received in upstream.received] == [target]


async def test_two_requests_at_once_on_one_connection_are_both_answered(house: House) -> None:
    daemon, upstream = house
    outcome = await send_raw(daemon.port, ready(VALID + VALID, daemon.port))
    assert outcome.statuses[:2] == [200, 200]
    assert len(upstream.received) == 2


GARBAGE = b"\x00\x01garbage " + MARK + b"\r\n\r\n"


@pytest.mark.parametrize("garbage", [GARBAGE, MARK, b"\x16\x03\x01", b"}" * 1000, MARK * 100_000])
async def test_garbage_behind_a_request_is_refused(house: House, garbage: bytes) -> None:
    daemon, upstream = house
    before = len(daemon.lines)
    outcome = await send_raw(daemon.port, ready(VALID + garbage, daemon.port))
    assert outcome.closed
    served = [answer for answer in outcome.answers if answer.status < 400]
    assert len(served) == len(upstream.received) <= 1
    for received in upstream.received:
        assert_faultless(received, ready(VALID_BODY, daemon.port))
    assert not ANY_MARK.search(outcome.raw)
    assert_log_is_clean(daemon.lines[before:])
    assert (await ask(daemon.port, "/health")).status == 200


@pytest.mark.parametrize("framing", [b"Content-Length: %d\r\n\r\n%s", b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s"])
async def test_a_request_in_the_body_of_another_is_a_body(house: House, framing: bytes) -> None:
    daemon, upstream = house
    hidden = VALID if b"Length" in framing else VALID + b"\r\n0\r\n\r\n"
    raw = b"GET /health HTTP/1.1\r\nHost: " + HOST + b"\r\nContent-Type: application/json\r\n"
    outcome = await send_raw(daemon.port, ready(raw + framing % (len(VALID), hidden), daemon.port))
    assert outcome.closed
    assert all("in_flight" in answer.json() for answer in outcome.answers[1:])
    assert outcome.final.status in {200, 400, 413}
    assert upstream.received == []

"""Answers that are no streams are relayed: JSON, errors and whatever other paths give, byte for byte."""

import gzip
from collections.abc import AsyncIterator, Iterable

import pytest
import pytest_asyncio

from tests.claude_request import claude_body
from tests.in_process import LOGIN, InProcess, in_process
from tests.raw_client import Answer as RawAnswer
from tests.raw_client import connected, request
from tests.stand_in import Answer, Received, StandIn, Wire, error_body, replies, streams, text_stream

pytestmark = pytest.mark.asyncio(loop_scope="module")

House = tuple[InProcess, StandIn]
Pairs = list[tuple[str, str]]

JSON = ("Content-Type", "application/json")
# What an answer without a type is, for the aiohttp that writes ours as for everybody else (RFC 9110 8.3).
BYTES = ("Content-Type", "application/octet-stream")

# Spelt as no encoder would, so that a body that was read and written again shows.
MESSAGE = (
    b'\n { "type" :"message","content":[ {"type":"text","text":"caf\\u00e9 \\/ \xc3\xa9 \\ud83d\\ude42"} ],\r\n'
    b' "model":"claude-sonnet-4-5", "x": 1.10, "n": 123456789012345678901234567890, "usage":{"input_tokens" : 3}}\n\n'
)

# What Anthropic sends along, in an order of its own; one header stands twice.
PASSED_ON: Pairs = [
    ("request-id", "req_011CSHoEeqs5C35K2UUqR7Fy"),
    ("anthropic-organization-id", "0a1b2c3d"),
    ("Anthropic-RateLimit-Unified-Status", "allowed"),
    ("anthropic-ratelimit-unified-5h-reset", "1893456000"),
    ("anthropic-ratelimit-requests-remaining", "49"),
    ("x-should-retry", "false"),
    ("cf-ray", "98abcdef01234567-FRA"),
    ("CF-Cache-Status", "DYNAMIC"),
    ("via", "1.1 google"),
    ("x-note", "one"),
    ("x-note", "two, three"),
    ("Server", "cloudflare"),
    ("Date", "Mon, 02 Jan 2023 03:04:05 GMT"),
    ("server-timing", 'x-originResponse;dur=1234, "a"'),
    ("x-empty", ""),
]

NOT_PASSED_ON: Pairs = [
    ("Keep-Alive", "timeout=5"),
    ("Proxy-Authenticate", "Basic realm=x"),
    ("Proxy-Connection", "keep-alive"),
    ("Proxy-Note", "x"),
    ("TE", "trailers"),
    ("Trailer", "x-sum"),
    ("Upgrade", "h2c"),
    ("Set-Cookie", "__cf_bm=x; HttpOnly"),
    ("set-cookie", "second=y"),
    ("Set-Cookie2", "z"),
    ("Strict-Transport-Security", "max-age=31536000"),
    ("Access-Control-Allow-Origin", "*"),
    ("access-control-expose-headers", "x"),
    ("alt-svc", 'h3=":443"'),
    ("x-claude-proxy-upstream", "somebody-else"),
    ("Connection", "keep-alive, x-nominated"),
    ("x-nominated", "hop"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """Retries would only cost time."""
    async with StandIn() as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}, "retry": {"max_retries": 0}}
        async with in_process(tmp_path_factory.mktemp("answers"), config) as daemon:
            yield daemon, upstream


async def asked(
    house: House, answer: Answer, *, method: str = "POST", target: str = "/v1/messages", body: bytes | None = None
) -> RawAnswer:
    """The answer as it lies on the wire between the daemon and the client."""
    daemon, upstream = house
    upstream.answer = answer
    headers = [*LOGIN.items(), *([JSON] if body is not None else []), ("Connection", "close")]
    sent = request(method, target, host=f"127.0.0.1:{daemon.port}", headers=headers, body=body)
    async with connected(daemon.port) as connection:
        await connection.send(sent)
        outcome = await connection.end()
    assert len(outcome.answers) == 1, outcome
    assert not outcome.rest
    return outcome.final


def end_to_end(answer: RawAnswer) -> Pairs:
    """Its headers without those of this connection and the daemon's own."""
    of_the_connection = {"connection", "content-length", "transfer-encoding"}
    return [
        (name, value)
        for name, value in lowered(answer.headers)
        if name not in of_the_connection and not name.startswith("x-claude-proxy-")
    ]


def lowered(headers: Iterable[tuple[str, str]]) -> Pairs:
    """With the names as they are compared: upper and lower case are alike (RFC 9110 5.1)."""
    return [(name.lower(), value) for name, value in headers]


def said_by_the_upstream(answer: RawAnswer) -> Pairs:
    """The same, where the upstream named neither itself nor the date."""
    return [pair for pair in end_to_end(answer) if pair[0] not in {"date", "server"}]


BODY = claude_body(stream=False)
STREAM_BODY = claude_body(stream=True)
EVENTS = text_stream()


async def test_a_message_comes_out_byte_for_byte(house: House) -> None:
    answer = await asked(house, replies(200, MESSAGE), body=BODY)
    assert (answer.status, answer.body) == (200, MESSAGE)


async def test_a_message_of_ten_megabytes_comes_out_byte_for_byte(house: House) -> None:
    large = MESSAGE.replace(b'"x":', b'"filler": "%s", "x":' % (b"f" * 10_000_000))
    answer = await asked(house, replies(200, large), body=BODY)
    assert answer.body == large


async def test_a_chunked_message_comes_out_byte_for_byte(house: House) -> None:
    async def answer(_: Received, wire: Wire) -> None:
        await wire.head(200, [JSON, ("Transfer-Encoding", "chunked")])
        for at in range(0, len(MESSAGE), 7):
            await wire.chunk(MESSAGE[at : at + 7])
        await wire.end()

    assert (await asked(house, answer, body=BODY)).body == MESSAGE


async def test_a_token_count_comes_out_byte_for_byte(house: House) -> None:
    count = b'{ "input_tokens" :42 }\n'
    answer = await asked(house, replies(200, count), target="/v1/messages/count_tokens?beta=true", body=BODY)
    assert (answer.status, answer.body) == (200, count)


def gives(kind: str, headers: Pairs) -> tuple[Answer, bytes, Pairs]:
    """An upstream's answer of this kind with these headers, the body that asks for it, and the headers expected."""
    if kind == "a stream":
        return streams(EVENTS, headers), STREAM_BODY, [("Content-Type", "text/event-stream"), *headers]
    if kind == "an error":
        return replies(400, error_body("invalid_request_error", "no"), [JSON, *headers]), BODY, [JSON, *headers]
    return replies(200, MESSAGE, [JSON, *headers]), BODY, [JSON, *headers]


@pytest.mark.parametrize("kind", ["a message", "a stream", "an error"])
async def test_the_headers_of_an_answer_are_passed_on_in_their_order(house: House, kind: str) -> None:
    answer, body, expected = gives(kind, PASSED_ON)
    assert end_to_end(await asked(house, answer, body=body)) == lowered(expected)


@pytest.mark.parametrize("kind", ["a message", "a stream", "an error"])
async def test_headers_that_are_not_for_the_client_are_dropped(house: House, kind: str) -> None:
    answer, body, _ = gives(kind, [*NOT_PASSED_ON, *PASSED_ON])
    got = await asked(house, answer, body=body)
    assert end_to_end(got)[1:] == lowered(PASSED_ON)
    assert got.all("x-claude-proxy-upstream") == ["claude"]


async def test_headers_of_other_paths_are_treated_alike(house: House) -> None:
    answer = replies(200, b"{}", [*NOT_PASSED_ON, *PASSED_ON, JSON])
    got = await asked(house, answer, method="GET", target="/v1/files")
    assert end_to_end(got) == lowered([*PASSED_ON, JSON])
    assert got.all("x-claude-proxy-upstream") == ["claude"]


ERRORS: dict[str, tuple[int, bytes]] = {
    "prompt is too long": (400, error_body("invalid_request_error", "prompt is too long: 208310 tokens > 200000")),
    "an unknown beta": (400, b'{"type":"error","error":{"type":"invalid_request_error","message":"x \\u00e9"}}\n'),
    "its login was refused": (401, error_body("authentication_error", "OAuth token has expired")),
    "its login may not": (403, error_body("permission_error", "OAuth token does not meet scope requirement")),
    "no such model": (404, error_body("not_found_error", "model: claude-x")),
    "too large": (413, error_body("request_too_large", "Request exceeds the maximum size")),
    "rate limit": (429, error_body("rate_limit_error", "Number of request tokens has exceeded your limit")),
    "billing": (400, error_body("invalid_request_error", "Your credit balance is too low")),
    "a fault": (500, error_body("api_error", "Internal server error")),
    "HTML of a gateway": (502, b"<html>\r\n<head><title>502 Bad Gateway</title></head></html>\r\n"),
    "nothing": (503, b""),
    "a timeout": (504, b'{"type":"error"'),
    "overloaded": (529, error_body("overloaded_error", "Overloaded")),
    "bytes": (418, bytes(range(256))),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", ERRORS)
async def test_an_error_is_said_as_the_upstream_said_it(house: House, name: str, stream: bool) -> None:
    status, said = ERRORS[name]
    headers = [JSON, ("request-id", "req_1"), ("retry-after", "17"), ("x-should-retry", "true")]
    answer = await asked(house, replies(status, said, headers), body=STREAM_BODY if stream else BODY)
    assert (answer.status, answer.body) == (status, said)
    assert said_by_the_upstream(answer) == lowered(headers)
    assert answer.header("x-claude-proxy-error") is None


ZIPPED = gzip.compress(b'{"data":[]}')

OTHERS: dict[str, tuple[str, str, bytes | None, int, bytes, Pairs]] = {
    # method, target, body, and the answer's status, body, headers
    "a list": ("GET", "/v1/organizations/usage_report", None, 200, b'{ "data" : [] }', [JSON]),
    "a query": ("GET", "/v1/files?limit=5&after_id=%2Fa%20b&&x=%C3%A9&y[]=1", None, 200, b"{}", [JSON]),
    "a path with a colon": ("GET", "/v1/files/file_1:x@y/content", None, 200, bytes(range(256)), [BYTES]),
    "a post": ("POST", "/v1/messages/batches?beta=true", b' { "model" : 1, "model":2 }', 200, b"{}", [JSON]),
    "a post without a body": ("POST", "/v1/messages/batches/b_1/cancel", None, 200, b"{}", [JSON]),
    "put": ("PUT", "/v1/x", b"[1.10]", 201, b"made", [("Content-Type", "text/plain")]),
    "patch": ("PATCH", "/v1/x", b'"\\u00e9"', 200, b"{}", [JSON]),
    "delete": ("DELETE", "/v1/files/f_1", None, 200, b'{"type":"file_deleted"}', [JSON]),
    "an empty answer": ("GET", "/v1/x", None, 200, b"", [BYTES]),
    "an unknown path": ("GET", "/v1/nothing", None, 404, error_body("not_found_error", "Not found"), [JSON]),
    "a refusal": ("GET", "/v1/x", None, 401, error_body("authentication_error", "invalid"), [JSON]),
    "a failure": ("GET", "/v1/x", None, 500, b"<html>", [("Content-Type", "text/html")]),
    "a compressed answer": ("GET", "/v1/x", None, 200, ZIPPED, [JSON, ("Content-Encoding", "gzip")]),
    "lines of JSON": ("GET", "/v1/b/results", None, 200, b'{"a":1}\n{"a":2}\n', [("Content-Type", "a/x-jsonl")]),
}


@pytest.mark.parametrize("name", OTHERS)
async def test_every_other_path_is_passed_through_both_ways(house: House, name: str) -> None:
    method, target, body, status, said, headers = OTHERS[name]
    upstream = house[1]
    upstream.received.clear()
    answer = await asked(house, replies(status, said, headers), method=method, target=target, body=body)
    (received,) = upstream.received
    assert (received.method, received.target, received.body) == (method, target, body or b"")
    assert (answer.status, answer.body) == (status, said)
    assert said_by_the_upstream(answer) == lowered(headers)


async def test_a_head_request_is_passed_through_and_answered_without_a_body(house: House) -> None:
    daemon, upstream = house
    upstream.received.clear()
    upstream.answer = replies(200, b"", [("x-note", "one")])
    sent = request("HEAD", "/v1/files", host=f"127.0.0.1:{daemon.port}", headers=LOGIN.items())
    async with connected(daemon.port) as connection:
        await connection.send(sent)
        await connection.read_until(lambda so_far: b"\r\n\r\n" in so_far.raw)
        # Whatever followed the head would stand before the next answer.
        await connection.send(
            request("GET", "/livez", host=f"127.0.0.1:{daemon.port}", headers=[("Connection", "close")])
        )
        outcome = await connection.end()
    assert [received.method for received in upstream.received] == ["HEAD"]
    head, _, rest = outcome.raw.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"\r\nx-note: one" in head
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n")


async def test_a_long_answer_of_another_path_is_streamed_on_as_it_comes(house: House) -> None:
    line = b'{"custom_id":"x"}\n'

    async def answer(_: Received, wire: Wire) -> None:
        await wire.start_stream()
        for _number in range(50_000):
            await wire.chunk(line)
        await wire.end()

    answer_got = await asked(house, answer, method="GET", target="/v1/messages/batches/b_1/results")
    assert answer_got.body == line * 50_000

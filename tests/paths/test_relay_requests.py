"""Requests are relayed: what Anthropic receives is what the client sent, and a renamed model changes only the name."""

import gzip
import zlib
from collections.abc import AsyncIterator
from typing import Any

import brotli
import pytest
import pytest_asyncio
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.claude_request import claude_headers
from tests.in_process import LOGIN, InProcess, in_process
from tests.raw_client import Answer, connected, request
from tests.stand_in import Received, StandIn, Wire, message_json

pytestmark = pytest.mark.asyncio(loop_scope="module")

House = tuple[InProcess, StandIn]

JSON = ("Content-Type", "application/json")
RENAMED = "claude-haiku-4-5-20251001"

ROUTES: list[dict[str, Any]] = [
    {"model": "claude-haiku-*", "to": [{"upstream": "claude", "model": RENAMED}]},
    {"model": "claude-same", "to": [{"upstream": "claude", "model": "claude-same"}]},
    {"to": [{"upstream": "claude"}]},
]

# Spelt as no encoder would, so that a body that was read and written again shows.
BODY = (
    b'\t{ "messages": [ {"role":"user","content":"caf\\u00e9 \\/ \xc3\xa9 \\ud83d\\ude42 \\"model\\":\\"x\\""} ] ,\r\n'
    b' "model" : "claude-sonnet-4-5", "max_tokens":1e3,"f": 1.10, "n": 123456789012345678901234567890,\n'
    b' "metadata":{"model":"claude-sonnet-4-5", "user_id":"a\\u0000b"}, "stream" :true , "last":[null,{},[]] } \n'
)

BODIES = {
    "spelt oddly": BODY,
    "keys of the future": b'{"model":"claude-x","from_the_future":{"deep":[[[[1]]]]},"messages":[]}',
    "an empty name": b'{"":1,"model":"claude-x","messages":[]}',
    "twins further down": b'{"model":"claude-x","messages":[{"role":"user","role":"user"}]}',
    "of ten megabytes": b'{"model":"claude-x","messages":[{"role":"user","content":"%s"}]}' % (b"f" * 10_000_000),
}

CODINGS = {
    "gzip": gzip.compress(BODY),
    "gzip of the least": gzip.compress(BODY, 0),
    "deflate": zlib.compress(BODY),
    "br": brotli.compress(BODY),
    "zstd": zstandard.ZstdCompressor().compress(BODY),
}


async def answers_any_body(received: Received, wire: Wire) -> None:
    """Without a look at the body, which may be compressed."""
    counts = received.path.endswith("/count_tokens")
    await wire.reply(200, b'{"input_tokens":42}' if counts else message_json(), [JSON])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with StandIn(answers_any_body) as upstream:
        config = {"upstreams": {"claude": {"base_url": f"{upstream.url}/below"}}, "routes": ROUTES}
        async with in_process(tmp_path_factory.mktemp("requests"), config) as daemon:
            yield daemon, upstream


async def received(house: House, sent: bytes) -> Received:
    """What the upstream gets of these bytes of a client."""
    daemon, upstream = house
    upstream.received.clear()
    async with connected(daemon.port) as connection:
        await connection.send(sent)
        answer: Answer | None = await connection.answer()
    assert answer is not None
    assert answer.status == 200, answer
    (only,) = upstream.received
    return only


def posted(house: House, body: bytes, *headers: tuple[str, str], target: str = "/v1/messages?beta=true") -> bytes:
    host = f"127.0.0.1:{house[0].port}"
    return request("POST", target, host=host, headers=[*LOGIN.items(), JSON, *headers], body=body)


@pytest.mark.parametrize("name", BODIES)
async def test_a_body_arrives_byte_for_byte(house: House, name: str) -> None:
    assert (await received(house, posted(house, BODIES[name]))).body == BODIES[name]


async def test_a_chunked_body_arrives_byte_for_byte_and_with_its_length(house: House) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(BODY[at : at + 9]), BODY[at : at + 9]) for at in range(0, len(BODY), 9))
    host = f"127.0.0.1:{house[0].port}"
    headers = [*LOGIN.items(), JSON, ("Transfer-Encoding", "chunked")]
    sent = request("POST", "/v1/messages", host=host, headers=headers) + chunks + b"0\r\n\r\n"
    got = await received(house, sent)
    assert got.body == BODY
    assert got.header("Content-Length") == str(len(BODY))
    assert got.header("Transfer-Encoding") is None


@pytest.mark.parametrize("name", CODINGS)
async def test_a_compressed_body_arrives_as_it_is(house: House, name: str) -> None:
    coding = name.partition(" ")[0]
    got = await received(house, posted(house, CODINGS[name], ("Content-Encoding", coding)))
    assert got.body == CODINGS[name]
    assert got.header("Content-Encoding") == coding


async def test_path_and_query_arrive_as_they_are_below_the_base_url(house: House) -> None:
    target = "/v1/messages?beta=true&x=%2F%c3%A9+a&&y"
    assert (await received(house, posted(house, BODY, target=target))).target == f"/below{target}"


async def test_the_headers_arrive_in_their_order_but_for_those_of_the_connection(house: House) -> None:
    sent = [*claude_headers(LOGIN).items(), ("x-note", "one"), ("x-note", "two, three"), ("anthropic-beta", "second")]
    of_the_connection = [
        ("Connection", "keep-alive, x-hop"),
        ("x-hop", "1"),
        ("Keep-Alive", "timeout=5"),
        ("TE", "trailers"),
        ("Proxy-Authorization", "Basic FAKE"),
        ("Accept-Encoding", "gzip, br"),
        ("x-claude-proxy-token", "FAKE"),
    ]
    daemon, upstream = house
    host = f"127.0.0.1:{daemon.port}"
    whole = request("POST", "/v1/messages", host=host, headers=[*of_the_connection, *sent], body=BODY)
    got = await received(house, whole)
    set_by_us = [
        ("host", f"127.0.0.1:{upstream.port}"),
        ("accept-encoding", "identity"),
        ("content-length", str(len(BODY))),
    ]
    arrived = [(name.lower(), value) for name, value in got.headers]
    assert sorted(pair for pair in arrived if pair in set_by_us) == sorted(set_by_us)
    assert [pair for pair in arrived if pair not in set_by_us] == [(name.lower(), value) for name, value in sent]


NAMES = {
    "spelt oddly": BODY.replace(b'"claude-sonnet-4-5"', b'"claude-haiku-4-5"', 1),
    "escaped": b'{"messages":[], "model"\t:\n"claude-haik\\u0075-4" ,"x":1}',
    "its key escaped": b'{"messages":[],"\\u006dodel":"claude-haiku-4","x":1}',
    "at the end": b'{"x":{"model":"claude-haiku-1"},"y":"\\"model\\": \\"claude-haiku-2\\"","model":"claude-haiku-3"}',
    "at the start": b'  {"model" : "claude-haiku-3"  , "model2":"claude-haiku-3"}',
}
WRITTEN = {
    "spelt oddly": b'"claude-haiku-4-5"',
    "escaped": b'"claude-haik\\u0075-4"',
    "its key escaped": b'"claude-haiku-4"',
    "at the end": b'"claude-haiku-3"',
    "at the start": b'"claude-haiku-3"',
}


@pytest.mark.parametrize("name", NAMES)
async def test_a_renamed_model_changes_the_bytes_of_its_name_and_no_other(house: House, name: str) -> None:
    body, written = NAMES[name], WRITTEN[name]
    got = await received(house, posted(house, body))
    assert got.body == body.replace(written, b'"%s"' % RENAMED.encode(), 1)
    assert got.header("Content-Length") == str(len(got.body))


async def test_a_model_renamed_to_its_own_name_changes_nothing(house: House) -> None:
    body = b'{"model": "claude\\u002dsame" , "messages":[]}'
    assert (await received(house, posted(house, body))).body == body


async def test_a_renamed_model_is_counted_under_its_new_name(house: House) -> None:
    got = await received(house, posted(house, NAMES["escaped"], target="/v1/messages/count_tokens"))
    assert got.json()["model"] == RENAMED


async def test_a_compressed_body_whose_model_is_renamed_arrives_as_plain_text(house: House) -> None:
    body = NAMES["spelt oddly"]
    got = await received(house, posted(house, gzip.compress(body), ("Content-Encoding", "gzip")))
    assert got.body == body.replace(WRITTEN["spelt oddly"], b'"%s"' % RENAMED.encode(), 1)
    assert got.header("Content-Encoding") is None


SPACE = st.sampled_from([b"", b" ", b"\n\t", b"\r\n "])
VALUES = st.sampled_from(
    [
        b"1.10",
        b"-0",
        b"1E400",
        b"null",
        b'"\\ud83d\\ude42 \\" \\\\"',
        '"é世"'.encode(),
        b'{"model":"claude-haiku-0"}',
        b"[]",
    ]
)
KEYS = (
    st.text(max_size=6)
    .filter(lambda key: key not in {"model", "stream"})
    .map(lambda key: key.encode("utf-8", "replace").replace(b"\\", b"\\\\").replace(b'"', b'\\"'))
)


@given(st.lists(st.tuples(KEYS, VALUES), max_size=5, unique_by=lambda pair: pair[0]), st.data())
@settings(max_examples=100, deadline=None)
async def test_any_body_is_renamed_in_its_place(
    house: House, members: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    members = [(key, value) for key, value in members if all(byte >= 32 for byte in key)]
    at = data.draw(st.integers(0, len(members)))

    def spelt(model: bytes) -> bytes:
        pairs = [*members[:at], (b"model", model), *members[at:]]
        return b"{" + gap + (gap + b"," + gap).join(b'"%s"' % k + gap + b":" + gap + v for k, v in pairs) + gap + b"}"

    gap = data.draw(SPACE)
    got = await received(house, posted(house, spelt(b'"claude-haiku-9"')))
    assert got.body == spelt(b'"%s"' % RENAMED.encode())

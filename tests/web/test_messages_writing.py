"""The reply is written out as it comes and to its end; where it breaks off, the client can tell."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import StreamReader
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from claude_proxy.exchange import End, Exchange
from claude_proxy.web.errors import Refused
from claude_proxy.web.guard import AccessSettings, Guard
from claude_proxy.web.messages import MessagesDoor
from claude_proxy.web.protocol import LimitSettings
from tests.client_requests import message_request
from tests.forwarding.forwarding_house import BRINGS_KEY, House, forwarding, to
from tests.raw_client import Answer as RawAnswer
from tests.raw_client import RawConnection, connected, request
from tests.running import eventually
from tests.stand_in import Answer, Received, StandIn, Wire, fails, hangs, replies, streams, text_stream
from tests.web.serving import serving

JSON = ("Content-Type", "application/json")
CLOSE = ("Connection", "close")
STREAM = message_request(BRINGS_KEY, stream=True)
EVENTS = text_stream()


@dataclass
class Door:
    """The door alone, before a forwarder and an upstream of the test."""

    port: int
    house: House
    upstream: StandIn

    @asynccontextmanager
    async def asked(
        self, method: str, target: str, *headers: tuple[str, str], body: bytes | None = None
    ) -> AsyncIterator[RawConnection]:
        """A client that has sent this."""
        sent = [BRINGS_KEY, *([JSON] if body is not None else []), *headers]
        async with connected(self.port) as client:
            await client.send(request(method, target, host="127.0.0.1", headers=sent, body=body))
            yield client

    async def answer(self, method: str, target: str, *headers: tuple[str, str], body: bytes | None = None) -> RawAnswer:
        async with self.asked(method, target, *headers, CLOSE, body=body) as client:
            outcome = await client.end()
        assert outcome.rest == b""
        return outcome.final

    async def exchange(self) -> Exchange:
        """The one exchange, once it is closed."""
        await eventually(lambda: bool(self.house.watcher.closes))
        (exchange,) = self.house.watcher.closes
        return exchange


@asynccontextmanager
async def door(home: Path, answer: Answer, access: AccessSettings | None = None) -> AsyncIterator[Door]:
    async with StandIn(answer) as upstream, forwarding(home, {"claude": upstream}) as house:
        messages = MessagesDoor(house.forwarder, Guard(access or AccessSettings(), 80), LimitSettings())
        async with serving(messages.answer) as port:
            yield Door(port, house, upstream)


def stream_of(*parts: bytes, then: str) -> Answer:
    """A stream of these parts that goes on no further, and is `cut` or comes to a clean `end`."""

    async def answer(_: Received, wire: Wire) -> None:
        await wire.start_stream()
        for part in parts:
            await wire.chunk(part)
        if then == "cut":
            wire.close()
        else:
            await wire.end()

    return answer


def lines_of(*parts: bytes, then: str) -> Answer:
    """The same of an answer that is no stream of events."""

    async def answer(_: Received, wire: Wire) -> None:
        await wire.head(200, [("Content-Type", "application/x-jsonl"), ("Transfer-Encoding", "chunked")])
        for part in parts:
            await wire.chunk(part)
        if then == "cut":
            wire.close()
        else:
            await wire.end()

    return answer


# --- as it comes ---------------------------------------------------------------------------------------


async def test_each_event_is_written_before_the_next_one_has_come(tmp_path: Path) -> None:
    on = asyncio.Event()

    async def answer(_: Received, wire: Wire) -> None:
        await wire.start_stream()
        for event in EVENTS:
            await wire.chunk(event)
            await on.wait()
            on.clear()
        await wire.end()

    async with door(tmp_path, answer) as at, at.asked("POST", "/v1/messages", body=STREAM.body) as client:
        for event in EVENTS:
            assert await client.read_until(lambda so_far, e=event: e in so_far.raw)  # type: ignore[misc]
            on.set()
        got = await client.answer()
        assert got is not None
        assert got.body == b"".join(EVENTS)
        assert got.header("content-type") == "text/event-stream"
        assert (await at.exchange()).end is End.COMPLETE


async def test_an_answer_of_another_path_is_written_as_it_comes_too(tmp_path: Path) -> None:
    on = asyncio.Event()

    async def answer(_: Received, wire: Wire) -> None:
        await wire.head(200, [("Content-Type", "application/x-jsonl"), ("Transfer-Encoding", "chunked")])
        await wire.chunk(b"line 1\n")
        await on.wait()
        await wire.chunk(b"line 2\n")
        await wire.end()

    async with door(tmp_path, answer) as at, at.asked("GET", "/v1/x") as client:
        assert await client.read_until(lambda so_far: b"line 1\n" in so_far.raw)
        on.set()
        got = await client.answer()
    assert got is not None
    assert got.body == b"line 1\nline 2\n"


async def test_an_answer_to_http_1_0_ends_with_its_connection(tmp_path: Path) -> None:
    async with door(tmp_path, lines_of(b"line 1\n", b"line 2\n", then="end")) as at, connected(at.port) as client:
        await client.send(b"GET /v1/x HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
        outcome = await client.end()
    assert outcome.final.header("transfer-encoding") is None
    assert outcome.final.body == b"line 1\nline 2\n"


@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_without_a_body_has_none(tmp_path: Path, status: int) -> None:
    async def answer(_: Received, wire: Wire) -> None:
        await wire.head(status, [("x-note", "one")])

    async with door(tmp_path, answer) as at, at.asked("DELETE", "/v1/files/f_1") as client:
        assert await client.answer() is not None
        await client.send(request("DELETE", "/v1/files/f_2", host="127.0.0.1", headers=[BRINGS_KEY, CLOSE]))
        outcome = await client.end()
    assert outcome.statuses == [status, status]
    assert outcome.rest == b""
    assert outcome.final.header("x-note") == "one"


@pytest.mark.parametrize("status", [200, 404])
async def test_head_is_answered_without_a_body(tmp_path: Path, status: int) -> None:
    async def answer(_: Received, wire: Wire) -> None:
        await wire.head(status, [("Content-Length", "5"), ("x-note", "one")])

    async with door(tmp_path, answer) as at, at.asked("HEAD", "/v1/files", CLOSE) as client:
        outcome = await client.end()
    head, _, rest = outcome.raw.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nx-note: one\r\n" in head
    assert rest == b""


# --- where it breaks off -------------------------------------------------------------------------------


async def test_an_answer_that_breaks_off_is_not_ended_as_if_it_were_whole(tmp_path: Path) -> None:
    async with door(tmp_path, lines_of(b"line 1\n", then="cut")) as at, at.asked("GET", "/v1/x") as client:
        outcome = await client.end()
        exchange = await at.exchange()
    assert outcome.closed
    assert outcome.answers == ()
    assert b"\r\n0\r\n" not in outcome.raw
    assert exchange.end is End.BROKEN


async def test_the_same_answer_that_does_not_break_off_is_ended(tmp_path: Path) -> None:
    async with door(tmp_path, lines_of(b"line 1\n", then="end")) as at:
        assert (await at.answer("GET", "/v1/x")).body == b"line 1\n"
        assert (await at.exchange()).end is End.COMPLETE


@pytest.mark.parametrize("then", ["cut", "end"])
async def test_a_stream_that_breaks_off_says_so_and_is_ended(tmp_path: Path, then: str) -> None:
    async with door(tmp_path, stream_of(EVENTS[0], then=then)) as at:
        answer = await at.answer("POST", "/v1/messages", body=STREAM.body)
        exchange = await at.exchange()
    told = answer.body.removeprefix(EVENTS[0])
    assert told.startswith(b"event: error\ndata: ")
    assert told.count(b"\n\n") == 1
    assert exchange.id.encode() in told
    assert exchange.end is End.BROKEN


async def test_what_no_upstream_answers_is_told_as_a_failure(tmp_path: Path) -> None:
    async def leaves(_: Received, wire: Wire) -> None:
        wire.reset()

    async with door(tmp_path, leaves) as at:
        answer = await at.answer("POST", "/v1/messages", body=STREAM.body)
        exchange = await at.exchange()
    assert (answer.status, answer.header("x-claude-proxy-error")) == (502, "connect")
    assert answer.json()["request_id"] == answer.header("x-claude-proxy-request-id") == exchange.id
    assert answer.header("x-claude-proxy-attempts") == "4"
    assert exchange.end is End.FAILED


async def test_what_an_upstream_refuses_is_told_in_its_own_words(tmp_path: Path) -> None:
    async with door(tmp_path, fails(400, "invalid_request_error", "no such thing")) as at:
        answer = await at.answer("POST", "/v1/messages", body=STREAM.body)
    assert (answer.status, answer.json()["error"]["message"]) == (400, "no such thing")
    assert answer.header("x-claude-proxy-error") is None
    assert answer.header("x-claude-proxy-upstream") == "claude"


@pytest.mark.parametrize(
    ("answer", "seen"), [(hangs(), b""), (hangs([EVENTS[0]]), EVENTS[0])], ids=["before the answer", "within it"]
)
async def test_a_client_that_leaves_was_not_answered(tmp_path: Path, answer: Answer, seen: bytes) -> None:
    async with door(tmp_path, answer) as at:
        async with at.asked("POST", "/v1/messages", body=STREAM.body) as client:
            await at.upstream.wait_for(lambda: len(at.upstream.received) == 1)
            assert await client.read_until(lambda so_far: seen in so_far.raw)
        exchange = await at.exchange()
        await at.upstream.wait_for(lambda: at.upstream.open_connections == 0)
    assert exchange.end is End.CLIENT_GONE


# --- what is read --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("access", "local"), [(AccessSettings(), True), (AccessSettings(trust_proxy=True), False)], ids=["yes", "no"]
)
@pytest.mark.parametrize(("method", "target", "body"), [("GET", "/v1/x", None), ("POST", "/v1/messages", STREAM.body)])
async def test_whether_a_request_comes_from_this_machine_goes_with_it(
    tmp_path: Path, method: str, target: str, body: bytes | None, access: AccessSettings, local: bool
) -> None:
    async with door(tmp_path, streams(EVENTS), access) as at:
        await at.answer(method, target, body=body)
        assert (await at.exchange()).request.local is local


@pytest.mark.parametrize(
    ("types", "kind"),
    [
        (["application/json"], "bad_body"),  # so far it is good, and only then it is read
        (["application/json", "application/json"], "media_type"),
        (["application/json", "text/plain"], "media_type"),
        (["application/json; charset=utf-8; charset=utf-7"], "media_type"),
        ([], "media_type"),
    ],
)
async def test_a_body_has_one_type(tmp_path: Path, types: list[str], kind: str) -> None:
    """A parser that lets two through must not be enough to bring in what no page may send."""
    reader = StreamReader(mock.Mock(spec=BaseProtocol, _reading_paused=False), 1 << 16, loop=asyncio.get_running_loop())
    reader.feed_eof()
    headers = CIMultiDict([("Content-Type", media) for media in types])
    asked = make_mocked_request("POST", "/v1/messages", headers=headers, payload=reader)
    async with forwarding(tmp_path, {}, routes=[to("claude")]) as house:
        with pytest.raises(Refused) as refused:
            await MessagesDoor(house.forwarder, Guard(AccessSettings(), 80), LimitSettings()).answer(asked)
    assert refused.value.kind == kind


@pytest.mark.parametrize("target", ["/v1/messages", "/v1/messages?beta=true", "/v1/messages/count_tokens?a=b"])
async def test_what_asks_a_model_is_read_whatever_its_query(tmp_path: Path, target: str) -> None:
    body = STREAM.body
    async with door(tmp_path, streams(EVENTS)) as at:
        await at.answer("POST", target, body=body)
        asked = (await at.exchange()).request
        assert (asked.model, asked.stream, asked.body) == ("claude-sonnet-4-5", True, body)
        assert (await at.answer("POST", target, body=b"[]")).header("x-claude-proxy-error") == "bad_body"


@pytest.mark.parametrize(
    ("method", "target"), [("PUT", "/v1/messages"), ("POST", "/v1/messages/batches"), ("POST", "/v1/messages/")]
)
async def test_what_asks_no_model_is_not_read(tmp_path: Path, method: str, target: str) -> None:
    async with door(tmp_path, replies(200, b"{}")) as at:
        assert (await at.answer(method, target, body=b"[]")).status == 200
        assert (await at.exchange()).request.members is None


async def test_nothing_is_an_exchange_before_it_is_a_request(tmp_path: Path) -> None:
    async with door(tmp_path, replies(200, b"{}")) as at:
        assert (await at.answer("POST", "/v1/messages", body=b"{")).status == 400
        assert (await at.answer("POST", "/v1/messages", body=b"[]")).status == 400
        assert at.house.watcher.closes == []
        assert at.upstream.received == []


async def test_target_headers_and_body_go_into_the_request_as_they_came(tmp_path: Path) -> None:
    body = b' { "x" : [1.10] }\n'
    async with door(tmp_path, replies(200, b"{}")) as at:
        await at.answer("PUT", "/v1/x?a=%2F&b", ("X-Note", "One"), ("x-note", "two"), body=body)
        asked = (await at.exchange()).request
    assert (asked.method, asked.target, asked.body, asked.members) == ("PUT", "/v1/x?a=%2F&b", body, None)
    assert [pair for pair in asked.headers if pair[0].lower() == "x-note"] == [("X-Note", "One"), ("x-note", "two")]

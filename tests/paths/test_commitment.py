"""Before its first good event an upstream may fail in any way: the client gets another's answer, or one error."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.claude_request import claude_body
from tests.closed_port import refusing_url
from tests.in_process import LOGIN, InProcess, in_process, turns_of_the_loop
from tests.paths.faults import ALWAYS, JSON, STREAMED, Fault
from tests.raw_client import Answer as RawAnswer
from tests.raw_client import RawConnection, connected, request
from tests.stand_in import Answer, Received, StandIn, Wire, error_body, fails, replies, says, streams, text_stream

EVENTS = text_stream("from the second")
MESSAGE = b'{"type": "message" ,"content":[{"type":"text","text":"from the second"}]}\n'

CASES = [(name, stream) for name in ALWAYS for stream in (False, True)] + [(name, True) for name in STREAMED]
IDS = [f"{name}-{'stream' if stream else 'whole'}" for name, stream in CASES]
FAULTS = {**ALWAYS, **STREAMED}


@dataclass
class TwoUpstreams:
    """A daemon over two upstreams, the second of which is asked where the first fails."""

    daemon: InProcess
    first: StandIn
    second: StandIn
    before_the_second: list[bytes] = field(default_factory=list)

    async def ask(self, *, stream: bool, **fields: Any) -> RawAnswer:
        """The one answer that the client gets; also notes what it had when the second upstream was asked."""
        body = claude_body(stream=stream, **fields)
        headers = [*LOGIN.items(), JSON, ("Connection", "close")]
        sent = request("POST", "/v1/messages", host=f"127.0.0.1:{self.daemon.port}", headers=headers, body=body)
        async with connected(self.daemon.port) as connection:
            self.second.answer = self._watching(connection, self.second.answer)
            await connection.send(sent)
            outcome = await connection.end()
        assert outcome.closed
        assert not outcome.rest, outcome.rest
        (answer,) = outcome.answers
        return answer

    def _watching(self, client: RawConnection, answer: Answer) -> Answer:
        async def answer_and_note(received: Received, wire: Wire) -> None:
            await turns_of_the_loop(20)  # whatever was sent to the client has been read by then
            self.before_the_second.append(bytes(client.raw))
            await answer(received, wire)

        return answer_and_note


async def answers(received: Received, wire: Wire) -> None:
    """The second upstream's answer, the same bytes each time."""
    if received.json()["stream"]:
        await streams(EVENTS, [("request-id", "req_second")])(received, wire)
    else:
        await wire.reply(200, MESSAGE, [JSON, ("request-id", "req_second")])


@contextlib.asynccontextmanager
async def upstreams(
    home: Path,
    first: Answer,
    second: Answer = answers,
    *,
    alone: bool = False,
    at: str | None = None,
    settings: Mapping[str, Any] | None = None,
    **config: Any,
) -> AsyncIterator[TwoUpstreams]:
    """`alone` leaves the second out of the route; `at` is the first elsewhere, `settings` are its own."""
    async with StandIn(first) as one, StandIn(second) as two:
        whole = {
            "upstreams": {
                "first": {
                    "base_url": at or one.url,
                    "dialect": "anthropic",
                    "credential": "claude",
                    **(settings or {}),
                },
                "second": {"base_url": two.url, "dialect": "anthropic", "credential": "claude"},
            },
            "routes": [{"to": [{"upstream": "first"}] if alone else [{"upstream": "first"}, {"upstream": "second"}]}],
            "retry": {"first_wait": "1ms", "max_wait": "1ms", "max_elapsed": "10s", "max_retries": 2},
            **config,
        }
        async with in_process(home, whole) as daemon:
            yield TwoUpstreams(daemon, one, two)


def patience(fault: Fault) -> dict[str, str]:
    """A short time limit only where it is what the test waits for."""
    return {"header_timeout": "300ms"} if fault.silent else {}


def assert_answer_of_the_second(answer: RawAnswer, *, stream: bool) -> None:
    assert answer.status == 200
    assert answer.body == (b"".join(EVENTS) if stream else MESSAGE)
    assert answer.header("request-id") == "req_second"
    assert answer.header("x-claude-proxy-upstream") == "second"


@pytest.mark.parametrize(("name", "stream"), CASES, ids=IDS)
async def test_the_second_upstream_answers_where_the_first_fails(name: str, stream: bool, tmp_path: Path) -> None:
    fault = FAULTS[name]
    async with upstreams(tmp_path, fault.answer, settings=patience(fault)) as house:
        answer = await house.ask(stream=stream)
        tried = len(house.first.received)
        assert house.before_the_second == [b""]
    assert_answer_of_the_second(answer, stream=stream)
    assert [received.json()["stream"] for received in house.second.received] == [stream]
    assert tried == (2 if fault.again else 1)
    assert answer.header("x-claude-proxy-attempts") == str(tried + 1)


@pytest.mark.parametrize(("name", "stream"), CASES, ids=IDS)
async def test_the_client_is_told_where_the_only_upstream_fails(name: str, stream: bool, tmp_path: Path) -> None:
    fault = FAULTS[name]
    async with upstreams(tmp_path, fault.answer, alone=True, settings=patience(fault)) as house:
        answer = await house.ask(stream=stream)
        tried = len(house.first.received)
        assert house.second.received == []
    if fault.said is not None:
        assert (answer.status, answer.body) == (fault.status, fault.said)
    else:
        assert answer.status in ({fault.status} if fault.status else {502, 504})
        error = answer.json()
        assert error["type"] == "error"
        assert error["error"]["type"] == ("timeout_error" if answer.status == 504 else "api_error")
        assert "first" in error["error"]["message"]
        assert answer.header("x-claude-proxy-error")
    assert tried == (3 if fault.again else 1)
    assert answer.header("x-claude-proxy-attempts") == str(tried)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_the_second_upstream_answers_where_the_first_refuses_connections(stream: bool, tmp_path: Path) -> None:
    with refusing_url() as url:
        async with upstreams(tmp_path, says(), at=url) as house:
            assert_answer_of_the_second(await house.ask(stream=stream), stream=stream)
            assert house.before_the_second == [b""]
    assert len(house.second.received) == 1


async def test_the_second_upstream_answers_where_the_first_speaks_no_tls(tmp_path: Path) -> None:
    def greets(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    async with await asyncio.start_server(greets, "127.0.0.1", 0) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with upstreams(tmp_path, says(), at=url) as house:
            assert_answer_of_the_second(await house.ask(stream=True), stream=True)
            assert house.before_the_second == [b""]
            assert len(house.second.received) == 1


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_refused_connection_is_told_where_nobody_else_answers(stream: bool, tmp_path: Path) -> None:
    with refusing_url() as url:
        async with upstreams(tmp_path, says(), at=url, alone=True) as house:
            answer = await house.ask(stream=stream)
    assert answer.status == 502
    assert answer.json()["error"]["type"] == "api_error"
    assert answer.header("x-claude-proxy-attempts") == "3"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_an_upstream_that_recovers_is_asked_again_and_answers(stream: bool, tmp_path: Path) -> None:
    async with upstreams(tmp_path, answers, alone=True) as house:
        house.first.then(fails(529, "overloaded_error"), ALWAYS["reset before the head"].answer)
        answer = await house.ask(stream=stream)
    assert (answer.status, answer.body) == (200, b"".join(EVENTS) if stream else MESSAGE)
    assert answer.header("x-claude-proxy-attempts") == "3"
    first, second, third = (received.body for received in house.first.received)
    assert first == second == third


REFUSALS = {
    "prompt is too long": (400, "invalid_request_error", "prompt is too long: 250000 tokens > 200000 maximum"),
    "an invalid request": (400, "invalid_request_error", "max_tokens: Field required"),
    "its own login": (401, "authentication_error", "OAuth token has expired"),
    "its own login may not": (403, "permission_error", "OAuth authentication is currently not supported"),
    "not found": (404, "not_found_error", "model: claude-x"),
    "too large": (413, "request_too_large", "Request exceeds the maximum size"),
    "unprocessable": (422, "invalid_request_error", "no"),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refusal_that_is_for_the_client_goes_nowhere_else(name: str, stream: bool, tmp_path: Path) -> None:
    status, kind, message = REFUSALS[name]
    body = error_body(kind, message)
    async with upstreams(tmp_path, replies(status, body)) as house:
        answer = await house.ask(stream=stream)
        assert (answer.status, answer.body) == (status, body)
        assert len(house.first.received) == 1
        assert house.second.received == []


async def test_an_error_event_that_is_for_the_client_goes_nowhere_else(tmp_path: Path) -> None:
    event = b'event: error\ndata: {"type":"error","error":{"type":"invalid_request_error","message":"no"}}\n\n'
    async with upstreams(tmp_path, streams([event])) as house:
        answer = await house.ask(stream=True)
        assert answer.body == event
        assert len(house.first.received) == 1
        assert house.second.received == []


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_where_all_fail_the_client_gets_the_first_ones_own_answer(stream: bool, tmp_path: Path) -> None:
    said = b'{"type":"error","error":{"type":"overloaded_error","message":"caf\\u00e9"}}\n'
    headers = [("request-id", "req_first"), ("retry-after", "60"), ("x-note", "one"), ("x-note", "two")]
    first = replies(529, said, [JSON, *headers])
    async with upstreams(tmp_path, first, fails(500, "api_error", "of the second")) as house:
        answer = await house.ask(stream=stream)
        assert len(house.second.received) == 3
    assert (answer.status, answer.body) == (529, said)
    assert [(name.lower(), value) for name, value in answer.headers if (name.lower(), value) in headers] == headers
    assert answer.header("x-claude-proxy-upstream") == "first"
    assert answer.header("x-claude-proxy-attempts") == "4"


async def test_where_all_fail_and_the_first_said_nothing_its_failure_is_told(tmp_path: Path) -> None:
    with refusing_url() as url:
        async with upstreams(tmp_path, says(), fails(429, "rate_limit_error", "of the second"), at=url) as house:
            answer = await house.ask(stream=True)
    assert answer.status == 502
    assert "first" in answer.json()["error"]["message"]


async def test_a_redirect_is_never_followed(tmp_path: Path) -> None:
    async with StandIn() as elsewhere:
        there = f"{elsewhere.url}/v1/messages"
        async with upstreams(tmp_path, replies(307, b"", [("Location", there)])) as house:
            assert_answer_of_the_second(await house.ask(stream=False), stream=False)
        assert elsewhere.received == []


async def test_a_second_answer_on_a_connection_is_given_to_nobody(tmp_path: Path) -> None:
    """The upstream sends one answer more than it was asked for; the next request must not get it."""
    smuggled = (
        b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 22\r\n\r\n{"type":"message","x":1}'
    )

    async def answers_twice(_: Received, wire: Wire) -> None:
        body = b'{"type":"message"}'
        await wire.head(200, [JSON, ("Content-Length", str(len(body)))])
        await wire.send(body + smuggled)
        await turns_of_the_loop(20)

    async with upstreams(tmp_path, answers, alone=True) as house:
        house.first.then(answers_twice)
        await house.ask(stream=False)
        answer = await house.ask(stream=False)
    assert answer.body == MESSAGE


async def test_requests_at_once_each_get_their_own_answer_where_the_first_fails(tmp_path: Path) -> None:
    async def echoes(received: Received, wire: Wire) -> None:
        text = received.json()["messages"][0]["content"][0]["text"]
        await wire.reply(200, b'{"type":"message","id":"%s"}' % text.encode(), [JSON])

    async with upstreams(tmp_path, fails(529, "overloaded_error"), echoes) as house:
        asked = [f"number-{number}" for number in range(20)]
        replied = await asyncio.gather(*(house.ask(stream=False, text=text) for text in asked))
    assert [answer.json()["id"] for answer in replied] == asked

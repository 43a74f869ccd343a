"""Before its first good event an upstream may fail in any way: the client gets another's answer, or one error.

The faults one by one stand in the matrix (`test_fault_matrix.py`); here is what they do not show.
"""

import asyncio
from pathlib import Path

import pytest

from tests.closed_port import refusing_url
from tests.in_process import turns_of_the_loop
from tests.paths.faults import ALWAYS, JSON
from tests.paths.two_upstreams import EVENTS, MESSAGE, answers, assert_answer_of_the_second, upstreams
from tests.stand_in import Received, StandIn, Wire, error_body, fails, replies, says, streams


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

"""Where MiniMax does not answer, Claude does: with the client's own bytes and login, once, and completely."""

from pathlib import Path
from typing import Any

import pytest

from tests.closed_port import refusing_url
from tests.minimax import (
    CLAUDE_JSON,
    CLAUDE_STREAM,
    CLIENT_HEADERS,
    HAIKU,
    KEY,
    LOGIN,
    MODEL,
    ONLY_MINIMAX,
    House,
    haiku,
    haiku_house,
    says_in_error_event,
    says_in_json,
    says_in_stream,
    says_with_status,
)
from tests.running import eventually
from tests.stand_in import (
    Answer,
    Received,
    Wire,
    fails,
    hangs,
    message_start,
    raw,
    replies,
    resets,
    text_block,
)

# Spelt as no encoder would, so that a body that was read and written again shows.
BODY = (
    b'{ "messages": [ {"role":"user","content":"caf\\u00e9 \\/ \xc3\xa9 \\ud83d\\ude42"} ] ,\n'
    b'  "model" : "%s", "max_tokens":1000,"f": 1.10, "n": 123456789012345678901234567890, "stream":true }\n'
) % HAIKU.encode()


async def begins_and_says_nothing(_: Received, wire: Wire) -> None:
    await wire.start_stream()
    await wire.reader.read(1)
    wire.keep_alive = False


FAULTS: dict[str, Answer] = {
    "reset": resets(),
    "closed": raw(b""),
    "not-http": raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    "half-a-head": raw(b"HTTP/1.1 200 OK\r\nContent-Ty"),
    "no-headers": hangs(),
    "headers-and-no-event": begins_and_says_nothing,
}

REFUSALS: dict[str, Answer] = {
    "rate-limit": says_in_json(1002, "rate limit exceeded(RPM)"),
    "rate-limit-in-stream": says_in_stream(1002, "rate limit exceeded(RPM)"),
    "rate-limit-in-error-event": says_in_error_event(1002, "rate limit exceeded(RPM)"),
    "rate-limit-with-status": says_with_status(1002, "rate limit exceeded(RPM)", 429),
    "quota": says_in_json(1028, "quota exhausted"),
    "balance": says_in_json(1008, "insufficient balance"),
    "wrong-key": says_with_status(1004, "login fail", 401),
    "wrong-key-in-200": says_in_json(1004, "login fail"),
    "plan": says_in_json(2061, "your plan does not include this model"),
    "overloaded": says_with_status(1000, "unknown error", 500),
    "overloaded-529": fails(529, "overloaded_error"),
    "unknown-number": says_in_json(4711, "something new"),
    "html": replies(200, b"<html>Sign in</html>", [("Content-Type", "text/html")]),
    "empty": replies(200, b""),
    "broken-json": replies(200, b'{"type":"mess'),
    "redirect": replies(302, b"", [("Location", "http://127.0.0.1:9/elsewhere")]),
}


def assert_claude_answered(house: House, received_body: bytes) -> None:
    """Claude was asked exactly once, with the client's own bytes, login and headers."""
    (received,) = house.claude.received
    assert (received.method, received.target) == ("POST", "/v1/messages?beta=true")
    assert received.body == received_body
    for name, value in CLIENT_HEADERS.items():
        assert received.header(name) == value
    assert received.header("Authorization") == f"Bearer {LOGIN}"
    assert KEY not in str(received.headers)


@pytest.mark.parametrize("fault", FAULTS)
async def test_claude_answers_when_minimax_is_down(fault: str, tmp_path: Path) -> None:
    async with haiku_house(tmp_path, FAULTS[fault], transport={"header_timeout": "500ms"}) as house:
        reply = await house.ask(BODY)
    assert reply.status == 200
    assert reply.body == b"".join(CLAUDE_STREAM)
    assert reply.headers["x-claude-proxy-upstream"] == "claude"
    assert reply.headers["request-id"] == "req_of_claude"
    assert_claude_answered(house, BODY)
    assert house.minimax.received


async def test_claude_answers_when_minimax_refuses_connections(tmp_path: Path) -> None:
    with refusing_url() as url:
        async with haiku_house(tmp_path, at=url) as house:
            reply = await house.ask(BODY)
    assert reply.status == 200
    assert reply.body == b"".join(CLAUDE_STREAM)
    assert_claude_answered(house, BODY)


async def test_claude_answers_when_there_is_no_key_for_minimax(tmp_path: Path) -> None:
    async with haiku_house(tmp_path, key=None) as house:
        before = len(house.daemon.lines)
        reply = await house.ask(BODY)
        await eventually(lambda: any("minimax" in line for line in house.daemon.lines[before:]))  # and says why
    assert reply.status == 200
    assert reply.body == b"".join(CLAUDE_STREAM)
    assert_claude_answered(house, BODY)
    assert house.minimax.received == []


@pytest.mark.parametrize("stream", [True, False], ids=["streaming", "not-streaming"])
@pytest.mark.parametrize("refusal", REFUSALS)
async def test_claude_answers_when_minimax_refuses(refusal: str, stream: bool, tmp_path: Path) -> None:
    body = BODY if stream else BODY.replace(b"true", b"false")
    async with haiku_house(tmp_path, REFUSALS[refusal]) as house:
        reply = await house.ask(body)
    assert reply.status == 200
    assert reply.body == (b"".join(CLAUDE_STREAM) if stream else CLAUDE_JSON)
    assert reply.headers["x-claude-proxy-upstream"] == "claude"
    assert reply.headers["x-claude-proxy-attempts"] == "2"
    assert len(house.minimax.received) == 1
    assert_claude_answered(house, body)


@pytest.mark.parametrize(
    "words", ["invalid params, context window exceeds limit", "invalid params, tool_choice is unknown"]
)
async def test_a_request_that_is_wrong_is_not_asked_again_elsewhere(words: str, tmp_path: Path) -> None:
    async with haiku_house(tmp_path, says_with_status(2013, words, 400)) as house:
        reply = await house.ask(BODY)
    assert reply.status == 400
    assert reply.json()["error"]["type"] == "invalid_request_error"
    assert len(house.minimax.received) == 1
    assert house.claude.received == []


async def test_an_overload_that_passes_is_retried_before_claude_is_asked(tmp_path: Path) -> None:
    retry = {"first_wait": "10ms", "max_wait": "10ms", "max_elapsed": "5s"}
    async with haiku_house(tmp_path, retry=retry) as house:
        house.minimax.then(says_in_stream(1000, "unknown error"))
        reply = await house.ask(BODY)
    assert reply.status == 200
    assert reply.headers["x-claude-proxy-upstream"] == "minimax"
    assert reply.headers["x-claude-proxy-attempts"] == "2"
    assert len(house.minimax.received) == 2
    assert house.claude.received == []


async def test_a_stream_that_breaks_after_its_beginning_is_not_begun_anew(tmp_path: Path) -> None:
    begun = [message_start(MODEL), *text_block("So far and")[:2]]
    async with haiku_house(tmp_path, resets(after=begun)) as house:
        reply = await house.ask(BODY)
    assert reply.status == 200
    names = [name for name, _ in reply.events]
    assert names == ["message_start", "content_block_start", "content_block_delta", "error"]
    assert "minimax" in reply.events[-1][1]["error"]["message"].lower()
    assert house.claude.received == []


async def test_when_both_refuse_the_client_hears_the_first(tmp_path: Path) -> None:
    first = says_in_json(1002, "rate limit exceeded(RPM)")
    async with haiku_house(tmp_path, first, claude=fails(529, "overloaded_error", "Overloaded")) as house:
        reply = await house.ask(BODY)
    assert reply.status == 429
    assert reply.json()["error"]["type"] == "rate_limit_error"
    assert (len(house.minimax.received), len(house.claude.received)) == (1, 1)


async def test_a_401_of_claude_for_the_clients_login_comes_back_so_that_it_refreshes(tmp_path: Path) -> None:
    refusal = fails(401, "authentication_error", "OAuth token has expired.")
    async with haiku_house(tmp_path, key=None, claude=refusal) as house:
        reply = await house.ask(BODY)
    assert reply.status == 401
    assert reply.json()["error"] == {"type": "authentication_error", "message": "OAuth token has expired."}


# --- what only Anthropic can answer ------------------------------------------------------------------------

QUOTA_PROBE = haiku(max_tokens=1, messages=[{"role": "user", "content": "quota"}])
del QUOTA_PROBE["stream"]
WEB_SEARCH = haiku(
    tools=[{"type": "web_search_20250305", "name": "web_search", "max_uses": 8}],
    tool_choice={"type": "tool", "name": "web_search"},
)


@pytest.mark.parametrize("routes", [None, ONLY_MINIMAX], ids=["default-routes", "minimax-only"])
@pytest.mark.parametrize("asked", [QUOTA_PROBE, WEB_SEARCH], ids=["quota-probe", "web-search"])
async def test_what_only_anthropic_can_answer_goes_to_claude_whatever_the_routes_say(
    asked: dict[str, Any], routes: list[Any] | None, tmp_path: Path
) -> None:
    more: dict[str, Any] = {} if routes is None else {"routes": routes}
    async with haiku_house(tmp_path, **more) as house:
        reply = await house.ask(asked)
    assert reply.status == 200
    assert reply.headers["x-claude-proxy-upstream"] == "claude"
    assert house.minimax.received == []
    (received,) = house.claude.received
    assert received.json() == asked
    assert received.header("Authorization") == f"Bearer {LOGIN}"


async def test_a_tool_that_the_client_runs_itself_does_not_bind_a_request_to_claude(tmp_path: Path) -> None:
    tool = {"name": "web_search", "description": "The client's own.", "input_schema": {"type": "object"}}
    async with haiku_house(tmp_path) as house:
        reply = await house.ask(haiku(tools=[tool]))
    assert reply.headers["x-claude-proxy-upstream"] == "minimax"
    assert house.sent["tools"] == [tool]

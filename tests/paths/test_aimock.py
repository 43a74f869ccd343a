"""aimock as the upstream: an independent server hears and says the same with the daemon as without it."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from anthropic.types import MessageParam, ToolParam

from tests.aimock import KEY, Aimock, running_aimock
from tests.asking import HOP_BY_HOP, Reply, ask
from tests.official_sdk import official_sdk
from tests.running import Daemon, running

QUESTIONS = ["greet me", "think first", "what is the weather"]
LOGIN = {
    "Authorization": f"Bearer {KEY}",
    "anthropic-version": "2023-06-01",
    "X-Request-Id": "asked-by-the-test",
}
WEATHER: ToolParam = {
    "name": "get_weather",
    "description": "The weather of a place.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@contextlib.asynccontextmanager
async def aimock_behind_the_daemon(program: str, home: Path) -> AsyncIterator[tuple[Aimock, Daemon]]:
    """aimock, and a daemon whose Claude it is. Retries would only cost time."""
    async with running_aimock(program, home / "aimock") as aimock:
        config = {"upstreams": {"claude": {"base_url": aimock.url}}, "retry": {"max_elapsed": "0s"}}
        async with running(home / "daemon", config) as daemon:
            yield aimock, daemon


def question(text: str, *, stream: bool) -> dict[str, Any]:
    return {
        "model": "claude-sonnet-5-5",
        "max_tokens": 1000,
        "stream": stream,
        "messages": [{"role": "user", "content": text}],
    }


async def both(
    aimock: Aimock, daemon: Daemon, body: Mapping[str, Any], headers: Mapping[str, str] = LOGIN
) -> tuple[Reply, Reply]:
    """The reply to one request without the daemon, and through it."""
    path = "/v1/messages?beta=true"
    return await ask(aimock.url + path, body, headers), await ask(daemon.url + path, body, headers)


def end_to_end(headers: Mapping[str, str]) -> dict[str, str]:
    """What must be the same. Left out: framing, the clock, what the daemon keeps back, what it adds.

    aimock names no Server, so the daemon names itself there.
    """
    dropped = {*HOP_BY_HOP, "host", "accept-encoding", "content-length", "date", "server"}
    return {
        name.lower(): value
        for name, value in headers.items()
        if name.lower() not in dropped and not name.lower().startswith(("access-control-", "x-claude-proxy-"))
    }


@pytest.mark.parametrize("stream", [True, False], ids=["streaming", "not-streaming"])
@pytest.mark.parametrize("text", QUESTIONS)
async def test_an_answer_comes_through_byte_for_byte(
    text: str, stream: bool, aimock_program: str, tmp_path: Path
) -> None:
    async with aimock_behind_the_daemon(aimock_program, tmp_path) as (aimock, daemon):
        direct, through = await both(aimock, daemon, question(text, stream=stream))
    assert (direct.status, through.status) == (200, 200)
    assert through.body == direct.body
    assert end_to_end(through.headers) == end_to_end(direct.headers)
    assert through.headers["X-Request-Id"] == "asked-by-the-test"  # aimock repeats what it was sent
    assert through.headers["x-claude-proxy-upstream"] == "claude"
    if stream:
        assert through.events[-1] == ("message_stop", {"type": "message_stop"})


async def test_its_cors_headers_open_no_door_of_the_daemon(aimock_program: str, tmp_path: Path) -> None:
    async with aimock_behind_the_daemon(aimock_program, tmp_path) as (aimock, daemon):
        direct, through = await both(aimock, daemon, question("greet me", stream=False))
    assert direct.headers["Access-Control-Allow-Origin"] == "*"
    assert not [name for name in through.headers if name.lower().startswith("access-control-")]


async def test_it_receives_the_same_request(aimock_program: str, tmp_path: Path) -> None:
    async with aimock_behind_the_daemon(aimock_program, tmp_path) as (aimock, daemon):
        await both(aimock, daemon, question("greet me", stream=True))
        direct, through = await aimock.journal()
    assert through["path"] == direct["path"] == "/v1/messages?beta=true"
    assert through["body"] == direct["body"]
    assert through["headers"]["content-length"] == direct["headers"]["content-length"]
    assert end_to_end(through["headers"]) == end_to_end(direct["headers"])


@pytest.mark.parametrize(
    ("text", "status"),
    [("too fast", 429), ("too busy", 529), ("too long", 400), ("a question that it does not know", 503)],
)
async def test_its_errors_come_through_as_said(text: str, status: int, aimock_program: str, tmp_path: Path) -> None:
    async with aimock_behind_the_daemon(aimock_program, tmp_path) as (aimock, daemon):
        direct, through = await both(aimock, daemon, question(text, stream=True))
    assert (direct.status, through.status) == (status, status)
    assert through.body == direct.body
    assert end_to_end(through.headers) == end_to_end(direct.headers)
    assert through.headers.get("Retry-After") == ("33" if status == 429 else None)


async def test_a_login_that_it_refuses_is_told_in_its_own_words(aimock_program: str, tmp_path: Path) -> None:
    stranger = {**LOGIN, "Authorization": "Bearer sk-ant-oat01-FAKE-of-a-stranger"}
    async with aimock_behind_the_daemon(aimock_program, tmp_path) as (aimock, daemon):
        direct, through = await both(aimock, daemon, question("greet me", stream=True), stranger)
    assert (direct.status, through.status) == (401, 401)
    assert through.body == direct.body


@pytest.mark.parametrize(("chaos", "status"), [("drop", 500), ("ratelimit", 429)])
async def test_its_chaos_with_a_status_comes_through_as_said(
    chaos: str, status: int, aimock_program: str, tmp_path: Path
) -> None:
    headers = {**LOGIN, f"x-aimock-chaos-{chaos}": "1"}
    async with aimock_behind_the_daemon(aimock_program, tmp_path) as (aimock, daemon):
        direct, through = await both(aimock, daemon, question("greet me", stream=True), headers)
    assert (direct.status, through.status) == (status, status)
    assert through.body == direct.body
    assert end_to_end(through.headers) == end_to_end(direct.headers)


@pytest.mark.parametrize("chaos", ["malformed", "disconnect"])
@pytest.mark.parametrize("stream", [True, False], ids=["streaming", "not-streaming"])
async def test_its_chaos_without_an_answer_becomes_one_error_of_ours(
    chaos: str, stream: bool, aimock_program: str, tmp_path: Path
) -> None:
    headers = {**LOGIN, f"x-aimock-chaos-{chaos}": "1"}
    async with aimock_behind_the_daemon(aimock_program, tmp_path) as (_, daemon):
        reply = await ask(f"{daemon.url}/v1/messages", question("greet me", stream=stream), headers)
    assert reply.status == 502
    assert reply.json()["type"] == "error"
    assert reply.json()["error"]["type"] == "api_error"
    assert "claude" in reply.json()["error"]["message"]
    assert reply.headers["x-claude-proxy-error"]
    assert b"<<<chaos>>>" not in reply.body


async def test_a_stream_that_it_breaks_off_ends_with_one_error_event(aimock_program: str, tmp_path: Path) -> None:
    async with aimock_behind_the_daemon(aimock_program, tmp_path) as (aimock, daemon):
        direct, through = await both(aimock, daemon, question("break off", stream=True))
    assert direct.cut
    assert direct.events[0][0] == "message_start"
    assert not through.cut
    assert through.body.startswith(direct.body)
    (added,) = through.events[len(direct.events) :]
    assert added[0] == "error"
    assert added[1]["type"] == "error"
    assert added[1]["error"]["message"]


@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/messages/count_tokens"), ("GET", "/v1/files?limit=3")])
async def test_another_endpoint_answers_as_without_the_daemon(
    method: str, path: str, aimock_program: str, tmp_path: Path
) -> None:
    body = question("greet me", stream=False) if method == "POST" else None
    async with aimock_behind_the_daemon(aimock_program, tmp_path) as (aimock, daemon):
        direct = await ask(aimock.url + path, body, LOGIN, method=method)
        through = await ask(daemon.url + path, body, LOGIN, method=method)
    assert through.status == direct.status == (404 if method == "POST" else 200)
    assert through.body == direct.body


# --- the official SDK as the client ----------------------------------------------------------------------


async def converse(base_url: str, *, stream: bool) -> list[dict[str, Any]]:
    """A turn with a greeting, a turn that calls a tool, and the turn with the tool's result."""
    messages: list[MessageParam] = [{"role": "user", "content": "greet me"}]
    said = []
    async with official_sdk(base_url, api_key=KEY) as sdk:

        async def turn() -> Any:
            asked: Any = {
                "model": "claude-sonnet-5-5",
                "max_tokens": 1000,
                "messages": messages,
                "tools": [WEATHER],
            }
            if not stream:
                return await sdk.messages.create(**asked)
            async with sdk.messages.stream(**asked) as events:
                return await events.get_final_message()

        greeting = await turn()
        said.append(greeting.to_dict())
        messages += [
            {"role": "assistant", "content": greeting.content},
            {"role": "user", "content": "what is the weather"},
        ]
        call = await turn()
        said.append(call.to_dict())
        assert call.stop_reason == "tool_use"
        messages += [
            {"role": "assistant", "content": call.content},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": call.content[-1].id, "content": "18"}],
            },
        ]
        said.append((await turn()).to_dict())
    return said


@pytest.mark.parametrize("stream", [True, False], ids=["streaming", "not-streaming"])
async def test_the_sdk_holds_the_same_conversation_with_it(stream: bool, aimock_program: str, tmp_path: Path) -> None:
    async with aimock_behind_the_daemon(aimock_program, tmp_path) as (aimock, daemon):
        direct = await converse(aimock.url, stream=stream)
        through = await converse(daemon.url, stream=stream)
    assert through == direct
    greeting, call, result = through
    assert greeting["content"][0]["text"].startswith("Grüß dich, 你好 🙂")
    assert call["content"][-1]["input"] == {"city": "Zürich", "days": 3}
    assert result["content"][0]["text"] == "It is 18 degrees."

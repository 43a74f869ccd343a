"""The official Python SDK as a client: with the daemon it sends and hears what it would without it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from anthropic import AsyncAnthropic

from tests.asking import HOP_BY_HOP
from tests.official_sdk import API_KEY, AUTH_TOKEN, MODEL, official_sdk
from tests.running import running
from tests.stand_in import (
    Answer,
    Received,
    StandIn,
    Wire,
    block,
    message_end,
    message_json,
    message_start,
    replies,
    says,
    streams,
    text_block,
)

HI: Any = {"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]}
JSON = [("Content-Type", "application/json"), ("request-id", "req_of_the_upstream")]

TEXT = [message_start(MODEL), *text_block("Grüße, 你好 🙂", pieces=5), *message_end()]
TOOL_USE = [
    message_start(MODEL),
    *text_block("I look."),
    *block(
        1,
        {"type": "tool_use", "id": "toolu_01", "name": "read", "input": {}},
        {"type": "input_json_delta", "partial_json": ""},
        {"type": "input_json_delta", "partial_json": '{"path": "/tmp/ä'},
        {
            "type": "input_json_delta",
            "partial_json": '\\u00fc", "line": 9007199254740993, "deep": {"a": [1, ',
        },
        {"type": "input_json_delta", "partial_json": "null]}}"},
    ),
    *message_end("tool_use"),
]
THINKING = [
    message_start(MODEL),
    *block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "Six times "},
        {"type": "thinking_delta", "thinking": "seven."},
        {"type": "signature_delta", "signature": "EqoBCkgIBxABGAIiQL8FAKE=="},
    ),
    *block(1, {"type": "redacted_thinking", "data": "EmwKAhgBEgwFAKE"}),
    *text_block("42", index=2, pieces=1),
    *message_end(),
]
CONTENT = {
    "text": [{"type": "text", "text": "Grüße, 你好 🙂"}],
    "tool_use": [
        {"type": "text", "text": "I look."},
        {
            "type": "tool_use",
            "id": "toolu_01",
            "name": "read",
            "input": {"path": "/tmp/äü", "line": 9007199254740993, "deep": {"a": [1, None]}},
        },
    ],
    "thinking": [
        {"type": "thinking", "thinking": "Six times seven.", "signature": "EqoBCkgIBxABGAIiQL8FAKE=="},
        {"type": "redacted_thinking", "data": "EmwKAhgBEgwFAKE"},
        {"type": "text", "text": "42"},
    ],
}
STREAMS = {"text": TEXT, "tool_use": TOOL_USE, "thinking": THINKING}


def config(upstream: StandIn, **more: Any) -> dict[str, Any]:
    return {"upstreams": {"claude": {"base_url": upstream.url}}, **more}


async def test_a_message_is_what_the_upstream_said(tmp_path: Path) -> None:
    body = message_json("hello", MODEL)
    async with (
        StandIn(replies(200, body, JSON)) as upstream,
        running(tmp_path, config(upstream)) as daemon,
        official_sdk(daemon.url) as sdk,
    ):
        raw = await sdk.messages.with_raw_response.create(**HI)
    assert await raw.read() == body
    assert (await raw.parse()).to_dict() == json.loads(body)
    assert raw.headers["request-id"] == "req_of_the_upstream"
    assert raw.headers["x-claude-proxy-upstream"] == "claude"
    assert raw.headers["x-claude-proxy-attempts"] == "1"


@pytest.mark.parametrize(
    ("credential", "value"),
    [({}, API_KEY), ({"auth_token": AUTH_TOKEN}, AUTH_TOKEN)],
    ids=["api-key", "auth-token"],
)
async def test_its_own_credential_is_passed_through(credential: dict[str, str], value: str, tmp_path: Path) -> None:
    async with StandIn() as upstream, running(tmp_path, config(upstream)) as daemon:
        async with official_sdk(upstream.url, **credential) as sdk:
            await sdk.messages.create(**HI)
        async with official_sdk(daemon.url, **credential) as sdk:
            await sdk.messages.create(**HI)
    direct, through = upstream.received
    for name in ("Authorization", "x-api-key", "anthropic-beta"):
        assert through.header(name) == direct.header(name)
    assert value in f"{through.header('Authorization')} {through.header('x-api-key')}"
    assert value not in daemon.log


@pytest.mark.parametrize("kind", STREAMS)
async def test_a_stream_adds_up_to_the_message_that_the_upstream_said(kind: str, tmp_path: Path) -> None:
    async def hear(base_url: str) -> tuple[list[Any], Any]:
        async with official_sdk(base_url) as sdk, sdk.messages.stream(**HI) as stream:
            events = [event.to_dict() async for event in stream]
            return events, (await stream.get_final_message()).to_dict()

    async with (
        StandIn(streams(STREAMS[kind])) as upstream,
        running(tmp_path, config(upstream)) as daemon,
    ):
        direct, through = await hear(upstream.url), await hear(daemon.url)
    assert through == direct
    content = [{k: v for k, v in part.items() if v is not None} for part in through[1]["content"]]
    assert content == CONTENT[kind]
    assert through[1]["stop_reason"] == ("tool_use" if kind == "tool_use" else "end_turn")
    assert through[1]["usage"] == direct[1]["usage"]


async def test_tokens_are_counted_by_the_upstream(tmp_path: Path) -> None:
    async with (
        StandIn() as upstream,
        running(tmp_path, config(upstream)) as daemon,
        official_sdk(daemon.url) as sdk,
    ):
        raw = await sdk.messages.with_raw_response.count_tokens(model=MODEL, messages=HI["messages"])
    assert (await raw.parse()).input_tokens == 42
    assert "x-claude-proxy-estimate" not in raw.headers
    assert [r.path for r in upstream.received] == ["/v1/messages/count_tokens"]


async def test_models_lists_what_the_configuration_names(tmp_path: Path) -> None:
    routes = [{"model": "claude-opus-4-8", "to": [{"upstream": "claude"}]}, {"to": [{"upstream": "claude"}]}]
    async with (
        StandIn() as upstream,
        running(tmp_path, config(upstream, routes=routes)) as daemon,
        official_sdk(daemon.url) as sdk,
    ):
        page = await sdk.models.list(limit=1000)
        models = [model async for model in page]
    assert "claude-opus-4-8" in [model.id for model in models]
    assert not [model.id for model in models if "*" in model.id]
    assert all(model.type == "model" and model.display_name for model in models)
    assert page.has_more is False
    assert (page.first_id, page.last_id) == (models[0].id, models[-1].id)


async def call_everything(sdk: AsyncAnthropic) -> None:
    """One call of each kind that a program makes."""
    await sdk.messages.create(**HI)
    async for _ in await sdk.messages.create(**HI, stream=True):
        pass
    async with sdk.messages.stream(
        model=MODEL,
        max_tokens=4096,
        system=[{"type": "text", "text": "Ünïcode 🙂", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        messages=[{"role": "user", "content": [{"type": "text", "text": "a\u2028b \x7f"}]}],
        thinking={"type": "enabled", "budget_tokens": 2048},
        tools=[{"name": "read", "input_schema": {"type": "object"}}],
        metadata={"user_id": "user_1234"},
        extra_headers={"x-of-my-own": "kept as it is", "anthropic-beta": "context-1m-2025-08-07"},
        extra_body={"a_field_of_tomorrow": 12345678901234567890},
    ) as stream:
        await stream.get_final_message()
    await sdk.messages.count_tokens(model=MODEL, messages=HI["messages"])
    await sdk.beta.messages.create(**HI, betas=["interleaved-thinking-2025-05-14", "b"])


async def test_the_upstream_receives_the_same_requests(tmp_path: Path) -> None:
    def same(request: Received) -> Any:
        dropped = {*HOP_BY_HOP, "host", "accept-encoding"}
        headers = sorted((k.lower(), v) for k, v in request.headers if k.lower() not in dropped)
        return request.method, request.target, headers, request.body

    async with StandIn() as upstream, running(tmp_path, config(upstream)) as daemon:
        async with official_sdk(upstream.url) as sdk:
            await call_everything(sdk)
        direct, upstream.received = upstream.received, []
        async with official_sdk(daemon.url) as sdk:
            await call_everything(sdk)
    assert len(direct) == 5
    assert [same(request) for request in upstream.received] == [same(request) for request in direct]


async def test_answers_at_the_same_time_reach_who_asked(tmp_path: Path) -> None:
    asked = 0
    everyone = asyncio.Event()

    async def repeat(received: Received, wire: Wire) -> None:
        nonlocal asked
        asked += 1
        if asked == 12:
            everyone.set()
        await everyone.wait()  # nobody is answered before all have asked
        answer: Answer = says(received.json()["messages"][0]["content"])
        await answer(received, wire)

    async def hear(sdk: AsyncAnthropic, text: str) -> str:
        mine = {**HI, "messages": [{"role": "user", "content": text}]}
        if text.endswith("even"):
            return str((await sdk.messages.create(**mine)).to_dict()["content"])
        async with sdk.messages.stream(**mine) as stream:
            return str((await stream.get_final_message()).to_dict()["content"])

    texts = [f"number {n} {'odd' if n % 2 else 'even'}" for n in range(12)]
    async with (
        StandIn(repeat) as upstream,
        running(tmp_path, config(upstream)) as daemon,
        official_sdk(daemon.url) as sdk,
    ):
        heard = await asyncio.gather(*(hear(sdk, text) for text in texts))
    for text, content in zip(texts, heard, strict=True):
        assert f"'{text}'" in content

"""A client that does not stream is answered from a stream: it sees what it would have seen, and fewer failures."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from anthropic import APIStatusError

from tests.asking import Reply, ask
from tests.claude_code import run_claude
from tests.claude_request import claude_body
from tests.in_process import LOGIN, in_process
from tests.official_sdk import MODEL, official_sdk
from tests.paths.faults import head_then
from tests.running import eventually, running
from tests.stand_in import (
    Answer,
    StandIn,
    block,
    error_body,
    hangs,
    message_end,
    message_json,
    message_start,
    replies,
    says,
    sse,
    streams,
    text_block,
    text_stream,
    two,
)

HI: Any = {"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]}
JSON = ("Content-Type", "application/json")
HEADERS = [("request-id", "req_of_the_upstream"), ("anthropic-ratelimit-unified-status", "allowed")]

# --- one message, whole and as a stream ------------------------------------------------------------------

CITED = [{"type": "char_location", "cited_text": t, "document_index": 0, "start_char_index": 10**20} for t in "ab"]
INPUTS = ['{"path": "/tmp/ä\\u00fc", "line": 12345678901234567890123, "deep": {"a": [1.50, null, {}]}}', "{}"]
USAGE = {"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 1, "service_tier": "standard"}
THINKING = {"type": "thinking", "thinking": "Six times seven.", "signature": "EqoBCkgIBxABGAIiQL8FAKE=="}
REDACTED = {"type": "redacted_thinking", "data": "EmwKAhgBEgwFAKE"}
TEXT = {"type": "text", "text": "Grüße, 你好 🙂", "citations": CITED}
TOOLS = [{"type": "tool_use", "id": f"toolu_{n}", "name": "read", "input": json.loads(INPUTS[n])} for n in (0, 1)]
BEGUN: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": MODEL,
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": USAGE,
}
MESSAGE = {
    **BEGUN,
    "content": [THINKING, REDACTED, TEXT, *TOOLS],
    "stop_reason": "tool_use",
    "usage": {**USAGE, "output_tokens": 77},
    "context_management": {"applied_edits": []},
}
EVENTS = [
    sse("message_start", {"type": "message_start", "message": BEGUN}),
    sse("ping", {"type": "ping"}),
    *block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "Six times "},
        {"type": "thinking_delta", "thinking": "seven."},
        {"type": "signature_delta", "signature": THINKING["signature"]},
    ),
    *block(1, REDACTED),
    *block(
        2,
        {"type": "text", "text": "", "citations": []},
        {"type": "text_delta", "text": "Grüße, 你"},
        {"type": "citations_delta", "citation": CITED[0]},
        {"type": "text_delta", "text": "好 🙂"},
        {"type": "citations_delta", "citation": CITED[1]},
    ),
    *block(3, {**TOOLS[0], "input": {}}, *({"type": "input_json_delta", "partial_json": c} for c in ("", *INPUTS[0]))),
    *block(4, {**TOOLS[1], "input": {}}, {"type": "input_json_delta", "partial_json": ""}),
    sse(
        "message_delta",
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use", "stop_sequence": None},
            "usage": {"output_tokens": 77, "input_tokens": None},
            "context_management": {"applied_edits": []},
        },
    ),
    sse("message_stop", {"type": "message_stop"}),
]


def either(headers: list[tuple[str, str]]) -> Answer:
    """An upstream that says the same whether it is asked for a stream or not."""

    async def answer(received: Any, wire: Any) -> None:
        if received.json().get("stream"):
            await streams(EVENTS, headers)(received, wire)
        else:
            await replies(200, json.dumps(MESSAGE).encode(), [JSON, *headers])(received, wire)

    return answer


def config(upstream: StandIn, *others: StandIn, **more: Any) -> dict[str, Any]:
    """Claude first, then the others; one silence ends soon."""
    named = {"claude": upstream, **{f"other{n}": other for n, other in enumerate(others, 1)}}
    return {
        "upstreams": {
            name: {"base_url": each.url, "dialect": "anthropic", "credential": "claude"} for name, each in named.items()
        },
        "routes": [{"to": [{"upstream": name} for name in named]}],
        "retry": {"first_wait": "1ms", "max_wait": "1ms"},
        "transport": {"demote_nonstreaming": True, "stream_idle_timeout": "300ms"},
        **more,
    }


# --- what is asked, and what is answered -----------------------------------------------------------------


async def test_the_official_sdk_gets_the_message_that_it_would_have_got(tmp_path: Path) -> None:
    async with StandIn(either(HEADERS)) as upstream, running(tmp_path, config(upstream)) as daemon:
        async with official_sdk(upstream.url) as sdk:
            direct = await sdk.messages.with_raw_response.create(**HI)
        async with official_sdk(daemon.url) as sdk:
            demoted = await sdk.messages.with_raw_response.create(**HI)
    whole, from_a_stream = upstream.received
    assert from_a_stream.body == whole.body.replace(b"{", b'{"stream":true,', 1)
    assert json.loads(await demoted.read()) == json.loads(await direct.read()) == MESSAGE
    assert b'"input":' + INPUTS[0].encode() in await demoted.read()
    assert (await demoted.parse()).to_dict() == (await direct.parse()).to_dict()
    assert demoted.status_code == 200
    assert demoted.headers["content-type"] == "application/json"
    assert int(demoted.headers["content-length"]) == len(await demoted.read())
    assert "transfer-encoding" not in demoted.headers
    for name, value in HEADERS:
        assert demoted.headers[name] == value
    assert demoted.headers["x-claude-proxy-upstream"] == "claude"
    assert demoted.headers["x-claude-proxy-attempts"] == "1"
    assert demoted.headers["x-claude-proxy-request-id"].startswith("req_cp_")


@pytest.mark.parametrize("stream", [False, None], ids=["false", "absent"])
async def test_of_the_request_nothing_but_the_wish_for_a_stream_is_another(tmp_path: Path, stream: bool | None) -> None:
    body = claude_body("Ünïcode 🙂", stream=stream, odd=10**30, float=1e-7).replace(b'", "', b'" ,\t"')
    path = "/v1/messages?beta=true"
    async with StandIn() as upstream, running(tmp_path, config(upstream)) as daemon:
        await ask(upstream.url + path, body, LOGIN)
        reply = await ask(daemon.url + path, body, LOGIN)
    direct, demoted = upstream.received
    assert reply.json()["content"] == [{"type": "text", "text": "hello"}]
    if stream is None:
        assert demoted.body == body.replace(b"{", b'{"stream":true,', 1)
    else:
        assert demoted.body == body.replace(b'"stream": false', b'"stream": true')
    assert demoted.target == direct.target == path
    ours = {"host", "accept-encoding", "content-length"}
    kept = [{(k.lower(), v) for k, v in each.headers if k.lower() not in ours} for each in (direct, demoted)]
    assert kept[0] == kept[1]


async def test_it_is_off_unless_it_is_wished_and_can_be_wished_by_a_variable(tmp_path: Path) -> None:
    async with StandIn() as upstream:
        plain = config(upstream, transport={})
        for env, streamed in (({}, False), ({"ANTHROPIC_DEMOTE_NONSTREAMING": "true"}, True)):
            async with running(tmp_path, plain, env) as daemon:
                reply = await ask(f"{daemon.url}/v1/messages", claude_body(), LOGIN)
            assert reply.json()["content"][0]["text"] == "hello"
            assert upstream.received[-1].json()["stream"] is streamed


async def test_an_upstream_that_gives_the_message_at_once_has_answered(tmp_path: Path) -> None:
    body = message_json("hello", MODEL)
    async with StandIn(replies(200, body)) as upstream, running(tmp_path, config(upstream)) as daemon:
        reply = await ask(f"{daemon.url}/v1/messages", claude_body(), LOGIN)
    assert (reply.status, reply.body) == (200, body)


async def test_streams_counts_other_paths_and_strangers_are_asked_as_the_client_asks(tmp_path: Path) -> None:
    async with StandIn() as claude, StandIn() as minimax:
        both = config(claude)
        both["upstreams"]["minimax"] = {"base_url": minimax.url}
        both["routes"].insert(0, {"model": "claude-haiku-*", "to": [{"upstream": "minimax"}]})
        async with running(tmp_path, both, {"MINIMAX_API_KEY": "FAKE-key"}) as daemon:
            streamed = await ask(f"{daemon.url}/v1/messages", claude_body(stream=True), LOGIN)
            await ask(f"{daemon.url}/v1/messages/count_tokens", claude_body(stream=None), LOGIN)
            await ask(f"{daemon.url}/v1/messages/batches", claude_body(), LOGIN)
            of_minimax = await ask(f"{daemon.url}/v1/messages", claude_body(model="claude-haiku-4-5"), LOGIN)
    assert streamed.events[-1][0] == "message_stop"
    assert claude.received[0].body == claude_body(stream=True)
    assert claude.received[1].body == claude_body(stream=None)
    assert claude.received[2].body == claude_body()
    assert minimax.received[0].json()["stream"] is False
    assert of_minimax.json()["content"][0]["text"] == "hello"


# --- what breaks -----------------------------------------------------------------------------------------

STARTED = [message_start(MODEL, input_tokens=11), *text_block("half an answer")[:2]]


def says_error(kind: str) -> Answer:
    return streams([*STARTED, b"event: error\ndata: " + error_body(kind, "said the upstream") + b"\n\n"])


BREAKS: dict[str, Answer] = {
    "a reset": head_then(*STARTED),
    "a close": head_then(*STARTED, end="close"),
    "bad chunks": head_then(*STARTED, end="garbage"),
    "silence": head_then(*STARTED, end="silence"),
    "an end without message_stop": streams([*STARTED, *text_stream()[3:-1]]),
    "half an event": streams([*STARTED, message_end()[0][:-9]]),
    "an event that cannot be read": streams([*STARTED, b"event: message_delta\ndata: {\n\n", *message_end()]),
    "an overload": says_error("overloaded_error"),
    "a fault": says_error("api_error"),
    "a limit": says_error("rate_limit_error"),
    "an overload first of all": streams([b"event: error\ndata: " + error_body("overloaded_error", "no") + b"\n\n"]),
}


@pytest.mark.parametrize("name", BREAKS)
async def test_a_break_is_answered_by_the_next_target_and_never_seen(tmp_path: Path, name: str) -> None:
    async with two(BREAKS[name], says("from the second")) as (claude, other):
        async with in_process(tmp_path, config(claude, other, retry={"max_elapsed": "0s"})) as daemon:
            async with official_sdk(daemon.url) as sdk:
                raw = await sdk.messages.with_raw_response.create(**HI)
            metrics = (await ask(f"{daemon.url}/metrics", method="GET")).body.decode()
        assert (len(claude.received), len(other.received)) == (1, 1)
        await claude.wait_for(lambda: claude.open_connections == 0)
    assert [part.to_dict() for part in (await raw.parse()).content] == [{"type": "text", "text": "from the second"}]
    assert raw.headers["x-claude-proxy-upstream"] == "other1"
    assert raw.headers["x-claude-proxy-attempts"] == "2"
    [failed], [closed] = daemon.logged("attempt_failed"), daemon.logged("exchange")
    assert (closed["upstream"], closed["end"], closed["input_tokens"]) == ("other1", "complete", 10)
    begun = name != "an overload first of all"
    assert failed.get("input_tokens") == (11 if begun else None)
    counted = re.findall(r'tokens_total\{.*type="input",upstream="claude"\} (\S+)', metrics)
    assert counted == (["11.0"] if begun else [])


@pytest.mark.parametrize(
    ("kind", "status"),
    [("overloaded_error", 529), ("api_error", 500), ("rate_limit_error", 429), ("billing_error", 402)],
)
async def test_an_error_amid_the_stream_is_told_by_its_status_where_nobody_else_is_left(
    tmp_path: Path, kind: str, status: int
) -> None:
    async with (
        StandIn(says_error(kind)) as claude,
        running(tmp_path, config(claude)) as daemon,
        official_sdk(daemon.url) as sdk,
    ):
        with pytest.raises(APIStatusError, match="said the upstream") as caught:
            await sdk.messages.create(**HI)
        assert len(claude.received) == 1
    assert caught.value.status_code == status
    assert caught.value.body == json.loads(error_body(kind, "said the upstream"))
    assert caught.value.response.headers["content-type"] == "application/json"


@pytest.mark.parametrize(("name", "status"), [("a close", 502), ("silence", 504), ("half an event", 502)])
async def test_a_break_is_one_error_where_nobody_else_is_left(tmp_path: Path, name: str, status: int) -> None:
    async with StandIn(BREAKS[name]) as claude, running(tmp_path, config(claude)) as daemon:
        reply = await ask(f"{daemon.url}/v1/messages", claude_body(), LOGIN)
        assert len(claude.received) == 1
    assert reply.status == status
    assert reply.json()["type"] == "error"
    assert reply.headers["x-claude-proxy-error"] == ("timeout" if status == 504 else "malformed")


async def test_a_client_that_leaves_meanwhile_ends_the_stream(tmp_path: Path) -> None:
    async with (
        StandIn(hangs(STARTED)) as claude,
        in_process(tmp_path, config(claude, transport={"demote_nonstreaming": True})) as daemon,
    ):
        asking: asyncio.Task[Reply] = asyncio.create_task(ask(f"{daemon.url}/v1/messages", claude_body(), LOGIN))
        await claude.wait_for(lambda: len(claude.received) == 1)
        asking.cancel()
        await claude.wait_for(lambda: claude.open_connections == 0)
        await eventually(lambda: bool(daemon.logged("exchange")))
        assert daemon.logged("exchange")[0]["end"] == "client_gone"
        assert daemon.logged("attempt_failed") == []


# --- the real Claude Code --------------------------------------------------------------------------------


async def test_the_real_client_s_second_attempt_without_streaming_is_answered_from_a_stream(
    claude_program: str, tmp_path: Path
) -> None:
    breaks = head_then(message_start(MODEL), *text_block("half an answer")[:2], end="close")
    async with (
        StandIn(streams(text_stream("Answered after all.", MODEL))) as upstream,
        running(tmp_path / "daemon", config(upstream, retry={"max_elapsed": "0s"})) as daemon,
    ):
        upstream.then(breaks)
        run = await run_claude(claude_program, tmp_path / "home", daemon.url, "-p", "say hi")
    assert (run.exit_code, run.stdout) == (0, "Answered after all.\n")
    first, second = upstream.received
    assert first.json()["stream"] is True
    assert not first.body.startswith(b'{"stream":true,')
    assert second.body.startswith(b'{"stream":true,')  # the client left the member out, and the daemon put it there
    assert {**first.json(), "max_tokens": 0} == {**second.json(), "max_tokens": 0}

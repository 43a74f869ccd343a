"""A Haiku request on its way to MiniMax: its key, its model name, what it knows, nothing of the client's."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.minimax import CLIENT_HEADERS, HAIKU, KEY, LOGIN, MODEL, USER_ID, haiku, haiku_house
from tests.stand_in import Received, streams, text_stream

ATTRIBUTION = "x-anthropic-billing-header: cc_version=2.1.197.FAKE; cc_entrypoint=cli; cch=FAKE0;"
TOOL = {
    "name": "Read",
    "description": "Reads a file.",
    "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
}


def wire_text(received: Received) -> str:
    """All that the other side can read of a request."""
    head = "\n".join(f"{name}: {value}" for name, value in received.headers)
    return f"{received.method} {received.target}\n{head}\n\n{received.body.decode()}"


@pytest.mark.parametrize("stream", [True, False], ids=["streaming", "not-streaming"])
async def test_haiku_goes_to_minimax_with_its_key_and_its_model_name(stream: bool, tmp_path: Path) -> None:
    async with haiku_house(tmp_path) as house:
        reply = await house.ask(haiku(stream=stream))
    assert reply.status == 200
    assert reply.headers["x-claude-proxy-upstream"] == "minimax"
    (received,) = house.minimax.received
    assert (received.method, received.path) == ("POST", "/anthropic/v1/messages")
    assert received.header("Authorization") == f"Bearer {KEY}"
    assert received.header("Content-Type") == "application/json"
    assert received.json() == haiku(stream=stream, model=MODEL)
    assert house.claude.received == []


@pytest.mark.parametrize("model", ["claude-sonnet-5-5", "claude-opus-4-8[1m]", "MiniMax-M2.5-highspeed"])
async def test_other_models_stay_with_claude(model: str, tmp_path: Path) -> None:
    async with haiku_house(tmp_path) as house:
        reply = await house.ask(haiku(model=model))
    assert reply.headers["x-claude-proxy-upstream"] == "claude"
    assert house.minimax.received == []
    (received,) = house.claude.received
    assert received.json() == haiku(model=model)


@pytest.mark.parametrize(
    "credential",
    [
        {"Authorization": f"Bearer {LOGIN}"},
        {"x-api-key": "sk-ant-api03-FAKE-key-of-the-client"},
        {"X_Api_Key": "sk-ant-api03-FAKE-key-of-the-client"},
        {"Authorization": "Bearer proxy-managed", "x-api-key": "proxy-managed"},
    ],
    ids=["login", "api-key", "api-key-with-underscores", "sentinel"],
)
async def test_nothing_that_names_the_client_leaves(credential: dict[str, str], tmp_path: Path) -> None:
    headers = {k: v for k, v in CLIENT_HEADERS.items() if k != "Authorization"} | credential
    system = [{"type": "text", "text": ATTRIBUTION}, {"type": "text", "text": "You are Claude Code."}]
    async with haiku_house(tmp_path) as house:
        reply = await house.ask(haiku(system=system, metadata={"user_id": USER_ID}), headers=headers)
    assert reply.status == 200
    (received,) = house.minimax.received
    assert received.header("Authorization") == f"Bearer {KEY}"
    foreign = ("x-api-key", "anthropic-", "x-claude-", "x-stainless-", "x-app", "cookie")
    names = [name.lower().replace("_", "-") for name, _ in received.headers]
    assert names.count("authorization") == 1
    assert not [name for name in names if name.startswith(foreign)]
    text = wire_text(received).replace(KEY, "")
    for secret in ("FAKE", "proxy-managed", "sk-ant", "billing-header"):
        assert secret not in text
    assert "claude-cli" not in str(received.header("User-Agent"))


async def test_the_attribution_block_is_dropped_from_the_system_prompt(tmp_path: Path) -> None:
    prompt = {"type": "text", "text": "You are Claude Code."}
    asked = haiku(system=[{"type": "text", "text": ATTRIBUTION}, prompt, {"type": "text", "text": "Be brief."}])
    async with haiku_house(tmp_path) as house:
        await house.ask(asked)
    assert house.sent["system"] == [prompt, {"type": "text", "text": "Be brief."}]


@pytest.mark.parametrize("system", ["You are brief.", [{"type": "text", "text": "You are brief."}]])
async def test_a_system_prompt_without_attribution_stays(system: Any, tmp_path: Path) -> None:
    async with haiku_house(tmp_path) as house:
        await house.ask(haiku(system=system))
    assert house.sent["system"] == system


async def test_a_system_prompt_of_nothing_but_attribution_leaves_nothing(tmp_path: Path) -> None:
    async with haiku_house(tmp_path) as house:
        await house.ask(haiku(system=[{"type": "text", "text": ATTRIBUTION}]))
    assert not house.sent.get("system")


async def test_what_minimax_knows_is_sent_and_nothing_else(tmp_path: Path) -> None:
    known: dict[str, Any] = {
        "max_tokens": 32000,
        "system": "You are brief.",
        "temperature": 0.7,
        "top_p": 0.95,
        "tools": [TOOL],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        "thinking": {"type": "enabled", "budget_tokens": 31999},
    }
    unknown: dict[str, Any] = {
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}},
        "service_tier": "auto",
        "mcp_servers": [{"type": "url", "name": "n", "url": "https://mcp.example"}],
        "container": "container_1",
        "stop_sequences": ["STOP"],
        "top_k": 5,
        "cache_control": {"type": "ephemeral"},
        "speed": "fast",
        "a_field_of_tomorrow": {"deep": [1, None]},
    }
    async with haiku_house(tmp_path) as house:
        reply = await house.ask(haiku(**known, **unknown))
    assert reply.status == 200
    assert house.sent == haiku(model=MODEL, **known)


async def test_metadata_keeps_what_is_not_the_user(tmp_path: Path) -> None:
    async with haiku_house(tmp_path) as house:
        await house.ask(haiku(metadata={"user_id": USER_ID, "label": "night run"}))
    assert house.sent["metadata"] == {"label": "night run"}


async def test_system_messages_between_the_others_are_folded(tmp_path: Path) -> None:
    messages = [
        {"role": "user", "content": "first question"},
        {"role": "system", "content": "The clock says noon."},
        {"role": "assistant", "content": [{"type": "text", "text": "first answer"}]},
        {"role": "user", "content": [{"type": "text", "text": "second question"}]},
        {"role": "system", "content": [{"type": "text", "text": "The file has changed."}]},
    ]
    async with haiku_house(tmp_path) as house:
        reply = await house.ask(haiku(system="You are brief.", messages=messages))
    assert reply.status == 200
    sent = house.sent
    assert {message["role"] for message in sent["messages"]} == {"user", "assistant"}
    roles = [message["role"] for message in sent["messages"]]
    assert roles == ["user", "assistant", "user"]
    as_user = json.dumps([sent["system"], *(m for m in sent["messages"] if m["role"] == "user")])
    for words in ("The clock says noon.", "The file has changed."):
        assert as_user.count(words) == 1
    assert "first question" in json.dumps(sent["messages"][0])
    assert sent["messages"][1] == messages[2]
    assert "second question" in json.dumps(sent["messages"][2])
    assert "You are brief." in json.dumps(sent["system"])


async def test_cache_control_is_reduced_to_what_minimax_documents(tmp_path: Path) -> None:
    hour = {"type": "ephemeral", "ttl": "1h", "scope": "global"}
    reduced = {"type": "ephemeral"}

    def request(mark: dict[str, str]) -> dict[str, Any]:
        text = {"type": "text", "text": "a page", "cache_control": mark}
        return haiku(
            system=[{"type": "text", "text": "You are brief.", "cache_control": mark}],
            tools=[TOOL, {**TOOL, "name": "Write", "cache_control": mark}],
            messages=[
                {"role": "user", "content": "read"},
                {
                    "role": "assistant",
                    "content": [{"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"path": "a"}}],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "toolu_1", "content": [text]},
                        {"type": "text", "text": "and now?", "cache_control": mark},
                    ],
                },
            ],
        )

    async with haiku_house(tmp_path) as house:
        await house.ask(request(hour))
    assert house.sent == {**request(reduced), "model": MODEL}


async def test_thinking_of_another_provider_is_dropped_from_the_history(tmp_path: Path) -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"path": "a"}}
    said = {"type": "text", "text": "I read it."}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "contents"}
    messages = [
        {"role": "user", "content": "read"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Which file?", "signature": "EqoBCkgIBxABGAIiQL8FAKE=="},
                {"type": "redacted_thinking", "data": "EmwKAhgBEgwFAKE"},
                said,
                call,
            ],
        },
        {"role": "user", "content": [result]},
    ]
    async with haiku_house(tmp_path) as house:
        await house.ask(haiku(messages=messages, tools=[TOOL]))
    assert house.sent["messages"] == [
        messages[0],
        {"role": "assistant", "content": [said, call]},
        messages[2],
    ]


async def test_a_turn_of_nothing_but_foreign_thinking_leaves_no_empty_message(tmp_path: Path) -> None:
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "EqoBCkgIBxABGAIiQL8FAKE=="}
    messages = [
        {"role": "user", "content": "question one"},
        {"role": "assistant", "content": [thinking]},
        {"role": "user", "content": "question two"},
    ]
    async with haiku_house(tmp_path) as house:
        reply = await house.ask(haiku(messages=messages))
    assert reply.status == 200
    assert all(message["content"] for message in house.sent["messages"])
    assert "question one" in json.dumps(house.sent)
    assert "question two" in json.dumps(house.sent)
    assert "thinking" not in json.dumps(house.sent)


async def test_numbers_and_letters_in_tool_inputs_stay_what_they_are(tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "id": 123456789012345678901234567890,
        "negative": -9007199254740993,
        "small": 1e-7,
        "zero": 0,
        "none": None,
        "letters": 'Grüße 你好 🙂 \u2028 \u0000 \\ " / \x7f',
        "ключ": [[], {}, [True, False]],
    }
    messages = [
        {"role": "user", "content": "read"},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "toolu_1", "name": "Read", "input": given}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "🙂"}]},
    ]
    # Unknown parameters force a rewrite, so that this is not just the bytes that came.
    async with haiku_house(tmp_path) as house:
        await house.ask(haiku(messages=messages, tools=[TOOL], top_k=5))
    sent = house.sent["messages"][1]["content"][0]["input"]
    assert sent == given
    assert [type(value) for value in sent.values()] == [type(value) for value in given.values()]
    assert list(sent) == list(given)


ODD_INPUTS = {
    # JavaScript cuts strings between the halves of a character and writes the half as an escape.
    "half-a-surrogate-pair": b'{"text": "cut \\ud83d"}',
    "a-number-of-5000-digits": b'{"n": %s}' % (b"9" * 5000),
    "a-number-beyond-floats": b'{"n": 1e999}',
    "nested-900-deep": b'{"n": %s}' % (b"[" * 900 + b"]" * 900),
    "nested-20000-deep": b'{"n": %s}' % (b"[" * 20_000 + b"]" * 20_000),
}


@pytest.mark.parametrize("odd", ODD_INPUTS)
async def test_an_odd_tool_input_is_sent_as_it_is_or_refused_in_words(odd: str, tmp_path: Path) -> None:
    body = (
        b'{"model": "%s", "max_tokens": 10, "top_k": 5, "messages": [{"role": "user", "content": "hi"},'
        b'{"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "Read", "input": %s}]}]}'
    ) % (HAIKU.encode(), ODD_INPUTS[odd])
    answer = streams(text_stream("fine", MODEL))  # one that reads no request
    async with haiku_house(tmp_path, answer) as house:
        reply = await house.ask(body)
        after = await house.ask(haiku())
    assert "Traceback" not in house.daemon.log
    assert after.status == 200
    assert reply.status in {200, 400}
    if reply.status == 400:
        assert reply.json()["error"]["type"] == "invalid_request_error"
        assert len(house.minimax.received) == 1
    else:
        sent = re.sub(rb"[ \n]", b"", house.minimax.received[0].body)
        assert re.sub(rb"[ \n]", b"", ODD_INPUTS[odd]) in sent


async def test_a_compressed_body_is_read_and_sent_plain(tmp_path: Path) -> None:
    packed = gzip.compress(json.dumps(haiku(top_k=5)).encode())
    async with haiku_house(tmp_path) as house:
        reply = await house.ask(packed, headers={**CLIENT_HEADERS, "Content-Encoding": "gzip"})
    assert reply.status == 200
    (received,) = house.minimax.received
    assert received.header("Content-Encoding") is None
    assert received.json() == haiku(model=MODEL)


@pytest.mark.parametrize("model", ["claude-haiku-5-5", "Claude-Haiku-4-5", HAIKU])
async def test_every_haiku_is_meant(model: str, tmp_path: Path) -> None:
    async with haiku_house(tmp_path) as house:
        reply = await house.ask(haiku(model=model, stream=False))
    assert house.sent["model"] == MODEL
    assert reply.json()["model"] == model

"""MiniMax's answers on their way back: under the name that was asked for, and otherwise as they were said."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.asking import Reply
from tests.minimax import HAIKU, MODEL, base_resp, haiku, haiku_house
from tests.stand_in import (
    block,
    message_end,
    message_json,
    message_start,
    replies,
    resets,
    sse,
    streams,
    text_block,
)

THINKING = "Which file does the user mean?"
SIGNATURE = "4d696e694d6178+/signature=="
JSON = [("Content-Type", "application/json")]


@pytest.mark.parametrize("named", [MODEL, "MiniMax"])
async def test_a_stream_comes_back_under_the_name_that_was_asked_for(named: str, tmp_path: Path) -> None:
    events = [
        message_start(named),
        b": a comment\n\n",
        *text_block(f"Grüße, 你好 🙂, I am {named}"),
        *text_block(named, index=1, pieces=1),
        *block(
            2,
            {"type": "tool_use", "id": "call_function_1", "name": "Read", "input": {}},
            {"type": "input_json_delta", "partial_json": '{"line": 9007199254740993, "path": "\\u00fc'},
            {"type": "input_json_delta", "partial_json": '"}'},
        ),
        sse("ping", {"type": "ping"}),
        *message_end("tool_use"),
    ]
    async with haiku_house(tmp_path, streams(events)) as house:
        reply = await house.ask(haiku())
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "text/event-stream"
    first, _, rest = reply.body.partition(b"\n\n")
    # In the first event one name changes. What follows is not touched, not even where a text is that name.
    assert json.loads(first.split(b"data: ")[1]) == json.loads(
        events[0].split(b"data: ")[1].replace(f'"{named}"'.encode(), f'"{HAIKU}"'.encode())
    )
    assert rest == b"".join(events[1:])


@pytest.mark.parametrize("named", [MODEL, "MiniMax"])
async def test_a_message_comes_back_under_the_name_that_was_asked_for(named: str, tmp_path: Path) -> None:
    said = json.loads(message_json(f"Grüße 🙂, I am {named}", named))
    said["content"].append(
        {
            "type": "tool_use",
            "id": "call_1",
            "name": "Read",
            "input": {"n": 123456789012345678901234567890, "model": named},
        }
    )
    said["usage"]["cache_read_input_tokens"] = 5
    async with haiku_house(tmp_path, replies(200, json.dumps(said).encode(), JSON)) as house:
        reply = await house.ask(haiku(stream=False))
    assert reply.status == 200
    assert reply.json() == {**said, "model": HAIKU}
    assert reply.headers["Content-Type"] == "application/json"
    assert int(reply.headers.get("Content-Length", len(reply.body))) == len(reply.body)


async def test_a_message_with_a_base_resp_of_zero_is_a_message(tmp_path: Path) -> None:
    said = json.loads(message_json("fine", MODEL))
    answer = replies(200, json.dumps({**said, **base_resp(0, "success")}).encode(), JSON)
    async with haiku_house(tmp_path, answer) as house:
        reply = await house.ask(haiku(stream=False))
    assert reply.status == 200
    assert {k: v for k, v in reply.json().items() if k != "base_resp"} == {**said, "model": HAIKU}
    assert house.claude.received == []


async def test_a_stream_with_a_base_resp_of_zero_is_a_stream(tmp_path: Path) -> None:
    start = json.loads(message_start(MODEL).split(b"data: ")[1])
    events = [sse("message_start", {**start, **base_resp(0, "")}), *text_block("fine"), *message_end()]
    async with haiku_house(tmp_path, streams(events)) as house:
        reply = await house.ask(haiku())
    assert reply.status == 200
    assert reply.events[0][0] == "message_start"
    assert reply.events[0][1]["message"] == {**start["message"], "model": HAIKU}
    assert reply.body.endswith(b"".join(events[1:]))
    assert house.claude.received == []


ODD_INPUTS = {
    "half-a-surrogate-pair": b'{"text":"cut \\ud83d"}',
    "a-number-of-5000-digits": b'{"n":%s}' % (b"9" * 5000),
    "a-number-beyond-floats": b'{"n":1e999}',
    "nested-900-deep": b'{"n":%s}' % (b"[" * 900 + b"]" * 900),
    "nested-20000-deep": b'{"n":%s}' % (b"[" * 20_000 + b"]" * 20_000),
}


@pytest.mark.parametrize("odd", ODD_INPUTS)
async def test_an_odd_answer_arrives_as_it_is_or_claude_answers(odd: str, tmp_path: Path) -> None:
    said = message_json("fine", MODEL)[:-1] + b', "odd": %s}' % ODD_INPUTS[odd]
    async with haiku_house(tmp_path, replies(200, said, JSON)) as house:
        reply = await house.ask(haiku(stream=False))
        after = await house.ask(haiku(stream=False, model="claude-sonnet-5-5"))
    assert "Traceback" not in house.daemon.log
    assert (reply.status, after.status) == (200, 200)
    if reply.headers["x-claude-proxy-upstream"] == "minimax":
        assert ODD_INPUTS[odd] in reply.body.replace(b" ", b"").replace(b"cut", b"cut ")
    else:
        assert reply.headers["request-id"] == "req_of_claude"


# --- thinking: its signatures are marked, so that nobody else is given them --------------------------------


def thinking_stream() -> list[bytes]:
    return [
        message_start(MODEL),
        *block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": THINKING},
            {"type": "signature_delta", "signature": SIGNATURE},
        ),
        *text_block("This one.", index=1),
        *message_end(),
    ]


def thinking_json() -> bytes:
    said = json.loads(message_json("This one.", MODEL))
    said["content"].insert(0, {"type": "thinking", "thinking": THINKING, "signature": SIGNATURE})
    return json.dumps(said).encode()


def signature_in(reply: Reply, *, stream: bool) -> str:
    """The signature of the one thinking block of an answer."""
    if not stream:
        (thinking,) = (part for part in reply.json()["content"] if part["type"] == "thinking")
        assert thinking["thinking"] == THINKING
        return str(thinking["signature"])
    deltas = [data["delta"] for name, data in reply.events if name == "content_block_delta"]
    assert {"type": "thinking_delta", "thinking": THINKING} in deltas
    (signed,) = (delta for delta in deltas if delta["type"] == "signature_delta")
    return str(signed["signature"])


def next_turn(model: str, thinking: bytes, after: bytes = b",") -> bytes:
    """The conversation with that answer in it, spelt as no encoder would: a rewrite would show."""
    return b"".join(
        (
            b'{ "model" : "',
            model.encode(),
            b'", "max_tokens":1000 ,\n "f": 1.10, "n": 123456789012345678901234567890, "stream":true,\n',
            b' "messages": [ {"role":"user","content":"caf\\u00e9 \\/ \xc3\xa9"},',
            b'{"role":"assistant","content":[',
            thinking,
            after,
            b'{"type":"text","text":"This one."}]} ,{"role": "user", "content":"and then?"} ] }\n',
        )
    )


def marked_block(signature: str) -> bytes:
    return b'{"type":"thinking","thinking":%s,"signature":%s}' % (
        json.dumps(THINKING).encode(),
        json.dumps(signature).encode(),
    )


@pytest.mark.parametrize("stream", [True, False], ids=["streaming", "not-streaming"])
async def test_its_thinking_returns_to_it_with_its_own_signature(stream: bool, tmp_path: Path) -> None:
    answer = streams(thinking_stream()) if stream else replies(200, thinking_json(), JSON)
    async with haiku_house(tmp_path) as house:
        house.minimax.then(answer)
        signature = signature_in(await house.ask(haiku(stream=stream)), stream=stream)
        assert signature != SIGNATURE
        assert signature.endswith(SIGNATURE)
        reply = await house.ask(next_turn(HAIKU, marked_block(signature)))
    assert reply.status == 200
    again = house.minimax.received[1].json()
    assert again["messages"][1]["content"] == [
        {"type": "thinking", "thinking": THINKING, "signature": SIGNATURE},
        {"type": "text", "text": "This one."},
    ]


@pytest.mark.parametrize("way", ["failover", "another-model"])
async def test_its_thinking_is_not_given_to_claude(way: str, tmp_path: Path) -> None:
    model = HAIKU if way == "failover" else "claude-sonnet-5-5"
    async with haiku_house(tmp_path) as house:
        house.minimax.then(streams(thinking_stream()), resets())
        signature = signature_in(await house.ask(haiku()), stream=True)
        reply = await house.ask(next_turn(model, marked_block(signature)))
    assert reply.status == 200
    assert reply.headers["x-claude-proxy-upstream"] == "claude"
    (received,) = house.claude.received
    assert received.body == next_turn(model, b"", b"")  # the block and its comma are gone, and nothing else


async def test_a_turn_of_nothing_but_its_thinking_leaves_claude_no_empty_message(tmp_path: Path) -> None:
    async with haiku_house(tmp_path) as house:
        house.minimax.then(streams(thinking_stream()))
        signature = signature_in(await house.ask(haiku()), stream=True)
        messages: list[Any] = [
            {"role": "user", "content": "question one"},
            {"role": "assistant", "content": [json.loads(marked_block(signature))]},
            {"role": "user", "content": "question two"},
        ]
        reply = await house.ask(haiku(model="claude-sonnet-5-5", messages=messages))
    assert reply.status == 200
    (received,) = house.claude.received
    sent = received.json()["messages"]
    assert all(message["content"] for message in sent)
    assert "question one" in json.dumps(sent)
    assert "question two" in json.dumps(sent)
    assert THINKING not in json.dumps(sent)


@pytest.mark.parametrize("stream", [True, False], ids=["streaming", "not-streaming"])
async def test_its_unsigned_thinking_is_marked_as_well(stream: bool, tmp_path: Path) -> None:
    start = {"type": "thinking", "thinking": ""}
    events = [
        message_start(MODEL),
        *block(0, start, {"type": "thinking_delta", "thinking": THINKING}),
        *text_block("This one.", index=1),
        *message_end(),
    ]
    said = json.loads(message_json("This one.", MODEL))
    said["content"].insert(0, {"type": "thinking", "thinking": THINKING})
    async with haiku_house(tmp_path) as house:
        house.minimax.then(streams(events) if stream else replies(200, json.dumps(said).encode(), JSON))
        reply = await house.ask(haiku(stream=stream))
        kept = reply.events[1][1]["content_block"] if stream else reply.json()["content"][0]
        marked = marked_block(kept["signature"])
        await house.ask(next_turn("claude-sonnet-5-5", marked))
        await house.ask(next_turn(HAIKU, marked))
    assert THINKING not in house.claude.received[0].body.decode()
    thinking, text = house.minimax.received[1].json()["messages"][1]["content"]
    assert thinking["thinking"] == THINKING
    assert not thinking.get("signature")
    assert text == {"type": "text", "text": "This one."}


@pytest.mark.parametrize("way", ["failover", "another-model"])
async def test_claudes_own_thinking_goes_to_claude_byte_for_byte(way: str, tmp_path: Path) -> None:
    model = HAIKU if way == "failover" else "claude-sonnet-5-5"
    body = next_turn(model, marked_block("EqoBCkgIBxABGAIiQL8FAKE=="))
    async with haiku_house(tmp_path, resets()) as house:
        reply = await house.ask(body)
    assert reply.status == 200
    (received,) = house.claude.received
    assert received.body == body

"""A scripted answer is a message of Anthropic's, whole and as a stream alike."""

import json

from claude_proxy.demo.message import Message
from claude_proxy.wire.assemble import Assembly
from claude_proxy.wire.sse import events

TEXT = {"type": "text", "text": "Hello,  you.\nBye."}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "echo 'hällo'"}}


def test_a_message_in_one_piece() -> None:
    whole = Message("claude-x", [TEXT, CALL], 12).whole
    assert whole["id"].startswith("msg_demo_")
    assert (whole["type"], whole["role"], whole["model"]) == ("message", "assistant", "claude-x")
    assert whole["content"] == [TEXT, CALL]
    assert whole["stop_reason"] == "tool_use"
    assert whole["usage"]["input_tokens"] == 12
    assert whole["usage"]["output_tokens"] > 3
    assert Message("claude-x", [TEXT], 1).whole["stop_reason"] == "end_turn"


def test_a_stream_names_each_event_and_begins_and_ends_as_one() -> None:
    stream = [event for raw in Message("claude-x", [TEXT, CALL], 12).events() for event in events(raw)]
    named = [event.name for event in stream]
    assert named[0] == "message_start"
    assert named[-2:] == ["message_delta", "message_stop"]
    assert all(json.loads(event.data)["type"] == event.name for event in stream)
    assert named.count("content_block_start") == named.count("content_block_stop") == 2


def test_text_comes_word_by_word() -> None:
    deltas = [
        json.loads(event.data)["delta"]
        for raw in Message("claude-x", [TEXT], 12).events()
        for event in events(raw)
        if event.name == "content_block_delta"
    ]
    assert [delta["text"] for delta in deltas] == ["Hello,  ", "you.\n", "Bye."]


def test_the_stream_put_together_is_the_message() -> None:
    message = Message("claude-x", [TEXT, CALL], 12)
    assembly = Assembly()
    assembly.feed(b"".join(message.events()))
    assert assembly.complete
    assert json.loads(assembly.message()) == message.whole

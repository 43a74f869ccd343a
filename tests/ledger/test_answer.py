"""The message is derived from what the client got, also from a stream that was cut."""

import json

import pytest

from claude_proxy.ledger.answer import message_of
from tests.stand_in import message_start, text_stream

EVENTS = text_stream("an answer")


def content(answer: bytes) -> list[dict[str, str]]:
    found = message_of(answer)
    assert found is not None
    parsed = json.loads(found)["content"]
    assert isinstance(parsed, list)
    return parsed


def test_a_stream_becomes_the_message_that_it_describes() -> None:
    assert content(b"".join(EVENTS)) == [{"type": "text", "text": "an answer"}]


def test_of_a_stream_that_was_cut_there_is_what_came() -> None:
    assert content(b"".join(EVENTS[:3])) == [{"type": "text", "text": "an an"}]
    assert content(b"".join(EVENTS[:3]) + b"event: content_block_delta\ndata: {") == [{"type": "text", "text": "an an"}]
    assert content(message_start()) == []


@pytest.mark.parametrize(
    "answer", [b"", b"<html>", b"event: ping\ndata: {}\n\n", EVENTS[1], b"data: x\n\n", b'\n{"type":"message",']
)
def test_what_is_no_message_is_none(answer: bytes) -> None:
    assert message_of(answer) is None

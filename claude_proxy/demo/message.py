"""A scripted answer as Anthropic's API sends it: one message as JSON, or the events of a stream.

https://platform.claude.com/docs/en/build-with-claude/streaming
"""

import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from claude_proxy.demo.script import Block
from claude_proxy.wire.sse import render

_WORDS = re.compile(r"\S*\s*")


@dataclass(frozen=True)
class Message:
    """`model` is the name under which the stand-in answers, `input_tokens` its count of the request."""

    model: str
    blocks: list[Block]
    input_tokens: int
    id: str = field(default_factory=lambda: f"msg_demo_{secrets.token_hex(8)}")

    @property
    def whole(self) -> dict[str, Any]:
        """The message in one piece."""
        return {**self._begun, "content": self.blocks, "stop_reason": self._stop_reason, "usage": self._usage}

    def events(self) -> Iterator[bytes]:
        """The same as a stream, text word by word."""
        begun = {**self._begun, "usage": {**self._usage, "output_tokens": 1}}
        yield _event("message_start", message=begun)
        for index, block in enumerate(self.blocks):
            yield from _block_events(index, block)
        ended = {"stop_reason": self._stop_reason, "stop_sequence": None}
        yield _event("message_delta", delta=ended, usage={"output_tokens": self._usage["output_tokens"]})
        yield _event("message_stop")

    @property
    def _begun(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
        }

    @property
    def _stop_reason(self) -> str:
        return "tool_use" if any(block["type"] == "tool_use" for block in self.blocks) else "end_turn"

    @property
    def _usage(self) -> dict[str, int]:
        """A word counts as a token: there is no model here that would know better."""
        words = sum(len(json.dumps(block).split()) for block in self.blocks)
        return {"input_tokens": self.input_tokens, "output_tokens": words}


def _block_events(index: int, block: Block) -> Iterator[bytes]:
    if block["type"] == "text":
        empty = {**block, "text": ""}
        deltas = [{"type": "text_delta", "text": word} for word in _WORDS.findall(block["text"]) if word]
    else:
        empty = {**block, "input": {}}
        text = json.dumps(block["input"])
        middle = len(text) // 2
        deltas = [{"type": "input_json_delta", "partial_json": half} for half in (text[:middle], text[middle:])]
    yield _event("content_block_start", index=index, content_block=empty)
    for delta in deltas:
        yield _event("content_block_delta", index=index, delta=delta)
    yield _event("content_block_stop", index=index)


def _event(name: str, **members: object) -> bytes:
    return render(name, {"type": name, **members})

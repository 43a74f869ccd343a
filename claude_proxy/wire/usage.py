"""How many tokens an answer used, and whether it ended: read from the stream as it passes.

Only the few events that carry usage or an end are parsed; all others are looked at as bytes alone.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields

import msgspec

from claude_proxy.wire.sse import SSEEvent, events

_TELLING = re.compile(rb"event: ?(?:message_(?:start|delta|stop)|error)")


@dataclass(slots=True)
class Usage:
    """Tokens as Anthropic counts them: `input_tokens` does not include the cached ones. None: not said."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None

    def update(self, later: object) -> None:
        """Takes over what a later report says; what it leaves open stays."""
        for field in fields(self):
            value = getattr(later, field.name)
            if value is not None:
                setattr(self, field.name, value)


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None


class _Message(msgspec.Struct):
    usage: _Usage | None = None
    model: str | None = None


class _Event(msgspec.Struct):
    type: str | None = None
    message: _Message | str | None = None
    usage: _Usage | None = None


class _Answer(msgspec.Struct):
    type: str | None = None
    usage: _Usage | None = None


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def _telling(block: bytes) -> Iterator[SSEEvent]:
    """The events of a block that carry usage or an end; the others are not even cut out."""
    if b"\r" in block:
        yield from events(block)
        return
    at = 0
    while found := _TELLING.search(block, at):
        before = block.rfind(b"\n\n", 0, found.start())
        after = block.find(b"\n\n", found.end())
        at = len(block) if after < 0 else after + 2
        yield from events(block[0 if before < 0 else before + 2 : at])


class UsageReader:
    """Reads usage and the end of an answer; never changes a byte and never fails on one."""

    __slots__ = ("error", "started", "stopped", "usage")

    def __init__(self) -> None:
        self.usage = Usage()
        self.started = False
        self.stopped = False
        self.error: bytes | None = None
        """The data of the upstream's own `error` event, where it sent one."""

    def feed(self, block: bytes) -> None:
        """A block of whole events."""
        if _TELLING.search(block) is None:
            return
        for event in _telling(block):
            if event.name == "error":
                self.error = event.data
            elif event.name == "message_stop":
                self.stopped = True
            elif event.name in {"message_start", "message_delta"}:
                self._read(event.data)

    def _read(self, data: bytes) -> None:
        try:
            event = _decode_event(data)
        except _UNREADABLE:
            return
        if isinstance(event.message, _Message):
            self.started = True
            if event.message.usage is not None:
                self.usage.update(event.message.usage)
        if event.usage is not None:
            self.usage.update(event.usage)

    def read_whole(self, body: bytes) -> None:
        """The body of a non-streaming answer."""
        try:
            answer = _decode_answer(body)
        except _UNREADABLE:
            return
        if answer.usage is not None:
            self.usage.update(answer.usage)
        self.started = self.stopped = True

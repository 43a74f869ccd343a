"""The events of a stream put together into the one message that a call without streaming would have given.

https://platform.claude.com/docs/en/build-with-claude/streaming. Every value keeps the text in which it came, so
that numbers of any size and the input of a tool are exact. Where the protocol leaves a choice:

- Members of `message_delta`, in its `delta` and beside it, become the message's; its `usage` counts from the
  beginning and is laid over what `message_start` said. A null takes nothing back.
- A delta of an unknown type is left out, as the official SDKs do: what it stands for cannot be known. An unknown
  block is kept as its start gave it, an unknown event means nothing.
- Without a `message_delta` the message stays as it began, its `stop_reason` null.
- A tool's input that a limit cut off stays as its block began, empty: half an input must not run. Where the
  message claims to be whole, an input that is no JSON makes it unreadable.
- A `fallback` block names the model that answers from there on; the whole message bears that name.
"""

import json
from typing import Any, NoReturn

import msgspec

from claude_proxy.wire import json_parts
from claude_proxy.wire.json_parts import Raw
from claude_proxy.wire.sse import SSEEvent, events

# What a delta brings for which member of its block: text that grows, or values that are there at once.
_GROWS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
_SETS = {"signature_delta": ("signature",), "compaction_delta": ("content", "encrypted_content")}

_CUT_SHORT = frozenset({"max_tokens", "model_context_window_exceeded", "refusal", "stop_sequence"})
_TELLING = frozenset({"", "message_start", "content_block_start", "content_block_delta", "message_delta"})
_COST = 512  # bytes of memory that a block or a citation takes beside its text, about


class Unreadable(ValueError):
    """Events that describe no message."""


class Assembly:
    """One message while its events come."""

    def __init__(self) -> None:
        self.started = False
        self.complete = False
        self.error: bytes | None = None
        """The data of the upstream's own `error` event, where it sent one."""
        self.size = 0
        """Bytes that are held, about."""
        self._message: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._blocks: dict[int, _Block] = {}

    def feed(self, block: bytes) -> None:
        """A block of whole events; what follows the end of the message or an error is not looked at.

        Raises Unreadable.
        """
        for event in events(block):
            if self.complete or self.error is not None:
                return
            try:
                self._take(event)
            except Unreadable:
                raise
            except (ValueError, RecursionError):
                raise Unreadable(f"a {event.name or 'nameless'} event that is no JSON") from None

    def message(self) -> bytes:
        """The message as JSON. Raises Unreadable where what came is none."""
        cut_short = json_parts.text(self._message.get("stop_reason")) in _CUT_SHORT
        try:
            content = [self._blocks[index].whole(cut_short=cut_short) for index in sorted(self._blocks)]
            parts = {**self._message, "content": content}
            if self._usage:
                parts["usage"] = self._usage
            whole = json_parts.written(parts)
            if not whole.isascii():
                whole.decode()  # values were passed over without looking at their encoding
        except (UnicodeError, msgspec.DecodeError):
            raise Unreadable("a text that is not valid UTF-8") from None
        return whole

    def _take(self, event: SSEEvent) -> None:
        name = event.name
        if name == "message_stop":
            self._end()
        elif name == "error":
            self.error = event.data
        elif name in _TELLING and not event.is_comment:
            parts = _opened(event.data)
            if parts is None:
                raise Unreadable(f"a {name or 'nameless'} event that is no JSON object")
            match name or json_parts.text(parts.get("type")):
                case "message_start":
                    self._start(parts)
                case "content_block_start":
                    self._start_block(parts)
                case "content_block_delta":
                    self.size += self._block(parts).add(_opened(parts.get("delta")) or {})
                    return
                case "message_delta":
                    self._change(parts)
                case "message_stop":
                    self._end()
                case "error":
                    self.error = event.data
            self.size += len(event.data)

    def _start(self, parts: dict[str, Any]) -> None:
        message = _opened(parts.get("message"))
        if self.started:
            raise Unreadable("a second message_start")
        if message is None or json_parts.text(message.get("type")) != "message":
            raise Unreadable("a message_start without a message")
        self.started = True
        self._message = message
        self._usage = _opened(message.get("usage")) or {}

    def _start_block(self, parts: dict[str, Any]) -> None:
        block, index = _opened(parts.get("content_block")), json_parts.value(parts.get("index"))
        if not self.started:
            raise Unreadable("a block before message_start")
        if block is None or type(index) is not int or index in self._blocks:
            raise Unreadable("a content_block_start without a block or with no place for it")
        self._blocks[index] = _Block(block)
        self.size += _COST
        if json_parts.text(block.get("type")) == "fallback":
            model = (_opened(block.get("to")) or {}).get("model")
            _lay_over(self._message, {} if model is None else {"model": model})

    def _block(self, parts: dict[str, Any]) -> "_Block":
        index = json_parts.value(parts.get("index"))
        if type(index) is not int or index not in self._blocks:
            raise Unreadable("a content_block_delta for no block that has begun")
        return self._blocks[index]

    def _change(self, parts: dict[str, Any]) -> None:
        if not self.started:
            raise Unreadable("a message_delta before message_start")
        beside = {name: part for name, part in parts.items() if name not in {"type", "delta", "usage"}}
        _lay_over(self._message, {**beside, **(_opened(parts.get("delta")) or {})})
        _lay_over(self._usage, _opened(parts.get("usage")) or {})

    def _end(self) -> None:
        if not self.started:
            raise Unreadable("a message_stop before message_start")
        self.complete = True


class _Block:
    """One content block. Text grows as the inside of a JSON string: pieces are joined without being decoded."""

    def __init__(self, members: dict[str, Any]) -> None:
        self._members = members
        self._grown: dict[str, bytearray] = {}
        self._citations: list[Raw] = []

    def add(self, delta: dict[str, Any]) -> int:
        """Takes a delta; how many bytes more are held for it, about."""
        kind = json_parts.text(delta.get("type")) or ""
        if field := _GROWS.get(kind):
            piece = _inside(delta.get(field))
            self._grown.setdefault(field, bytearray()).extend(piece)
            return len(piece)
        if kind == "citations_delta" and "citation" in delta:
            self._citations.append(delta["citation"])
            return len(memoryview(delta["citation"])) + _COST
        set_at_once = {field: delta[field] for field in _SETS.get(kind, ()) if field in delta}
        self._members.update(set_at_once)
        return sum(len(memoryview(part)) for part in set_at_once.values())

    def whole(self, *, cut_short: bool) -> dict[str, Any]:
        """The block with all that was added to it. Raises Unreadable, or UnicodeError."""
        members = dict(self._members)
        for field, grown in self._grown.items():
            if field != "partial_json":
                members[field] = Raw(b'"%s%s"' % (_inside(members.get(field)), grown))
            elif text := _spelt(grown).strip():
                if _is_json(text):
                    members["input"] = Raw(text)
                elif not cut_short:
                    raise Unreadable("an input for a tool that is no JSON")
        if self._citations:
            members["citations"] = [*(json_parts.listed(members.get("citations")) or []), *self._citations]
        return members


def _lay_over(parts: dict[str, Any], later: dict[str, Any]) -> None:
    """Takes over what a later event says; what it leaves null stays."""
    for name, part in later.items():
        if name not in parts or bytes(memoryview(part)) != b"null":
            parts[name] = part


def _opened(part: Raw | bytes | None) -> dict[str, Any] | None:
    """As `json_parts.opened`. Raises ValueError or RecursionError where the part is no JSON."""
    try:
        return json_parts.opened(part)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Half a surrogate pair, as JavaScript leaves where it cuts a text, is legal (RFC 8259 8.2).
        found: dict[str, Any] = json.loads(bytes(part or b""), parse_constant=_refuse)
        return {name: Raw(json.dumps(value, allow_nan=False).encode()) for name, value in found.items()}


def _inside(part: Raw | None) -> bytes:
    """The text of a JSON string between its quotes; b"" for null, and where there is none."""
    text = b"null" if part is None else bytes(memoryview(part))
    if text == b"null":
        return b""
    if text[:1] != b'"':
        raise Unreadable("a text that is no JSON string")
    return text[1:-1]


def _spelt(inside: bytearray) -> bytes:
    """What the inside of a JSON string spells. Raises UnicodeError."""
    literal = b'"%s"' % inside
    try:
        return msgspec.json.decode(literal, type=str).encode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        # As in `_opened`; in JSON text, half a pair can be written as its escape again.
        return str(json.loads(literal)).encode("utf-8", "backslashreplace")


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=Raw)
    except RecursionError:
        return False
    except msgspec.DecodeError:
        try:
            json.loads(text, parse_constant=_refuse, parse_int=str, parse_float=str)  # as in `_opened`
        except (ValueError, RecursionError):
            return False
    return True


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)

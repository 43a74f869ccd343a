"""How many tokens an answer used, and whether it ended: read from the stream as it passes.

Only the few events that carry usage or an end are parsed; all others are looked at as bytes alone.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any, TypeVar

import msgspec

from claude_proxy.wire.sse import SSEEvent, events

_TELLING = re.compile(rb"event: ?(?:message_(?:start|delta|stop)|error)")

LARGEST_COUNT = 10**9
"""What is more in one answer is no count: sums of tokens and of money stay within 64 bits."""


COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "cache_creation_5m_input_tokens",
    "cache_creation_1h_input_tokens",
    "thinking_tokens",
    "web_search_requests",
    "web_fetch_requests",
    "code_execution_requests",
)
"""The fields of `Usage` that are numbers."""


class Usage(msgspec.Struct, omit_defaults=True):
    """Tokens and requests of server tools as Anthropic counts them, from the beginning of the answer. None: not said.

    `input_tokens` does not include the cached ones. `cache_creation_input_tokens` is the sum of what was written for
    5 minutes and for 1 hour, `thinking_tokens` a part of `output_tokens`. `service_tier` is `standard`, `priority` or
    `batch`, `speed` is `standard` or `fast`, `inference_geo` a region such as `us`; or words of tomorrow.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_5m_input_tokens: int | None = None
    cache_creation_1h_input_tokens: int | None = None
    thinking_tokens: int | None = None
    web_search_requests: int | None = None
    web_fetch_requests: int | None = None
    code_execution_requests: int | None = None
    service_tier: str | None = None
    speed: str | None = None
    inference_geo: str | None = None
    iterations: "tuple[Iteration, ...] | None" = None

    def update(self, later: "Usage") -> None:
        """Takes over what a later report says; what it leaves open stays."""
        for name in _NAMES:
            value = getattr(later, name)
            if value is not None:
                setattr(self, name, value)


class Iteration(msgspec.Struct, frozen=True):
    """One call of a model within an answer: `kind` is `message`, `compaction`, `advisor_message`, `fallback_message`
    or a word of tomorrow; `model` is None where it is the one that answers.

    The counts beside `iterations` are those of `message` and `fallback_message`. What a `compaction` used is not
    among them (anthropic-sdk-python 2.14, `BetaUsage.iterations`), nor is what an advisor did, which is another
    model at another price (https://platform.claude.com/docs/en/agents-and-tools/tool-use/advisor-tool).
    """

    kind: str
    model: str | None
    usage: Usage


_NAMES = Usage.__struct_fields__

_Count = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_COUNT)] | None
_Word = Annotated[str, msgspec.Meta(max_length=64)] | None
_Model = Annotated[str, msgspec.Meta(max_length=200)] | None


class _CacheCreation(msgspec.Struct):
    ephemeral_5m_input_tokens: _Count = None
    ephemeral_1h_input_tokens: _Count = None


class _ServerTools(msgspec.Struct):
    web_search_requests: _Count = None
    web_fetch_requests: _Count = None
    code_execution_requests: _Count = None


class _OutputDetails(msgspec.Struct):
    thinking_tokens: _Count = None


class _Tokens(msgspec.Struct):
    input_tokens: _Count = None
    output_tokens: _Count = None
    cache_creation_input_tokens: _Count = None
    cache_read_input_tokens: _Count = None
    cache_creation: _CacheCreation | None = None


class _Iteration(_Tokens):
    type: _Word = None
    model: _Model = None


class _Usage(_Tokens):
    server_tool_use: _ServerTools | None = None
    output_tokens_details: _OutputDetails | None = None
    service_tier: _Word = None
    speed: _Word = None
    inference_geo: _Word = None
    iterations: Annotated[list[_Iteration], msgspec.Meta(max_length=256)] | None = None


class _Message(msgspec.Struct):
    usage: _Usage | None = None


class _Event(msgspec.Struct):
    message: _Message | str | None = None
    usage: _Usage | None = None


class _Answer(msgspec.Struct):
    usage: _Usage | None = None


_INNER: dict[str, type[msgspec.Struct]] = {
    "message": _Message,
    "usage": _Usage,
    "cache_creation": _CacheCreation,
    "server_tool_use": _ServerTools,
    "output_tokens_details": _OutputDetails,
}

_S = TypeVar("_S", bound=msgspec.Struct)

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
        if not (b"message_" in block or b"error" in block):
            return  # most blocks: the pattern would cost ten times as much
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
        except msgspec.ValidationError:
            event = _by_member(_Event, data) or _Event()
        except _UNREADABLE:
            return
        if isinstance(event.message, _Message):
            self.started = True
            if event.message.usage is not None:
                self.usage.update(_usage(event.message.usage))
        if event.usage is not None:
            self.usage.update(_usage(event.usage))

    def read_whole(self, body: bytes) -> None:
        """The body of a non-streaming answer."""
        answer: _Answer | None
        try:
            answer = _decode_answer(body)
        except msgspec.ValidationError:
            answer = _by_member(_Answer, body)
        except _UNREADABLE:
            return
        if answer is None:
            return
        if answer.usage is not None:
            self.usage.update(_usage(answer.usage))
        self.started = self.stopped = True


def _by_member(kind: type[_S], data: bytes) -> _S | None:
    """Each member for itself, where one is of another type than we know: it must not lose the others. None where
    there is no JSON object."""
    try:
        parts = msgspec.json.decode(data)
    except _UNREADABLE:
        return None
    return _converted(kind, parts) if isinstance(parts, dict) else None


def _converted(kind: type[_S], parts: dict[str, Any]) -> _S:
    taken: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        value = parts.get(field.name)
        if isinstance(value, dict) and field.name in _INNER:
            taken[field.name] = _converted(_INNER[field.name], value)
        elif isinstance(value, list) and field.name == "iterations":
            taken[field.name] = [_converted(_Iteration, each) for each in value if isinstance(each, dict)]
        else:
            try:
                taken[field.name] = msgspec.convert(value, field.type)
            except msgspec.ValidationError:
                continue
    return kind(**taken)


def _usage(said: _Usage) -> Usage:
    usage = _tokens(said)
    if said.server_tool_use is not None:
        usage.web_search_requests = said.server_tool_use.web_search_requests
        usage.web_fetch_requests = said.server_tool_use.web_fetch_requests
        usage.code_execution_requests = said.server_tool_use.code_execution_requests
    if said.output_tokens_details is not None:
        usage.thinking_tokens = said.output_tokens_details.thinking_tokens
    usage.service_tier, usage.speed, usage.inference_geo = said.service_tier, said.speed, said.inference_geo
    if said.iterations is not None:
        usage.iterations = tuple(Iteration(each.type or "", each.model, _tokens(each)) for each in said.iterations)
    return usage


def _tokens(said: _Tokens) -> Usage:
    by_ttl = said.cache_creation or _CacheCreation()
    return Usage(
        said.input_tokens,
        said.output_tokens,
        said.cache_creation_input_tokens,
        said.cache_read_input_tokens,
        by_ttl.ephemeral_5m_input_tokens,
        by_ttl.ephemeral_1h_input_tokens,
    )

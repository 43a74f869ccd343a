"""A client's request: its untouched bytes, and the few facts that we route by.

A body is read once and shallowly: the members of the top-level object with their values as raw bytes. It is
never validated beyond that: the API adds fields faster than any model of it could follow.
"""

import codecs
import json
import re
from enum import StrEnum
from functools import cached_property
from typing import Any

import msgspec
from msgspec.structs import force_setattr, replace

from claude_proxy.wire.headers import Headers
from claude_proxy.wire.json_parts import value

MESSAGES = "/v1/messages"
COUNT_TOKENS = "/v1/messages/count_tokens"

MAX_MODEL = 256
"""Characters of a model's name; it becomes a field of a log line."""

# The first system block by which Claude Code names its version and session kind to Anthropic's billing.
ATTRIBUTION = "x-anthropic-billing-header:"


_PIECE = 64 << 10  # bytes


class BadBody(ValueError):
    """A body that is no Messages request: not JSON, no object, or one that two readers would read differently."""


class Background(StrEnum):
    """The kinds of request that Claude Code makes by itself, without a prompt of the user behind them."""

    TITLE = "title"
    QUOTA_PROBE = "quota_probe"
    WEB_SEARCH = "web_search"


class _Key:
    """A member's name; compared by identity, so that a twin is kept and not overwritten."""

    __slots__ = ("name",)

    def __init__(self, _: type, name: str) -> None:
        """As the decoder calls for it, with the type that it wants."""
        self.name = name


_decode_members = msgspec.json.Decoder(dict[_Key, msgspec.Raw], dec_hook=_Key).decode
_decode_value = msgspec.json.decode


class Members:
    """The top-level members of a JSON object, in order, their values as raw bytes."""

    __slots__ = ("_values", "text")

    def __init__(self, text: bytes, known: dict[str, msgspec.Raw] | None = None) -> None:
        """Raises BadBody where the text is not one JSON object with distinct names, in valid UTF-8.

        With its `known` members, in their order, it is not read again.
        """
        self.text = text
        if known is not None:
            self._values = known
            return
        try:
            if not text.isascii():
                _look_at_encoding(text)  # msgspec skips over values without
            members = _decode_members(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadBody(_reason(error)) from None
        self._values = {key.name: value for key, value in members.items()}
        if len(self._values) != len(members):
            raise BadBody("a name stands twice in the top-level object: two readers would disagree about it")

    def get(self, name: str) -> Any:
        """The decoded value of a member; None where it is absent, or holds what no number or text here can hold."""
        raw = self._values.get(name)
        try:
            return None if raw is None else _decode_value(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
            return None

    def raw(self, name: str) -> bytes | None:
        """A member's value as it was written, or None."""
        value = self._values.get(name)
        return None if value is None else bytes(memoryview(value))

    @property
    def values(self) -> list[msgspec.Raw]:
        """Those of all members, in order."""
        return [*self._values.values()]

    def replace(self, name: str, value: object) -> bytes:
        """The text with one member's value replaced; not another byte changes. The member must be there."""
        return self.replace_raw(name, json.dumps(value).encode())

    def replace_raw(self, name: str, value: bytes) -> bytes:
        """As `replace`, with a value that is JSON text already."""
        at = self.text.index(b"{") + 1
        for key, raw in self._values.items():
            colon = _MEMBER.match(self.text, at)
            assert colon is not None, "the walk follows what the decoder has accepted"
            start, end = colon.end(), colon.end() + len(memoryview(raw))
            if key == name:
                return b"".join((self.text[:start], value, self.text[end:]))
            at = end
        raise KeyError(name)

    def with_value(self, name: str, value: bytes) -> "Members":
        """Members in which this one has this value, as JSON text; where it is absent it is put before the others.
        Not another byte changes, and nothing is read again."""
        new = msgspec.Raw(value)
        if name in self._values:
            return Members(self.replace_raw(name, value), self._values | {name: new})
        at = self.text.index(b"{") + 1
        added = json.dumps(name).encode() + b":" + value + (b"," if self._values else b"")
        return Members(b"".join((self.text[:at], added, self.text[at:])), {name: new} | self._values)


def _look_at_encoding(text: bytes) -> None:
    """Raises UnicodeDecodeError where the text is not UTF-8.

    Piece by piece: a megabyte decoded at once takes two from the system and gives them back, which costs more than
    the look.
    """
    view, at = memoryview(text), 0
    while at < len(text):
        _, looked_at = codecs.utf_8_decode(view[at : at + _PIECE], "strict", at + _PIECE >= len(text))
        at += looked_at


# White space and the comma behind the value before, the name, the colon: up to where the value begins.
_MEMBER = re.compile(rb'[ \t\r\n,]*"(?:[^"\\]|\\.)*"[ \t\r\n]*:[ \t\r\n]*', re.DOTALL)


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "the body is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "the body is not valid UTF-8"
    # msgspec's messages name the fault and the byte, never the content.
    return f"the body is not a JSON object: {error}"


class ClientRequest(msgspec.Struct, frozen=True, dict=True, weakref=True):
    """One request of the client.

    `target` is path and query exactly as they came; some put a key into the latter. `text` is the body as JSON text:
    the same bytes as `body` but where the body came compressed. `local` says that the peer is this machine (or a
    configured network).
    """

    method: str
    target: str
    headers: Headers
    body: bytes = b""
    text: bytes = b""
    local: bool = True
    members: Members | None = None
    model: str = ""
    stream: bool = False
    path: str = ""
    """Of the target, as are the next three, which a request makes itself."""
    query: str = ""
    is_messages: bool = False
    """Whether this asks for an answer of a model."""
    counts_tokens: bool = False

    def __post_init__(self) -> None:
        path, _, query = self.target.partition("?")
        posted = self.method == "POST"
        force_setattr(self, "path", path)
        force_setattr(self, "query", query)
        force_setattr(self, "is_messages", posted and path == MESSAGES)
        force_setattr(self, "counts_tokens", posted and path == COUNT_TOKENS)

    def __repr__(self) -> str:
        return f"ClientRequest({self.method} of {self.model or 'no model'})"

    @classmethod
    def read(
        cls,
        method: str,
        target: str,
        headers: Headers,
        body: bytes,
        text: bytes | None = None,
        *,
        local: bool = True,
    ) -> "ClientRequest":
        """A request with a Messages body. Raises BadBody, which says what is wrong with it."""
        text = body if text is None else text
        members = Members(text)
        model = members.get("model")
        if not isinstance(model, str) or not 0 < len(model) <= MAX_MODEL or not model.isprintable():
            raise BadBody(f"`model` must be a name of 1 to {MAX_MODEL} printable characters")
        stream = members.raw("stream")
        if stream not in {None, b"true", b"false", b"null"}:
            raise BadBody("`stream` must be true or false")
        return cls(method, target, headers, body, text, local, members, model, stream == b"true")

    def as_stream(self) -> "ClientRequest":
        """The same request, but that it asks for a stream: of its text only the value of `stream` is another."""
        assert self.members is not None
        members = self.members.with_value("stream", b"true")
        return replace(self, body=members.text, text=members.text, members=members, stream=True)

    def header(self, name: str) -> str | None:
        """The first of this name, in small letters."""
        return self._named.get(name)

    @cached_property
    def _named(self) -> dict[str, str]:
        return {key.lower(): text for key, text in reversed(self.headers)}

    @property
    def agent_id(self) -> str | None:
        """The subagent that asks; None for the main conversation."""
        return self.header("x-claude-code-agent-id")

    @property
    def session_id(self) -> str | None:
        return self.header("x-claude-code-session-id")

    @cached_property
    def user_id(self) -> str | None:
        """`metadata.user_id`, by which Claude Code names device, account and session to Anthropic."""
        metadata = self.members.get("metadata") if self.members else None
        value = metadata.get("user_id") if isinstance(metadata, dict) else None
        return value if isinstance(value, str) else None

    @cached_property
    def uses_thinking(self) -> bool:
        raw = self.members.raw("thinking") if self.members else None
        return raw is not None and b'"disabled"' not in raw and raw != b"null"

    @cached_property
    def server_tools(self) -> tuple[str, ...]:
        """The types of the tools that only Anthropic's servers can run, such as `web_search_20250305`."""
        raw = self.members.raw("tools") if self.members else None
        return () if raw is None else _server_tools(raw)

    @cached_property
    def background(self) -> Background | None:
        """Which of Claude Code's own background calls this is, if any."""
        if not self.is_messages or self.members is None:
            return None
        if any(kind.startswith("web_search") for kind in self.server_tools):
            return Background.WEB_SEARCH
        if not self.stream and self.members.raw("max_tokens") == b"1":
            messages = self.members.get("messages")
            if isinstance(messages, list) and len(messages) == 1 and _content(messages[0]) == "quota":
                return Background.QUOTA_PROBE
        output = self.members.raw("output_config")
        if output is not None and b'"title"' in output and self.members.raw("tools") in (None, b"[]"):
            return Background.TITLE
        return None


# Tools that the client runs have no type or type `custom`; bash, text editor, computer and memory tools have
# a dated type but are run by the client too.
_SERVER_TOOL = re.compile(rb'"type"\s*:\s*"(?:web_search|web_fetch|code_execution|tool_search|mcp_toolset|advisor)')
_SERVER_TOOL_TYPE = re.compile(r"(?:web_search|web_fetch|code_execution|tool_search|mcp_toolset|advisor)")


_LARGEST_KEPT = 4 << 20  # bytes of tools


class _ServerTools:
    """Of the tools of requests. A conversation sends the same ones with each, and there may be a megabyte: they are
    compared with the two last ones, which costs a fiftieth of a hash or of a search."""

    def __init__(self) -> None:
        self._known: tuple[tuple[bytes, tuple[str, ...]], ...] = ()  # swapped whole: several threads ask

    def __call__(self, text: bytes) -> tuple[str, ...]:
        for known, kinds in self._known:
            if known == text:
                return kinds
        kinds = _kinds_of(text)
        if len(text) <= _LARGEST_KEPT:
            self._known = ((text, kinds), *self._known[:1])
        return kinds


_server_tools = _ServerTools()


def _kinds_of(text: bytes) -> tuple[str, ...]:
    if not (b"_20" in text or b"mcp_toolset" in text):
        return ()  # their types are dated, but for one; two searches for plain bytes cost least
    if not _SERVER_TOOL.search(text):
        return ()
    tools = value(text)
    if not isinstance(tools, list):
        return ()
    kinds = (tool.get("type") for tool in tools if isinstance(tool, dict))
    return tuple(kind for kind in kinds if isinstance(kind, str) and _SERVER_TOOL_TYPE.match(kind))


def _content(message: object) -> str | None:
    """The text of a message of one text."""
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list) and len(content) == 1 and isinstance(content[0], dict):
        content = content[0].get("text")
    return content if isinstance(content, str) else None

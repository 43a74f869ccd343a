"""A client's request: its untouched bytes, and the few facts that we route by."""

import re
from enum import StrEnum
from functools import cached_property

import msgspec
from msgspec.structs import force_setattr, replace

from claude_proxy.wire.headers import Headers
from claude_proxy.wire.json_parts import value
from claude_proxy.wire.members import BadBody, Members

MESSAGES = "/v1/messages"
COUNT_TOKENS = "/v1/messages/count_tokens"

# Claude Code's own headers: which conversation a request belongs to, and which subagent of it asks.
SESSION_ID = "x-claude-code-session-id"
AGENT_ID = "x-claude-code-agent-id"

MAX_MODEL = 256
"""Characters of a model's name; it becomes a field of a log line."""

# The first system block by which Claude Code names its version and session kind to Anthropic's billing.
ATTRIBUTION = "x-anthropic-billing-header:"


class Background(StrEnum):
    """The kinds of request that Claude Code makes by itself, without a prompt of the user behind them."""

    TITLE = "title"
    QUOTA_PROBE = "quota_probe"
    WEB_SEARCH = "web_search"


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
        earlier: Members | None = None,
    ) -> "ClientRequest":
        """A request with a Messages body, which may have much in common with an `earlier` one.

        Raises BadBody, which says what is wrong with it.
        """
        text = body if text is None else text
        members = Members(text, earlier=earlier)
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
        return self.header(AGENT_ID)

    @property
    def session_id(self) -> str | None:
        return self.header(SESSION_ID)

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

    @property
    def server_tools(self) -> tuple[str, ...]:
        """The types of the tools that only Anthropic's servers can run, such as `web_search_20250305`."""
        if self.members is None:
            return ()
        tools = self.members.tools
        if tools.of_servers is None:
            raw = self.members.raw("tools")
            tools.of_servers = () if raw is None else _server_tools(raw)
        return tools.of_servers

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

"""Another provider's Anthropic-compatible API: the same shape, a stranger all the same.

The body is written anew from an allow-list: what a stranger does not know it may refuse, and what identifies the
user or the client is not its business. The answer comes back under the model name that the client asked for.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from claude_proxy.dialects.anthropic import kind_of
from claude_proxy.dialects.dialect import StreamTranslator
from claude_proxy.dialects.thinking import marked_by, unmarked_for
from claude_proxy.failures import HANDLING, Failure, FailureKind
from claude_proxy.wire import json_parts
from claude_proxy.wire.errors import STATUS_OF_TYPE, error_type, read_error
from claude_proxy.wire.estimate import estimate_tokens
from claude_proxy.wire.headers import Headers, for_stranger, retry_after
from claude_proxy.wire.messages import ATTRIBUTION, ClientRequest
from claude_proxy.wire.sse import SSEEvent, events, render

# Seen with Claude Code 2.1.197, in a reminder in the first message; it ends where the next section begins.
_EMAIL = re.compile(r"^# userEmail\n.*?(?=^# |^\s*</|\Z)", re.MULTILINE | re.DOTALL)

_WINDOW_WORDS = (
    "context window",
    "context length",
    "maximum context",
    "prompt is too long",
    "too many tokens",
)


class CompatibleTraits(msgspec.Struct, frozen=True):
    """What one compatible provider accepts. `context_window` is in tokens; `lowest_temperature` stands in for a
    temperature of 0 where that is refused."""

    parameters: frozenset[str] = frozenset(
        {
            "max_tokens",
            "messages",
            "metadata",
            "model",
            "stop_sequences",
            "stream",
            "system",
            "temperature",
            "thinking",
            "tool_choice",
            "tools",
            "top_k",
            "top_p",
        }
    )
    cache_control: bool = False
    keeps_thinking: bool = False
    context_window: int = 200_000
    lowest_temperature: float | None = None


class CompatibleDialect:
    """Anthropic's shape at another provider's."""

    native = False

    def __init__(self, provider: str, traits: CompatibleTraits) -> None:
        self._provider = provider
        self._traits = traits

    def target(self, request: ClientRequest) -> str:
        return request.path

    def headers(self, headers: Headers, access_header: str) -> Headers:
        return for_stranger(headers)

    def request(self, request: ClientRequest, model: str | None) -> bytes:
        body = json_parts.opened(request.text) or {}
        sent = {name: part for name, part in body.items() if name in self._traits.parameters}
        sent["model"] = model or request.model
        metadata = json_parts.opened(sent.pop("metadata", None))
        if metadata and metadata.keys() - {"user_id"}:
            sent["metadata"] = {name: part for name, part in metadata.items() if name != "user_id"}
        if (system := self._system(sent.pop("system", None))) is not None:
            sent["system"] = system
        turns = json_parts.listed(sent.get("messages"))
        if turns is not None:
            sent["messages"] = merged([kept for turn in turns if (kept := self._turn(turn)) is not None])
        tools = json_parts.listed(sent.get("tools"))
        if tools is not None:
            sent["tools"] = [self._reduced(tool) for tool in tools]
        if self._traits.lowest_temperature and json_parts.value(sent.get("temperature")) == 0:
            sent["temperature"] = self._traits.lowest_temperature
        return json_parts.written(sent)

    def _system(self, part: Any) -> Any:
        """The system prompt without the attribution block; None where nothing is left."""
        blocks = json_parts.listed(part)
        if blocks is not None:
            return [self._reduced(block) for block in blocks if not _is_attribution(block)] or None
        whole = json_parts.text(part)
        if whole is not None and whole.startswith(ATTRIBUTION):
            return whole.partition("\n")[2] or None
        return part

    def _turn(self, part: Any) -> Any:
        """A message as this provider accepts it, or None where nothing of it is left."""
        message = json_parts.opened(part)
        if message is None:
            return part
        content: Any = message.get("content")
        blocks = json_parts.listed(content)
        if blocks is not None:
            content = [kept for block in blocks if (kept := self._block(block)) is not None]
            if not content:
                return None
        elif (whole := json_parts.text(content)) is not None:
            content = without_email(whole)
        role = json_parts.text(message.get("role"))
        # A system entry amid the conversation: said by the user instead, where it stands.
        return {**message, "role": "user" if role == "system" else role, "content": content}

    def _block(self, part: Any) -> Any:
        """A content block as this provider accepts it, or None where it must not see it."""
        block = json_parts.opened(part)
        if block is None:
            return part
        match json_parts.text(block.get("type")):
            case "thinking" | "redacted_thinking":
                return unmarked_for(self._provider, block) if self._traits.keeps_thinking else None
            case "text" if (words := json_parts.text(block.get("text"))) is not None:
                return self._reduced({**block, "text": without_email(words)})
            case "tool_result" if (inner := json_parts.listed(block.get("content"))) is not None:
                return self._reduced({**block, "content": [self._reduced(item) for item in inner]})
        return self._reduced(block)

    def _reduced(self, part: Any) -> Any:
        """With `cache_control` cut down to what is accepted."""
        block = part if isinstance(part, dict) else json_parts.opened(part)
        if block is None or "cache_control" not in block:
            return part
        reduced = {name: inner for name, inner in block.items() if name != "cache_control"}
        control = json_parts.opened(block["cache_control"])
        if self._traits.cache_control and control is not None:
            reduced["cache_control"] = {"type": control.get("type", "ephemeral")}
        return reduced

    def refusal(self, status: int, headers: Headers, body: bytes, request: ClientRequest) -> Failure:
        said_type, message = read_error(body) or ("", "")
        kind = kind_of(status, said_type, message)
        if kind is FailureKind.MALFORMED:
            return Failure(
                kind, f"{self._provider} answered with a redirect (status {status}), which is never followed"
            )
        return self.verdict(kind, status, message or f"status {status}", headers, request)

    def disguised(self, data: bytes, headers: Headers, request: ClientRequest) -> Failure | None:
        found = read_error(data)
        if found is None:
            return None
        said_type, message = found
        status = STATUS_OF_TYPE.get(said_type, 502)
        kind = kind_of(status, said_type, message) if said_type in STATUS_OF_TYPE else FailureKind.MALFORMED
        return self.verdict(kind, status, message or "an error inside a 200", headers, request)

    def verdict(
        self, kind: FailureKind, status: int, message: str, headers: Headers, request: ClientRequest
    ) -> Failure:
        """A failure whose answer will be ours: a stranger's types and statuses are not Anthropic's."""
        text = f"{self._provider}: {message}"
        about_the_request = kind in {FailureKind.INVALID_REQUEST, FailureKind.CONTEXT_WINDOW}
        if about_the_request and any(word in message.lower() for word in _WINDOW_WORDS):
            # Claude Code compacts the conversation when it reads these words.
            kind, status = FailureKind.CONTEXT_WINDOW, 400
            window = self._traits.context_window
            text = f"prompt is too long: {max(estimate_tokens(request.text), window + 1)} tokens > {window} maximum"
        elif kind is FailureKind.AUTH:
            status = 403  # a 401 would make Claude Code refresh its own login
            text = f"{self._provider} refused the proxy's key for it: {message}. Check the key and store it anew"
        elif kind in {FailureKind.MALFORMED, FailureKind.OVERLOADED}:
            status = HANDLING[kind].status
        elif status == 401:
            status = 403  # as above: it spoke of quota or billing
        return Failure(kind, text, retry_after=retry_after(headers), error_type=error_type(status), status=status)

    def answer(self, body: bytes, request: ClientRequest) -> bytes:
        message = json_parts.opened(body)
        if message is None:
            return body
        if "model" in message:
            message["model"] = request.model
        blocks = json_parts.listed(message.get("content"))
        if blocks is not None:
            message["content"] = [self._marked(block) for block in blocks]
        return json_parts.written(message)

    def _marked(self, part: Any) -> Any:
        return marked_by(self._provider, json_parts.opened(part)) or part

    def stream(self, request: ClientRequest) -> StreamTranslator | None:
        return CompatibleStream(self._provider, request.model)


class CompatibleStream:
    """Rewrites the events that name the model or sign thinking; all others pass as they are."""

    def __init__(self, provider: str, model: str) -> None:
        self._provider = provider
        self._model = model

    def feed(self, block: bytes) -> bytes:
        return b"".join(self.event(event) for event in events(block))

    def event(self, event: SSEEvent) -> bytes:
        """One event as the client shall see it."""
        if not event.data:
            return event.raw
        telling = event.name in {"", "message_start"} or b"thinking" in event.data or b"signature" in event.data
        if not telling:
            return event.raw
        try:
            return self._rewritten(event)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return event.raw  # odd JSON is the client's to judge, as it would be without us

    def _rewritten(self, event: SSEEvent) -> bytes:
        data = json_parts.opened(event.data)
        if data is None:
            return event.raw
        kind = json_parts.text(data.get("type"))
        changed = self._change(kind, data)
        if event.name == "" and kind:
            return render(kind, json_parts.written(data))  # Claude Code requires the name on a line of its own
        return render(event.name, json_parts.written(data)) if changed else event.raw

    def _change(self, kind: str | None, data: dict[str, Any]) -> bool:
        """Writes our words into the event's data; False where there is nothing of that kind in it."""
        if kind == "message_start" and (message := json_parts.opened(data.get("message"))) and "model" in message:
            data["message"] = {**message, "model": self._model}
            return True
        inner = {"content_block_start": "content_block", "content_block_delta": "delta"}.get(kind or "", "")
        part = json_parts.opened(data.get(inner))
        marked = marked_by(self._provider, part)
        if marked is None:
            return False
        data[inner] = marked
        return True


def merged(messages: Sequence[Any]) -> list[Any]:
    """Neighbouring turns of one role as one: what is left after folding must still alternate."""
    turns: list[Any] = []
    for message in messages:
        before = turns[-1] if turns else None
        if isinstance(message, dict) and isinstance(before, dict) and before["role"] == message["role"]:
            content = [*_blocks(before), *_blocks(message)]
            # Results of tools go first: a system entry that was folded must not stand before them.
            turns[-1] = {**before, "content": sorted(content, key=_is_no_tool_result)}
        else:
            turns.append(message)
    return turns


def _is_no_tool_result(block: Any) -> bool:
    opened = block if isinstance(block, dict) else json_parts.opened(block)
    return opened is None or json_parts.text(opened.get("type")) != "tool_result"


def _blocks(message: Mapping[str, Any]) -> list[Any]:
    content = message.get("content")
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if content else []


def without_email(text: str) -> str:
    """A text without the section in which Claude Code tells the model the account's e-mail address."""
    return _EMAIL.sub("", text) if "# userEmail" in text else text


def _is_attribution(part: Any) -> bool:
    block = json_parts.opened(part)
    return block is not None and (json_parts.text(block.get("text")) or "").startswith(ATTRIBUTION)

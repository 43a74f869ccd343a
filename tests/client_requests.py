"""The client's requests as the rooms below the door get them: already read."""

from typing import Any

from claude_proxy.wire.headers import Headers
from claude_proxy.wire.messages import COUNT_TOKENS, MESSAGES, ClientRequest
from tests.claude_request import claude_body, claude_headers


def headers_of(**given: str | None) -> Headers:
    """Claude Code's headers without a credential; see `claude_headers` for what may be given."""
    return tuple(claude_headers(None, **given).items())


def message_request(
    *added: tuple[str, str], headers: Headers | None = None, local: bool = True, query: str = "", **fields: Any
) -> ClientRequest:
    """A request for a model's answer as Claude Code sends it, with headers added and fields of the body replaced."""
    sent = headers_of() if headers is None else headers
    target = f"{MESSAGES}?{query}" if query else MESSAGES
    return ClientRequest.read("POST", target, (*sent, *added), claude_body(**fields), local=local)


def count_request(*added: tuple[str, str], **fields: Any) -> ClientRequest:
    """A request to count tokens; it carries no metadata."""
    fields = {"metadata": None, "max_tokens": None, "stream": None, **fields}
    return ClientRequest.read("POST", COUNT_TOKENS, (*headers_of(), *added), claude_body(**fields))


def other_request(method: str, target: str, *added: tuple[str, str], body: bytes = b"") -> ClientRequest:
    """A request of another path, which names no model."""
    return ClientRequest(method, target, (*headers_of(), *added), body)

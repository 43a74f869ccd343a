"""Requests as the dialects get them."""

import json
from typing import Any

from claude_proxy.wire.headers import Headers
from claude_proxy.wire.messages import ClientRequest

HAIKU = "claude-haiku-4-5-20251001"
ATTRIBUTION = "x-anthropic-billing-header: cc_version=2.1.197.FAKE; cc_entrypoint=cli; cch=FAKE0;"

# What Claude Code sends of itself, and more that a client might.
CLIENT_HEADERS: Headers = (
    ("Accept", "application/json"),
    ("Authorization", "Bearer sk-ant-oat01-FAKE"),
    ("x_api_key", "sk-ant-api03-FAKE"),
    ("anthropic-version", "2023-06-01"),
    ("anthropic-beta", "claude-code-20250219,oauth-2025-04-20"),
    ("User-Agent", "claude-cli/2.1.197 (external, cli)"),
    ("x-app", "cli"),
    ("X-Claude-Code-Session-Id", "FAKE-session"),
    ("Cookie", "FAKE=1"),
    ("Content-Type", "application/json"),
)


def asked_in(text: bytes, target: str = "/v1/messages?beta=true") -> ClientRequest:
    """A request with exactly this body."""
    return ClientRequest.read("POST", target, CLIENT_HEADERS, text)


def asked(**members: Any) -> ClientRequest:
    """A plain Haiku request with these members."""
    plain = {"model": HAIKU, "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]}
    return asked_in(json.dumps({**plain, **members}).encode())

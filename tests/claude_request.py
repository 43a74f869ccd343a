"""Requests as Claude Code 2.1.197 sends them (captured), and the login that it stores."""

import json
import time
from collections.abc import Mapping
from typing import Any

from tests.stand_in import Received

SENTINEL = "proxy-managed"
OAUTH_BETA = "oauth-2025-04-20"

# What it sends where a key or token is configured instead of its own login: all but the OAuth beta.
BETAS = (
    "claude-code-20250219,context-1m-2025-08-07,interleaved-thinking-2025-05-14,"
    "thinking-token-count-2026-05-13,context-management-2025-06-27,prompt-caching-scope-2026-01-05,"
    "mid-conversation-system-2026-04-07,effort-2025-11-24"
)

SESSION = "32d01c04-84e5-4c70-8f0b-4ca79ed925b6"


def claude_headers(credential: Mapping[str, str] | None = None, **replaced: str | None) -> dict[str, str]:
    """Claude Code's headers with this credential; `user_agent="curl/8"` replaces one, None leaves it out."""
    headers = {
        "Accept": "application/json",
        "Content-Type": "application/json",
        "User-Agent": "claude-cli/2.1.197 (external, sdk-cli)",
        "X-Claude-Code-Session-Id": SESSION,
        "X-Stainless-Lang": "js",
        "X-Stainless-Retry-Count": "0",
        "anthropic-beta": BETAS,
        "anthropic-dangerous-direct-browser-access": "true",
        "anthropic-version": "2023-06-01",
        "x-app": "cli",
        **(credential or {}),
    }
    for argument, value in replaced.items():
        name = next(known for known in headers if known.lower() == argument.replace("_", "-"))
        if value is None:
            del headers[name]
        else:
            headers[name] = value
    return headers


def claude_body(text: str = "say hi", model: str = "claude-sonnet-4-5", **fields: Any) -> bytes:
    """Claude Code's body, without the many tools and prompts; a field given as None is left out."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": [{"type": "text", "text": text}]}],
        "system": [{"type": "text", "text": "You are a Claude agent."}],
        "tools": [],
        "metadata": {"user_id": json.dumps({"device_id": "af2d" * 16, "account_uuid": "", "session_id": SESSION})},
        "max_tokens": 64000,
        "stream": False,
        **fields,
    }
    return json.dumps({name: value for name, value in body.items() if value is not None}).encode()


def stored_login(access_token: str, refresh_token: str = "sk-ant-ort01-FAKE-refresh", **fields: Any) -> str:
    """The envelope in which Claude Code stores its login; it is good for eight hours."""
    return json.dumps(
        {
            "claudeAiOauth": {
                "accessToken": access_token,
                "refreshToken": refresh_token,
                "expiresAt": int((time.time() + 8 * 3600) * 1000),
                "scopes": ["user:inference", "user:profile"],
                "subscriptionType": "max",
                **fields,
            }
        }
    )


def bearer_of(received: Received) -> str | None:
    """The token that a request carried, where its only credential is one Bearer token."""
    credentials = [(k.lower(), v) for k, v in received.headers if k.lower() in ("authorization", "x-api-key")]
    match credentials:
        case [("authorization", value)] if value.startswith("Bearer "):
            return value.removeprefix("Bearer ")
    return None

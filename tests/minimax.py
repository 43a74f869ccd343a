"""MiniMax as a stand-in beside Claude: how Haiku gets there, and how MiniMax says what is wrong."""

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.asking import Reply, ask
from tests.running import Daemon, running
from tests.stand_in import Answer, StandIn, Wire, message_json, replies, streams, text_stream

KEY = "FAKE-minimax-key"
MODEL = "MiniMax-M2.5-highspeed"
HAIKU = "claude-haiku-4-5-20251001"

LOGIN = "sk-ant-oat01-FAKE-login-of-the-client"
USER_ID = json.dumps({"device_id": "FAKE-device", "account_uuid": "FAKE-account", "session_id": "FAKE-session"})

# What Claude Code sends along, and more that a client might.
CLIENT_HEADERS: Mapping[str, str] = {
    "Accept": "application/json",
    "Authorization": f"Bearer {LOGIN}",
    "User-Agent": "claude-cli/2.1.197 (external, sdk-cli)",
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "claude-code-20250219,oauth-2025-04-20,interleaved-thinking-2025-05-14",
    "anthropic-dangerous-direct-browser-access": "true",
    "x-app": "cli",
    "X-Claude-Code-Session-Id": "FAKE-session",
    "x-claude-code-agent-id": "aFAKE-agent",
    "X-Stainless-Lang": "js",
    "X-Stainless-OS": "FAKE-system",
    "Cookie": "sessionKey=FAKE-cookie",
}

ONLY_MINIMAX: list[dict[str, Any]] = [
    {"model": "claude-haiku-*", "to": [{"upstream": "minimax", "model": MODEL}]},
    {"to": [{"upstream": "claude"}]},
]

CLAUDE_STREAM = text_stream("Claude says this.", HAIKU)
CLAUDE_JSON = message_json("Claude says this.", HAIKU)


async def claude_says(received: Any, wire: Wire) -> None:
    """Claude's answer, the same bytes each time, with a header by which it is known."""
    headers = [("request-id", "req_of_claude")]
    if received.json().get("stream"):
        await streams(CLAUDE_STREAM, headers)(received, wire)
    elif received.path.endswith("/count_tokens"):
        await wire.reply(200, b'{"input_tokens":42}', [("Content-Type", "application/json"), *headers])
    else:
        await wire.reply(200, CLAUDE_JSON, [("Content-Type", "application/json"), *headers])


@dataclass(frozen=True)
class House:
    """A daemon with MiniMax for Haiku and Claude behind it."""

    daemon: Daemon
    minimax: StandIn
    claude: StandIn

    async def ask(
        self,
        body: bytes | Mapping[str, Any],
        path: str = "/v1/messages?beta=true",
        headers: Mapping[str, str] = CLIENT_HEADERS,
    ) -> Reply:
        return await ask(self.daemon.url + path, body, headers)

    @property
    def sent(self) -> Any:
        """The body of the one request that MiniMax received."""
        (received,) = self.minimax.received
        return received.json()


@contextlib.asynccontextmanager
async def haiku_house(
    home: Path,
    minimax_says: Answer | None = None,
    *,
    key: str | None = KEY,
    at: str | None = None,
    claude: Answer = claude_says,
    settings: Mapping[str, Any] | None = None,
    **config: Any,
) -> AsyncIterator[House]:
    """The default routes over two stand-ins; `at` is MiniMax elsewhere, `settings` are its upstream's.

    Retries would only cost time.
    """
    async with StandIn(minimax_says) as minimax, StandIn(claude) as behind:
        upstreams = {
            "claude": {"base_url": behind.url},
            "minimax": {"base_url": f"{at or minimax.url}/anthropic", **(settings or {})},
        }
        whole = {"upstreams": upstreams, "retry": {"max_elapsed": "0s"}, **config}
        async with running(home, whole, {"HAIKU_PROVIDER_API_KEY": key} if key else {}) as daemon:
            yield House(daemon, minimax, behind)


def haiku(**changes: Any) -> dict[str, Any]:
    """A plain Haiku request, streaming unless told otherwise."""
    return {
        "model": HAIKU,
        "max_tokens": 1000,
        "stream": True,
        "messages": [{"role": "user", "content": "hi"}],
        **changes,
    }


# --- how MiniMax says what is wrong ------------------------------------------------------------------------


def base_resp(number: int, words: str) -> dict[str, Any]:
    return {"base_resp": {"status_code": number, "status_msg": words}}


def says_in_json(number: int, words: str) -> Answer:
    """HTTP 200 and the number in the body."""
    return replies(200, json.dumps({"id": "0123", **base_resp(number, words)}).encode())


def says_in_stream(number: int, words: str) -> Answer:
    """HTTP 200 and the number in the first data of a stream, without a name of the event."""
    return streams([b"data: %s\n\n" % json.dumps({"id": "0123", **base_resp(number, words)}).encode()])


def error_of(number: int, words: str, status: int) -> dict[str, Any]:
    kind = "authorized_error" if status == 401 else "bad_request_error"
    return {
        "type": "error",
        "error": {"type": kind, "message": f"{words} ({number})", "http_code": str(status)},
        "request_id": "0123456789abcdef",
    }


def says_in_error_event(number: int, words: str) -> Answer:
    """HTTP 200 and an error as the first event of the stream."""
    return streams([b"event: error\ndata: %s\n\n" % json.dumps(error_of(number, words, 400)).encode()])


def says_with_status(number: int, words: str, status: int) -> Answer:
    """An HTTP error with the number at the end of its message."""
    return replies(status, json.dumps(error_of(number, words, status)).encode())

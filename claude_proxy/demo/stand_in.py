"""The stand-in of the APIs: Anthropic's and MiniMax's on one free loopback port, each below a path of its own.

Each has a key that is made for this run, and answers to that key alone: the daemon's part is then to bring the
right one, whatever the client has sent.
"""

import asyncio
import hmac
import json
import secrets
import time
from typing import Any, Self

from aiohttp import web

from claude_proxy.demo.message import Message
from claude_proxy.demo.script import OVERLOADED, Provider, answer
from claude_proxy.wire.estimate import estimate_tokens
from claude_proxy.wire.headers import bearer

_PREFIXES = {Provider.CLAUDE: "/claude", Provider.MINIMAX: "/minimax/anthropic"}
_LARGEST = 64 << 20  # bytes of a request, as many as the daemon lets in
_LAST_WAIT = 0.1  # seconds for connections to close
_HOUR = 3600


class StandIn:
    """Serves within its `async with` block. `pause` is what a stream waits between two events, in seconds."""

    def __init__(self, pause: float = 0.02) -> None:
        self.keys = {provider: f"demo-key-{secrets.token_hex(16)}" for provider in Provider}
        self._port = 0
        app = web.Application(client_max_size=_LARGEST)
        for provider, prefix in _PREFIXES.items():
            app.router.add_route("*", prefix + "/{path:.*}", _Api(provider, self.keys[provider], pause).answer)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=_LAST_WAIT)

    def base_url(self, provider: Provider) -> str:
        """Up to where `/v1/messages` begins."""
        return f"http://127.0.0.1:{self._port}{_PREFIXES[provider]}"

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()


class _Api:
    """One of the two."""

    def __init__(self, provider: Provider, key: str, pause: float) -> None:
        self._provider = provider
        self._key = key.encode()
        self._pause = pause

    async def answer(self, request: web.Request) -> web.StreamResponse:
        offered = (bearer(request.headers.get("Authorization", "")), request.headers.get("x-api-key"))
        if not any(hmac.compare_digest((key or "").encode("utf-8", "surrogateescape"), self._key) for key in offered):
            return _error(401, "authentication_error", "this is not the key of the demo's stand-in")
        path = request.match_info["path"]
        if request.method != "POST" or path not in {"v1/messages", "v1/messages/count_tokens"}:
            return _error(404, "not_found_error", "the demo's stand-in knows /v1/messages only")
        body = await request.read()
        try:
            asked = json.loads(body)
        except (ValueError, RecursionError):
            asked = None
        if not isinstance(asked, dict):
            return _error(400, "invalid_request_error", "the body is not a JSON object")
        tokens = estimate_tokens(body)
        if path.endswith("count_tokens"):
            return web.json_response({"input_tokens": tokens}, headers=self._headers())
        blocks = answer(self._provider, asked)
        if blocks is None:
            return _error(529, "overloaded_error", OVERLOADED)
        message = Message(str(asked.get("model")), blocks, tokens)
        if asked.get("stream") is True:
            return await self._stream(request, message)
        return web.json_response(message.whole, headers=self._headers())

    async def _stream(self, request: web.Request, message: Message) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **self._headers()})
        await response.prepare(request)
        for event in message.events():
            await response.write(event)
            await asyncio.sleep(self._pause)
        await response.write_eof()
        return response

    def _headers(self) -> dict[str, str]:
        """What the real one states beside its answer: Anthropic how much of the plan is used, MiniMax nothing."""
        return _plan() if self._provider is Provider.CLAUDE else {}


def _plan() -> dict[str, str]:
    """The windows of an invented plan, in the headers in which Anthropic states a subscription's."""
    now = int(time.time())
    fields: dict[str, Any] = {
        "status": "allowed",
        "reset": now + 3 * _HOUR,
        "representative-claim": "five_hour",
        "5h-status": "allowed",
        "5h-utilization": 0.42,
        "5h-reset": now + 3 * _HOUR,
        "7d-status": "allowed",
        "7d-utilization": 0.17,
        "7d-reset": now + 100 * _HOUR,
    }
    told = {f"anthropic-ratelimit-unified-{name}": str(value) for name, value in fields.items()}
    return {"request-id": _request_id(), **told}


def _request_id() -> str:
    return f"req_demo_{secrets.token_hex(8)}"


def _error(status: int, kind: str, message: str) -> web.Response:
    """An error in the shape that both APIs use."""
    told = {"type": "error", "error": {"type": kind, "message": message}, "request_id": _request_id()}
    return web.json_response(told, status=status)

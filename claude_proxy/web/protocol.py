"""The server side of one connection, with aiohttp's defaults overridden where they are too trusting.

Measured with aiohttp 3.14: its error page and its log quote the offending bytes, a head may drip for ever, a bad
chunk in a later packet leaves the handler waiting for ever, and chunk framing is not counted against any limit.

This room takes from aiohttp's own modules what it needs: `aiohttp.web` imports its framework as well (routes, static
files, websockets), of which nothing is used and which is a twentieth of the start.
"""

import asyncio
import logging
import math
import time
from typing import Any

import msgspec
from aiohttp import HttpVersion10, HttpVersion11, web_server
from aiohttp.web_protocol import RequestHandler, RequestPayloadError
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import StreamResponse

from claude_proxy.logline import say
from claude_proxy.web.errors import Refused, refusal

_log = logging.getLogger(__name__)

_LINGER = 2.0  # seconds that an unread body is drained after a refusal; an RST would lose the refusal
_VERSIONS = frozenset({HttpVersion10, HttpVersion11})


class LimitSettings(msgspec.Struct, frozen=True):
    """What one request may cost: sizes in bytes, times in seconds."""

    max_body: int = 64 << 20
    head_timeout: float = 10.0
    body_timeout: float = 120.0
    max_header: int = 64 << 10
    idle_timeout: float = 300.0


class Connection(RequestHandler):
    """One client's connection."""

    __slots__ = ("_head_timeout", "_head_timer", "_raw_limit", "_raw_received", "last_heard")

    def __init__(self, server: web_server.Server, limits: LimitSettings, **options: Any) -> None:
        super().__init__(server, **options)
        self._head_timeout = limits.head_timeout
        self._head_timer: asyncio.TimerHandle | None = None
        self._raw_limit = 2 * limits.max_body + 4 * limits.max_header
        self._raw_received = 0
        self.last_heard = time.monotonic()

    def data_received(self, data: bytes) -> None:
        self.last_heard = time.monotonic()
        self._raw_received += len(data)
        if self._raw_received > self._raw_limit:
            self.force_close()  # chunk framing without end; no body of a size we allow comes to this
            return
        super().data_received(data)
        for message, _ in self._messages:
            # A broken head has no version, and is answered.
            if getattr(message, "version", HttpVersion11) not in _VERSIONS:
                self.force_close()  # an answer would be in that other version, which we do not speak
                return
        current = self._current_request
        if current is None:
            self._watch_head()
        elif self._messages and not current.content.is_eof() and _is_error(self._messages[-1][0]):
            # aiohttp queues its 400 behind the running handler and never tells that handler.
            current.content.set_exception(RequestPayloadError("the body's framing is broken"))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._watch_head()

    def resume_reading(self, resume_parser: bool = True) -> None:
        # aiohttp resumes after every piece of a body that is read, which costs as much as the piece.
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def _watch_head(self) -> None:
        """Runs a timer while a head is awaited: from the connection's begin, or from the head's first byte."""
        if self._messages or self._request_in_progress:
            self._forget_head()
        elif self._head_timer is None:
            loop = asyncio.get_running_loop()
            self._head_timer = loop.call_later(self._head_timeout, self.force_close)

    def _forget_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def connection_lost(self, exc: BaseException | None) -> None:
        self._forget_head()
        super().connection_lost(exc)

    async def finish_response(
        self, request: BaseRequest, resp: StreamResponse, start_time: float | None
    ) -> tuple[StreamResponse, bool]:
        finished = await super().finish_response(request, resp, start_time)
        self._raw_received = 0
        self.last_heard = time.monotonic()  # the client may be about to ask again
        return finished

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> StreamResponse:
        """The answer to what cannot be parsed (400), and to a fault of our own (500)."""
        if isinstance(exc, ConnectionError) and (request.transport is None or request.transport.is_closing()):
            raise ConnectionError("the client has left")  # nobody's fault; aiohttp ends the connection quietly
        if status >= 500:
            _log.error("a request could not be answered because of a fault in claude-proxy", exc_info=exc)
        else:
            say(_log, logging.INFO, "malformed_request", cause=type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun; there is no room for an error")
        if status >= 500:
            return refusal(Refused(500, "internal", "claude-proxy failed; its log has the reason", close=True))
        return refusal(Refused(400, "malformed", "this is not a well-formed HTTP/1.1 request", close=True))

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """aiohttp's own report of an unhandled exception; never the request's bytes."""
        error = kw.get("exc_info")
        if isinstance(error, RequestPayloadError):
            return  # it goes on reading a body that was refused as broken, to drain it
        _log.error("a connection ended because of a fault in claude-proxy", exc_info=error)


class Server(web_server.Server):
    """Makes a `Connection` for each client. A client that leaves cancels what is done for it.

    With `last_answers`, each answer that begins is the last on its connection, and says so.
    """

    def __init__(self, handler: Any, limits: LimitSettings) -> None:
        super().__init__(handler, request_factory=self._request, handler_cancellation=True)
        self._limits = limits
        self.last_answers = False

    def silence(self) -> float:
        """Seconds since a client was last heard, or answered; infinite where none is connected."""
        heard = [connection.last_heard for connection in self.connections if isinstance(connection, Connection)]
        return time.monotonic() - max(heard) if heard else math.inf

    def _request(self, message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> BaseRequest:
        if self.last_answers:
            message = message._replace(should_close=True)
        return BaseRequest(message, payload, protocol, writer, task, asyncio.get_running_loop())

    def __call__(self) -> RequestHandler:
        return Connection(
            self,
            self._limits,
            loop=self._loop,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=self._limits.idle_timeout,
            lingering_time=_LINGER,
            max_field_size=self._limits.max_header,
            max_line_size=self._limits.max_header,
        )


def _is_error(message: object) -> bool:
    return type(message).__name__ == "_ErrInfo"

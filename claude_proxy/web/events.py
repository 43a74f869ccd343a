"""`/api/events`: what happens now, as server-sent events, to whoever listens."""

import asyncio
import contextlib

from aiohttp.web_request import BaseRequest
from aiohttp.web_response import StreamResponse

from claude_proxy.observers.live import LiveEvents
from claude_proxy.web.drain import Drain
from claude_proxy.web.errors import SERVER, Refused
from claude_proxy.web.parameters import Parameters

MOST_LISTENERS = 32
_PIECE = 100  # events that are written at once; with what waits in the transport, all that a listener may take
_COME_AGAIN = b"retry: 2000\n\n"
_STILL_HERE = b": still here\n\n"
_MISSED = b"event: missed\ndata: {}\n\n"


class EventsDoor:
    """Times in seconds: `alive` is the longest silence, `patience` how long a listener may take to read what it was
    sent, `pace` the shortest time between two sendings, so that a busy daemon does not keep a page busy."""

    def __init__(
        self, live: LiveEvents, drain: Drain, *, alive: float = 15.0, patience: float = 15.0, pace: float = 0.25
    ) -> None:
        self._live = live
        self._drain = drain
        self._alive = alive
        self._patience = patience
        self._pace = pace
        self.listeners = 0

    async def answer(self, request: BaseRequest) -> StreamResponse:
        """`GET /api/events`. Raises Refused where there are too many listeners already."""
        last = self._heard_last(request)
        if self.listeners >= MOST_LISTENERS:
            message = f"{MOST_LISTENERS} others are listening already; close a page or a `tail`, then come again"
            raise Refused(503, "listeners", message, headers=(("retry-after", "5"),))
        response = StreamResponse(
            headers={
                "Content-Type": "text/event-stream; charset=utf-8",
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
                "Server": SERVER,
            }
        )
        response.force_close()  # who comes again while we hand over shall come to whom we have handed over to
        self.listeners += 1
        try:
            async with self._drain.guest():
                await response.prepare(request)
                if request.method != "HEAD":
                    await self._tell(response, last)
        finally:
            self.listeners -= 1
        if request.protocol.writing_paused and request.transport is not None:
            request.transport.abort()  # it does not read: neither would it the end
        return response

    def _heard_last(self, request: BaseRequest) -> int:
        """The id of the last event that the listener knows. A browser that comes again says it in the header, a page
        that comes first in the address; who says nothing is told what comes from now on."""
        parameters = Parameters(request, ("last_event_id",))
        newest = self._live.last
        last = parameters.integer("last_event_id", newest, 0)
        said = request.headers.get("Last-Event-ID")
        return last if said is None else parameters.number("Last-Event-ID", said, 0)

    async def _tell(self, response: StreamResponse, last: int) -> None:
        """Writes all that comes; returns where the listener has fallen behind what is kept, or does not read."""
        piece = _COME_AGAIN
        if self._live.after(last, 0).missed:
            piece += _MISSED
            last = self._live.after(last, 0).last
        with contextlib.suppress(TimeoutError):  # of a listener that does not read
            while True:
                async with asyncio.timeout(self._patience):
                    await response.write(piece)
                if last == self._live.last:
                    await asyncio.sleep(self._pace)
                if last == self._live.last:
                    await self._news()
                heard = self._live.after(last, _PIECE)
                if heard.missed:
                    return
                piece, last = b"".join(heard.events) or _STILL_HERE, heard.last

    async def _news(self) -> None:
        """Returns with the next event, or after the longest silence."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._alive):
                await self._live.news()

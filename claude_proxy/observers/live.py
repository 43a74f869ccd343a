"""What happens now, for those who listen: the last events, numbered, so that nobody misses one or sees it twice."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

import msgspec

from claude_proxy.exchange import Exchange, Observer
from claude_proxy.ledger.cost import dollars
from claude_proxy.ledger.pricing import Pricing
from claude_proxy.wire.sse import render

KEPT = 500
"""Events that are kept for those who come, or come again."""

_LONGEST = 200  # characters of a path, which may have any length


class Heard(msgspec.Struct, frozen=True):
    """Events as bytes, and the id of the last of them. `missed`: some that came before are no longer kept."""

    events: tuple[bytes, ...]
    last: int
    missed: bool


class LiveEvents(Observer):
    """Tells of each exchange when it begins and when it ends; the end says who answered, after how many attempts.
    Keeps the last `KEPT` events, whoever listens.

    Ids increase by one. They begin with the time in milliseconds, so that they go on increasing in the next process,
    and who comes again there with an id of this one is told everything that is new.
    """

    def __init__(self, pricing: Pricing, clock: Callable[[], float] = time.time) -> None:
        self._pricing = pricing
        self.last = int(clock() * 1000)
        """The id of the newest event."""
        # Written as text when somebody asks, and mostly nobody does.
        self._kept: deque[tuple[str, dict[str, object]]] = deque(maxlen=KEPT)
        self._news: asyncio.Event | None = None  # where somebody waits

    def after(self, last: int, most: int = KEPT) -> Heard:
        """What came after the event with this id, the oldest first. An id that is yet to come is one of another time:
        after it comes everything that is kept."""
        oldest = self.last - len(self._kept) + 1
        begin = oldest if last > self.last else max(last + 1, oldest)
        numbers = range(begin, min(begin + most, self.last + 1))
        events = tuple(b"id: %d\n%s" % (number, render(*self._kept[number - oldest])) for number in numbers)
        return Heard(events, begin + len(events) - 1, missed=last + 1 < oldest)

    async def news(self) -> None:
        """Returns with the next event."""
        if self._news is None:
            self._news = asyncio.Event()
        await self._news.wait()

    def began(self, exchange: Exchange) -> None:
        request = exchange.request
        self._add(
            "begin",
            {
                "id": exchange.id,
                "time": exchange.accepted,
                "method": request.method,
                "path": request.path[:_LONGEST],
                "model": request.model or None,
                "agent": "sub" if request.agent_id else "main",
                "stream": request.stream,
            },
        )

    def closed(self, exchange: Exchange) -> None:
        usage, value = exchange.usage, self._pricing.of(exchange).list_value
        self._add(
            "end",
            {
                "id": exchange.id,
                "time": exchange.accepted,
                "model": exchange.request.model or None,
                "route": exchange.route or None,
                "upstream": exchange.upstream or None,
                "status": exchange.status,
                "end": exchange.end,
                "first_byte_ms": _milliseconds(exchange.started, exchange.first_byte),
                "total_ms": _milliseconds(exchange.started, exchange.ended),
                "input_tokens": usage.input_tokens,
                "output_tokens": usage.output_tokens,
                "cache_read": usage.cache_read_input_tokens,
                "list_value": None if value is None else dollars(value),
                "attempts": len(exchange.attempts),
            },
        )

    def _add(self, name: str, fields: dict[str, object]) -> None:
        self.last += 1
        self._kept.append((name, fields))
        if self._news is not None:
            self._news.set()
            self._news = None


def _milliseconds(start: float, end: float | None) -> int | None:
    return None if end is None else round((end - start) * 1000)

"""What is in flight, and whether the daemon is draining."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class InFlight:
    """A request is counted while the block runs."""

    __slots__ = ("_drain",)

    def __init__(self, drain: "Drain") -> None:
        self._drain = drain

    def __enter__(self) -> None:
        self._drain.count(1)

    def __exit__(self, *_: object) -> None:
        self._drain.count(-1)


class Drain:
    """Counts requests that are being answered; once draining, waits until none is left.

    While `refusing`, new requests are told to come again. Otherwise they are answered still: those come on
    connections that were there before another process took the sockets over.
    """

    def __init__(self) -> None:
        self.in_flight = 0
        self.draining = False
        self.refusing = False
        self._emptied: asyncio.Event | None = None  # where somebody waits for it
        self._guests: set[asyncio.Timeout] = set()

    def request(self) -> "InFlight":
        """One request in flight, until the block ends."""
        return InFlight(self)

    def count(self, more: int) -> None:
        """So many more are in flight, or fewer."""
        self.in_flight += more
        if self.in_flight == 0 and self._emptied is not None:
            self._emptied.set()
            self._emptied = None

    @asynccontextmanager
    async def guest(self) -> AsyncIterator[None]:
        """What has no end of its own: it is in nobody's way, since draining ends the block, at once and quietly."""
        try:
            async with asyncio.timeout(0 if self.draining else None) as scope:
                self._guests.add(scope)
                try:
                    yield
                finally:
                    self._guests.discard(scope)
        except TimeoutError:
            if not scope.expired():
                raise

    def begin(self, *, refuse: bool = True) -> None:
        """From now on no new connections are expected, and new requests are refused; those that run go on."""
        self.draining = True
        self.refusing = refuse
        for guest in self._guests:
            guest.reschedule(0)

    def resume(self) -> None:
        """All is as before `begin`."""
        self.draining = self.refusing = False

    async def empty(self) -> None:
        """Returns once nothing is in flight."""
        if self.in_flight:
            self._emptied = self._emptied or asyncio.Event()
            await self._emptied.wait()

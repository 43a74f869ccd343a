"""What is in flight, and whether the daemon is draining."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager


class Drain:
    """Counts requests that are being answered; once draining, waits until none is left.

    While `refusing`, new requests are told to come again. Otherwise they are answered still: those come on
    connections that were there before another process took the sockets over.
    """

    def __init__(self) -> None:
        self.in_flight = 0
        self.draining = False
        self.refusing = False
        self._empty = asyncio.Event()
        self._empty.set()
        self._guests: set[asyncio.Timeout] = set()

    @contextmanager
    def request(self) -> Iterator[None]:
        """One request in flight."""
        self.in_flight += 1
        self._empty.clear()
        try:
            yield
        finally:
            self.in_flight -= 1
            if self.in_flight == 0:
                self._empty.set()

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
        await self._empty.wait()

"""What is in flight, and whether the daemon is draining."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


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

    def begin(self, *, refuse: bool = True) -> None:
        """From now on no new connections are expected, and new requests are refused; those that run go on."""
        self.draining = True
        self.refusing = refuse

    def resume(self) -> None:
        """All is as before `begin`."""
        self.draining = self.refusing = False

    async def empty(self) -> None:
        """Returns once nothing is in flight."""
        await self._empty.wait()

"""What is in flight, and whether the daemon is draining."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Drain:
    """Counts requests that are being answered; once draining, waits until none is left."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.draining = False
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

    def begin(self) -> None:
        """From now on new requests are refused; those that run go on."""
        self.draining = True

    async def empty(self) -> None:
        """Returns once nothing is in flight."""
        await self._empty.wait()

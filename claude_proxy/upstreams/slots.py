"""How many requests an upstream answers at once, and who waits for a place: in order of arrival, never too many."""

import asyncio
from collections.abc import Callable

import msgspec

from claude_proxy.failures import AttemptFailed, Failure, FailureKind

_COME_AGAIN = 2.0  # seconds after which a client that found no room may ask again


class SlotSettings(msgspec.Struct, frozen=True):
    """`max_concurrency` requests at once, 0 for any number; beyond them at most `max_queue` wait, each at most
    `queue_timeout` seconds."""

    max_concurrency: int = 0
    max_queue: int = 100
    queue_timeout: float = 30.0


class Slots:
    """The places of one upstream. A place is held from before the request goes up until its answer has ended."""

    def __init__(self, upstream: str, settings: SlotSettings) -> None:
        self._upstream = upstream
        self._settings = settings
        self._places = asyncio.Semaphore(settings.max_concurrency)
        self.limit = settings.max_concurrency
        """How many there are; 0 for any number."""
        self.in_use = 0
        self.waiting = 0

    async def take(self) -> Callable[[], None]:
        """A place, given back by calling what is returned. Raises AttemptFailed (QUEUE_FULL) where none comes free.

        Who leaves while waiting leaves the queue.
        """
        if self.limit and self._places.locked():
            await self._wait()
        elif self.limit:
            await self._places.acquire()  # at once: nobody waits
        self.in_use += 1
        return _Once(self._give_back)

    async def _wait(self) -> None:
        settings = self._settings
        if self.waiting >= settings.max_queue:
            raise self._refused(f"and {self.waiting} more wait for it, which is the most that may")
        self.waiting += 1
        try:
            async with asyncio.timeout(settings.queue_timeout):
                await self._places.acquire()
        except TimeoutError:
            raise self._refused(f"and none of them ended within {settings.queue_timeout:g} s") from None
        finally:
            self.waiting -= 1

    def _give_back(self) -> None:
        self.in_use -= 1
        if self.limit:
            self._places.release()

    def _refused(self, why: str) -> AttemptFailed:
        message = (
            f"{self._upstream} is answering {self.limit} requests at once {why}; try again in a moment, "
            f"or raise upstreams.{self._upstream}.max_concurrency"
        )
        failure = Failure(FailureKind.QUEUE_FULL, message, self._upstream, retry_after=_COME_AGAIN)
        return AttemptFailed(failure)


class _Once:
    """Calls something the first time that it is called itself."""

    __slots__ = ("_what",)

    def __init__(self, what: Callable[[], None]) -> None:
        self._what: Callable[[], None] | None = what

    def __call__(self) -> None:
        what, self._what = self._what, None
        if what is not None:
            what()

"""The event loop's turns, as its selector makes them: none is long, and another thread can wait until it is over.

asyncio serves all sockets that have something before it looks at anything else. With twenty clients at once that takes
20 ms and more, in which no timer is looked at, and no answer goes on whose socket has come next.
"""

import selectors
import threading
import time
from collections.abc import Callable
from typing import Any

_TURN = 0.002  # seconds, which the sockets of a turn are to take together


class _Queue:
    """The kernel's queue of sockets that have something, epoll's or kqueue's. Asked for few it keeps the others, and
    tells of them before it comes to the same ones again."""

    def __init__(self, kernels: Any) -> None:
        self._kernels = kernels
        self.most = 1

    def poll(self, timeout: float, most: int) -> Any:
        return self._kernels.poll(timeout, min(most, self.most))

    def control(self, changes: Any, most: int, timeout: float | None = None) -> Any:
        return self._kernels.control(changes, min(most, self.most), timeout)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kernels, name)


class Turns(selectors.DefaultSelector):
    """A selector that tells the loop of as many sockets at once as can be served within 2 ms, going by what the last
    ones took by `clock`; and that knows whether the loop has something to do, or waits for something to happen."""

    _selector: Any  # the standard library's own name; it has no other door to how many it asks for

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        super().__init__()
        self._queue = self._selector = _Queue(self._selector)
        self._clock = clock
        self._began = 0.0
        self._told = 0
        self._under_way = False
        self._is_awaited = False
        self._over = threading.Event()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        may_be_more = self._told >= self._queue.most
        if self._told:
            fit = int(self._told * _TURN / max(self._clock() - self._began, 1e-6))
            # Cheap sockets and dear ones follow one another: a cheap turn must not make the next one long.
            self._queue.most = max(1, min(fit, self._queue.most * 2))
        ready = super().select(0) if may_be_more and timeout != 0 else []
        if not ready:
            if timeout != 0:  # else the loop has more to do, and only looks whether something else has come
                self._under_way = False
                if self._is_awaited:
                    self._over.set()
            ready = super().select(timeout)
            self._under_way = True
        self._told = len(ready)
        self._began = self._clock()
        return ready

    def await_rest(self, seconds: float) -> bool:
        """For one thread that is not the loop's: returns once the loop waits, True, or when that time is over, False.

        A look again and again would cost the loop as much as the work for which it is kept waiting.
        """
        self._over.clear()
        self._is_awaited = True
        try:
            return not self._under_way or self._over.wait(seconds)
        finally:
            self._is_awaited = False

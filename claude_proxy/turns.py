"""The event loop's turns, as its selector sees them: another thread can wait until none is under way."""

import selectors
import threading


class Turns(selectors.DefaultSelector):
    """A selector that knows whether the loop has something to do, or waits for something to happen."""

    def __init__(self) -> None:
        super().__init__()
        self._under_way = False
        self._is_awaited = False
        self._over = threading.Event()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout != 0:  # else the loop has more to do, and only looks whether something else has come
            self._under_way = False
            if self._is_awaited:
                self._over.set()
        ready = super().select(timeout)
        self._under_way = True
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

"""The event loop's turns, as its selector sees them: other threads can see whether one is under way."""

import selectors


class Turns(selectors.DefaultSelector):
    """A selector that says whether the loop has something to do, or waits for something to happen."""

    under_way = False

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # With a timeout of 0 the loop has more to do, and only looks whether something else has come.
        self.under_way = timeout == 0
        ready = super().select(timeout)
        self.under_way = True
        return ready

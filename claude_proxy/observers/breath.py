"""How a thread works beside the event loop without keeping it waiting.

One thread at a time has Python's interpreter. The loop lets go of it with each call of the system, several times in a
request; a thread that has work takes it in that moment, and the loop gets it back when that thread lets go. So the
thread works in slices of a third of a millisecond, and begins none while the loop has something to do: a request
meets one slice at most where it comes in, and none on its way.
"""

import time
from collections.abc import Callable

_SLICE = 0.0003  # seconds that the thread works before it lets others have the interpreter
_BREATH = 0.00005
_REST = 0.0002  # seconds between two looks at whether the loop still works
_PATIENCE = 0.005  # seconds, after which a slice is due even beside a loop that never rests


class Breath:
    """Called between small pieces of work; sleeps where a slice is over, and as long as `others_first` says."""

    def __init__(
        self,
        others_first: Callable[[], bool],
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._others_first = others_first
        self._clock = clock
        self._sleep = sleep
        self._until = 0.0

    def __call__(self) -> None:
        if self._clock() < self._until:
            return
        self._sleep(_BREATH)
        due = self._clock() + _PATIENCE
        while self._others_first() and self._clock() < due:
            self._sleep(_REST)
        self._until = self._clock() + _SLICE

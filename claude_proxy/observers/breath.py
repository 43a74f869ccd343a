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
_PATIENCE = 0.005  # seconds, after which a slice is due even beside a loop that never rests


class Breath:
    """Called between small pieces of work. Where a slice is over it sleeps for a moment, and then until `give_way`
    returns, which is told for how many seconds at most."""

    def __init__(
        self,
        give_way: Callable[[float], object],
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._give_way = give_way
        self._clock = clock
        self._sleep = sleep
        self._until = 0.0

    def __call__(self) -> None:
        if self._clock() < self._until:
            return
        self._sleep(_BREATH)
        self._give_way(_PATIENCE)
        self._until = self._clock() + _SLICE

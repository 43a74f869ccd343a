"""Log lines written on a thread of their own: who reads them may be slow, and requests must not wait for that."""

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable

MOST_WAITING = 10_000
"""Lines that may wait to be written; what comes beyond that is dropped and counted."""

_GATHERED = 0.05  # seconds for which lines are gathered into one write
_LAST_WAIT = 1.0  # seconds for the last lines, at the end


class LogWriter(logging.Handler):
    """Formats a record at once and hands the line over; many lines become one write.

    A reader that has gone costs the lines and nothing else. Lines that were dropped are told of by one more line.
    """

    def __init__(self, write: Callable[[memoryview], int], most_waiting: int = MOST_WAITING) -> None:
        """`write` takes bytes and says how many it took, as `os.write` does."""
        super().__init__()
        self._write = write
        self._most_waiting = most_waiting
        self._lines: deque[str] = deque()
        self._dropped = 0
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        if len(self._lines) >= self._most_waiting:
            self._dropped += 1
            return
        self._lines.append(self.format(record))
        if not self._wake.is_set():
            self._wake.set()

    def close(self) -> None:
        """Writes what is left, waiting a second at most."""
        self._closing.set()
        self._wake.set()
        self._thread.join(_LAST_WAIT)
        super().close()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.wait()
            # A thread that woke for each line would take the interpreter from requests as often.
            self._closing.wait(_GATHERED)
            self._wake.clear()  # before the lines are taken: who comes with one afterwards wakes it again
            self._write_all()
        self._write_all()

    def _write_all(self) -> None:
        batch = [self._lines.popleft() for _ in range(len(self._lines))]
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            batch.append(f"level=warning event=log_lines_dropped count={dropped}")
        if batch:
            left = memoryview(("\n".join(batch) + "\n").encode("utf-8", "replace"))
            with contextlib.suppress(OSError):  # nobody reads any more: there is no place to say so
                while left:
                    left = left[self._write(left) :]

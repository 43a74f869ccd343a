"""A read that may block for ever, on a thread of its own, with a limit to the patience of who waits for it.

Not `asyncio.to_thread`: a thread of the default executor is joined at exit, so a keychain that asks a question
nobody answers would keep the daemon from ending. Neither keyring nor the libraries below it have a time limit.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Generic, NoReturn, TypeVar

T = TypeVar("T")


class ReadTimedOut(Exception):
    """The limit passed; the read itself may still be waiting."""


_MOST_THREADS = 4
"""Reads that hang at once; each may have opened a dialog of the keychain."""


class BlockingRead(Generic[T]):
    """Runs one blocking function, once at a time.

    Who comes while a read is under way waits for that same read: each read of a locked keychain opens one more
    dialog. A read that has outlived the limit may hang for good (a dialog that was closed unanswered), so the
    next caller begins another, up to a bound.
    """

    def __init__(self, read: Callable[[], T], timeout: float) -> None:
        self._read = read
        self._timeout = timeout
        self._running: asyncio.Future[T] | None = None
        self._overdue = False
        self._threads = 0
        self.count = 0
        """How many reads were begun."""

    async def __call__(self) -> T:
        """The function's result; raises what it raises, or ReadTimedOut after `timeout` seconds."""
        if self._running is None or (self._overdue and not self._running.done() and self._threads < _MOST_THREADS):
            self._running = self._start()
            self._overdue = False
        running = self._running
        done, _ = await asyncio.wait({running}, timeout=self._timeout)
        if not done:
            if self._running is running:
                self._overdue = True
            raise ReadTimedOut(f"no answer within {self._timeout:g} s")
        if self._running is running:
            self._running = None
        return running.result()

    def _start(self) -> "asyncio.Future[T]":
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        # Nobody may be waiting any more when it fails; that is no error of its own.
        future.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        self.count += 1
        self._threads += 1

        def settle(outcome: Callable[[], T]) -> None:
            self._threads -= 1
            try:
                future.set_result(outcome())
            except Exception as error:
                future.set_exception(error)

        def work() -> None:
            outcome: Callable[[], T]
            try:
                outcome = _giving(self._read())
            except Exception as error:
                outcome = _failing(error)
            with contextlib.suppress(RuntimeError):  # the loop has closed: the daemon ended while the read hung
                loop.call_soon_threadsafe(settle, outcome)

        threading.Thread(target=work, name="credential read", daemon=True).start()
        return future


def _giving(result: T) -> Callable[[], T]:
    """Not a `partial`: asyncio tells of a slow callback with its arguments, and this may be a secret."""
    return lambda: result


def _failing(error: Exception) -> Callable[[], NoReturn]:
    def fail() -> NoReturn:
        raise error

    return fail

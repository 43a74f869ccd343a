"""The ledger asked off the event loop: by a few threads of its own, and with a limit to everybody's patience."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from typing import NoReturn, TypeVar

from aiohttp.web_response import Response

from claude_proxy.ledger.store import LedgerBusy, LedgerError, LedgerReader
from claude_proxy.logline import say
from claude_proxy.web.errors import SERVER, Refused
from claude_proxy.wire.json_parts import written

_log = logging.getLogger(__name__)

T = TypeVar("T")
Outcome = Callable[[], T]

_AT_ONCE = 2
_MOST_WAITING = 32
_PATIENCE_TO_CLEAR = 120.0


class LedgerReads:
    """Puts questions to the ledger. `open_reader` is None where nothing is recorded; `clear` forgets everything and
    says how many records there were; `patience` is in seconds.

    The threads are not those of the default executor: those are joined at exit, and a read of a dead disk would keep
    the daemon from ending.
    """

    def __init__(
        self,
        open_reader: Callable[[], LedgerReader] | None,
        clear: Callable[[], int] = int,
        *,
        patience: float = 10.0,
    ) -> None:
        self._open_reader = open_reader
        self._clear = clear
        self._patience = patience
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def ask(self, question: Callable[[LedgerReader], T], patience: float | None = None) -> T:
        """The answer to a question that is put on another thread. Raises what it raises, and Refused (404) where
        nothing is recorded, (503) where the ledger cannot answer now."""
        if self._open_reader is None:
            message = "nothing is recorded here: ledger.enabled is false in the configuration"
            raise Refused(404, "no_ledger", message)
        if self._waiting >= _MOST_WAITING:
            raise _unavailable(f"{_MOST_WAITING} questions to the ledger are waiting already")
        self._waiting += 1
        seconds = self._patience if patience is None else patience
        try:
            async with asyncio.timeout(seconds):
                await self._places.acquire()
                return await self._put(self._open_reader, question)
        except TimeoutError:
            raise _unavailable(f"the ledger has not answered within {seconds:g} s; is its disk slow?") from None
        except LedgerBusy as error:
            raise _unavailable(str(error)) from None
        except LedgerError as error:
            say(_log, logging.WARNING, "ledger_not_readable", cause=str(error))
            raise _unavailable(str(error)) from None
        finally:
            self._waiting -= 1

    async def answer(self, question: Callable[[LedgerReader], object]) -> Response:
        """The answer to a question as JSON, which is written on that thread too: it may be long."""
        return json_answer(await self.ask(lambda reader: written(question(reader))))

    async def clear(self) -> int:
        """Forgets everything, which takes a while where there is much; the number of records that there were."""
        return await self.ask(lambda _: self._clear(), _PATIENCE_TO_CLEAR)

    def _put(
        self, open_reader: Callable[[], LedgerReader], question: Callable[[LedgerReader], T]
    ) -> "asyncio.Future[T]":
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def settle(outcome: Outcome[T]) -> None:
            self._places.release()  # not before: a read that hangs keeps its place, so that threads do not pile up
            if future.done():
                return  # nobody waits any more
            try:
                future.set_result(outcome())
            except Exception as error:
                future.set_exception(error)

        def work() -> None:
            outcome: Outcome[T]
            try:
                with contextlib.closing(open_reader()) as reader:
                    outcome = _giving(question(reader))
            except Exception as error:
                outcome = _failing(error)
            with contextlib.suppress(RuntimeError):  # the loop has closed: the daemon ended meanwhile
                loop.call_soon_threadsafe(settle, outcome)

        threading.Thread(target=work, name="ledger read", daemon=True).start()
        return future


def json_answer(body: bytes) -> Response:
    """JSON as an answer of the daemon's own, never cached."""
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "Server": SERVER,
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(body=body, headers=headers)


def _unavailable(message: str) -> Refused:
    return Refused(503, "ledger", message, headers=(("retry-after", "1"),))


def _giving(result: T) -> Outcome[T]:
    return lambda: result


def _failing(error: Exception) -> Callable[[], NoReturn]:
    def fail() -> NoReturn:
        raise error

    return fail

"""Writes exchanges into the ledger: a bounded queue, one thread behind it, and nothing of it on the event loop.

What observes hands over a reference and goes on. The thread does all the rest, and breathes between two pieces of it:
it works while the event loop waits, not while somebody waits for the event loop.

A fault of the disk keeps the thread waiting and nobody else: what it has in hand it tries again, what comes
meanwhile is queued up to the bound, and what is beyond that is dropped, counted, and told once a minute.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from claude_proxy.exchange import Exchange, Observer
from claude_proxy.ledger.cost import Cost
from claude_proxy.ledger.settings import LedgerSettings
from claude_proxy.ledger.store import Change, LedgerBusy, LedgerCorrupt, LedgerError, LedgerStore
from claude_proxy.logline import say
from claude_proxy.observers.breath import Breath
from claude_proxy.observers.recording import Begun, Recording

_log = logging.getLogger(__name__)

_BATCH_RECORDS = 200
_BATCH_BYTES = 8 << 20
_FIRST_WAIT, _LONGEST_WAIT = 0.25, 5.0  # seconds, between two tries while the disk has a fault
_PRUNE_EVERY = 60.0  # seconds, after a look that has found nothing to let go
_TELL_EVERY = 60.0
_PAUSE = 0.05  # seconds between two steps of retention
_LAST_WAITS = 0.1  # seconds between two tries when we are to stop
_CLOSE_WITHIN = 5.0  # seconds that an exit waits for the disk
_HURRIES = 4  # where more than this part of the queue's bounds waits, the thread no longer lets the loop go first


class _Item(msgspec.Struct, frozen=True):
    """An exchange that has begun, or one that has ended and what it cost; `size` is about what it holds in memory, in
    bytes."""

    exchange: Exchange
    size: int
    cost: Cost | None = None


class RecorderState(NamedTuple):
    """What a scrape shows: counts since the start, and what waits now."""

    written: int
    dropped: int
    failures: int
    waiting: int
    waiting_bytes: int


class Recorder(Observer):
    """An observer. `open_store` opens the ledger, `set_aside` renames a damaged one and says what to; both are called
    in the thread alone. `await_rest` returns once the event loop has nothing to do, or after so many seconds.

    `start` it within the process that serves; `close` writes what is left, as far as the disk lets it.
    """

    def __init__(
        self,
        settings: LedgerSettings,
        recording: Recording,
        open_store: Callable[[Callable[[], None]], LedgerStore],
        set_aside: Callable[[], object],
        *,
        clock: Callable[[], float] = time.time,
        await_rest: Callable[[float], object] = lambda _: None,
    ) -> None:
        self.settings = settings
        """Swapped by a reload: bodies, retention and flush interval hold from then on."""
        self._recording = recording
        self._open_store = open_store
        self._set_aside = set_aside
        self._clock = clock
        self._await_rest = await_rest
        self._queue: deque[_Item] = deque()
        # Each of these is counted by one thread alone, so that none needs a lock.
        self._put = self._put_bytes = self._taken = self._taken_bytes = 0
        self._written = self._dropped = self._lost = self._failures = 0
        self._news = threading.Event()
        self._enough = threading.Event()
        self._stopping = threading.Event()
        self._give_up_at = 0.0
        self._last_told: dict[str, float] = {}
        self._store: LedgerStore | None = None
        self._begun: dict[str, Begun] = {}
        self._ends_dropped: deque[str] = deque()
        self._breathe = Breath(self._give_way)
        self._next_prune = 0.0
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self, within: float = _CLOSE_WITHIN) -> None:
        """Returns when all is written, or when that time is over, in seconds. Never to be called on the event loop."""
        self._give_up_at = time.monotonic() + within
        self._stopping.set()
        self._enough.set()
        self._news.set()
        self._thread.join(within + 1.0)
        if left := self._waiting:
            say(_log, logging.ERROR, "ledger_records_lost", records=left, cause="the ledger could not be written")

    @property
    def state(self) -> RecorderState:
        return RecorderState(
            self._written,
            self._dropped + self._lost,
            self._failures,
            self._waiting,
            self._waiting_bytes,
        )

    @property
    def _waiting(self) -> int:
        return self._put - self._taken

    @property
    def _waiting_bytes(self) -> int:
        return self._put_bytes - self._taken_bytes

    # --- on the event loop -------------------------------------------------------------------------------

    def began(self, exchange: Exchange) -> None:
        self._hand_over(_Item(exchange, len(exchange.request.body)))

    def closed(self, exchange: Exchange) -> None:
        size = len(exchange.request.body)
        if exchange.transcript is not None:
            size += min(exchange.transcript.size, exchange.transcript.limit)
        self._hand_over(_Item(exchange, size, self._recording.cost(exchange)))

    def _hand_over(self, item: _Item) -> None:
        full = self._waiting >= self.settings.queue_records
        if full or (self._waiting and self._waiting_bytes + item.size > self.settings.queue_size):
            self._dropped += 1
            if item.cost is not None:
                self._ends_dropped.append(item.exchange.id)
            self._tell(
                "ledger_records_dropped",
                dropped=self._dropped,
                cause="the disk cannot keep up, or has a fault that the log tells of",
                remedy="ledger.queue_records and ledger.queue_size bound what waits",
            )
            return
        self._put += 1
        self._put_bytes += item.size
        self._queue.append(item)
        if not self._news.is_set():
            self._news.set()
        if self._waiting_bytes > _BATCH_BYTES and not self._enough.is_set():
            self._enough.set()

    def _tell(self, event: str, **fields: object) -> None:
        """Once a minute."""
        now = time.monotonic()
        if now - self._last_told.get(event, -_TELL_EVERY) >= _TELL_EVERY:
            self._last_told[event] = now
            say(_log, logging.ERROR, event, **fields)

    # --- in the thread -----------------------------------------------------------------------------------

    def _give_way(self, seconds: float) -> None:
        """To the loop; not where so much waits that the queue could overflow: one that never rests would never let us
        write."""
        if (
            self._waiting * _HURRIES < self.settings.queue_records
            and self._waiting_bytes * _HURRIES < self.settings.queue_size
            and not self._stopping.is_set()
        ):
            self._await_rest(seconds)

    def _run(self) -> None:
        try:
            if self.settings.path.exists():
                self._trying(self._opened)
            while not self._stopping.is_set():
                self._news.wait(max(0.0, self._next_prune - time.monotonic()))
                self._news.clear()
                if self._queue:
                    # What comes in this time goes into the same batch, unless it would hold much memory until then.
                    self._enough.wait(self.settings.flush_interval)
                    self._write_all()
                    self._enough.clear()
                    if self._waiting_bytes > _BATCH_BYTES or self._stopping.is_set():
                        self._enough.set()
                self._let_go()
                if self._queue:
                    self._news.set()
            self._write_all()
            self._reopen()
        except Exception:
            _log.exception("the ledger's thread has ended because of a fault in claude-proxy")

    def _write_all(self) -> None:
        """All that waits now. What comes meanwhile is gathered in its turn: each batch is a sync of the disk."""
        until = self._put
        while self._taken < until and self._write_batch():
            while self._ends_dropped:
                self._begun.pop(self._ends_dropped.popleft(), None)

    def _opened(self) -> LedgerStore:
        if self._store is None:
            self._store = self._open_store(self._breathe)
        return self._store

    def _write_batch(self) -> bool:
        """Takes a batch off the queue when it is written, or given up; False where we are to stop before either."""
        items = self._batch()
        ended = {item.exchange.id for item in items if item.cost is not None}
        # What has ended meanwhile is written once, whole.
        changes = [
            self._change(item) if item.cost is not None or item.exchange.id not in ended else None for item in items
        ]
        if self._trying(lambda: self._write([change for change in changes if change is not None])):
            told = zip(items, changes, strict=True)
            self._written += sum(item.cost is not None for item, change in told if change is not None)
        elif self._stopping.is_set():
            return False
        else:
            self._lost += sum(change is not None for change in changes)
            for item in items:
                self._begun.pop(item.exchange.id, None)
        for item in items:
            self._queue.popleft()
            self._taken_bytes += item.size
            self._taken += 1
            if item.cost is not None:
                self._begun.pop(item.exchange.id, None)
        return True

    def _batch(self) -> list[_Item]:
        """The first of the queue, which stay there until they are written."""
        items: list[_Item] = []
        size = 0
        for index in range(min(len(self._queue), _BATCH_RECORDS)):
            item = self._queue[index]
            size += item.size
            if items and size > _BATCH_BYTES:
                break
            items.append(item)
        return items

    def _change(self, item: _Item) -> Change | None:
        """None where a fault of ours keeps it from being told; its words may quote a body, and are not logged."""
        self._breathe()
        exchange = item.exchange
        try:
            begun = self._begun.get(exchange.id)
            was_written = begun is not None
            if begun is None:
                kept = self.settings
                begun = self._recording.begun(exchange, bodies=kept.bodies, max_request=kept.max_request)
                self._breathe()
            if item.cost is not None:
                return self._recording.whole(exchange, begun, item.cost, was_written=was_written)
            self._begun[exchange.id] = begun
            return self._recording.beginning(exchange, begun)
        except Exception as error:
            self._lost += 1
            say(_log, logging.ERROR, "ledger_record_failed", id=exchange.id, cause=type(error).__name__)
            return None

    def _write(self, changes: list[Change]) -> None:
        store = self._opened()
        try:
            store.write(changes)
        except LedgerError as error:
            if isinstance(error, (LedgerBusy, LedgerCorrupt)) or len(changes) == 1:
                raise
            # One of them cannot be written: the others can.
            for change in changes:
                try:
                    store.write([change])
                except (LedgerBusy, LedgerCorrupt):
                    raise
                except LedgerError as its_own:
                    self._lost += 1
                    say(_log, logging.ERROR, "ledger_record_failed", id=change.record.id, cause=str(its_own))

    def _trying(self, work: Callable[[], object]) -> bool:
        """Does it again while the disk has a fault; False where it cannot be done, or we are to stop."""
        wait, since = _FIRST_WAIT, None
        while True:
            try:
                work()
            except LedgerBusy as error:
                self._failures += 1
                self._tell("ledger_waits", cause=str(error), waiting=self._waiting)
                since = since or time.monotonic()
                self._reopen()
                if not self._may_wait(wait):
                    return False
                wait = min(wait * 2, _LONGEST_WAIT)
            except LedgerCorrupt as error:
                self._failures += 1
                if not self._begin_anew(str(error)):
                    return False
            except LedgerError as error:
                self._failures += 1
                self._tell("ledger_unusable", cause=str(error))
                self._reopen()
                return False
            else:
                if since is not None:
                    say(_log, logging.INFO, "ledger_goes_on", after_s=time.monotonic() - since, waiting=self._waiting)
                return True

    def _may_wait(self, seconds: float) -> bool:
        """Waits before another try; False where we are to stop, and have tried long enough."""
        if self._stopping.wait(seconds):
            time.sleep(_LAST_WAITS)
        return not self._stopping.is_set() or time.monotonic() < self._give_up_at

    def _begin_anew(self, cause: str) -> bool:
        """Sets a damaged ledger aside."""
        self._reopen()
        try:
            aside = self._set_aside()
        except LedgerError as error:
            self._tell("ledger_unusable", cause=f"{cause}; it cannot be set aside: {error}")
            return False
        say(_log, logging.ERROR, "ledger_set_aside", cause=cause, file=str(aside), remedy="a new one is begun")
        # The new one has not the beginnings that the old one had.
        self._begun.clear()
        return True

    def _reopen(self) -> None:
        """The next work opens the file anew: another may lie there by then."""
        store, self._store = self._store, None
        if store is not None:
            try:
                store.close()
            except LedgerError as error:
                self._tell("ledger_unusable", cause=str(error))

    def _let_go(self) -> None:
        """One step of retention, where it is time for one."""
        if time.monotonic() < self._next_prune:
            return
        more = False
        if self._store is not None:
            try:
                more = self._store.prune(self.settings.retention, self._clock())
            except LedgerCorrupt as error:
                self._begin_anew(str(error))
            except LedgerError as error:
                self._failures += 1
                self._tell("ledger_waits", cause=str(error), waiting=self._waiting)
        self._next_prune = time.monotonic() + (_PAUSE if more else _PRUNE_EVERY)

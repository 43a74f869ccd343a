"""How much of the plan is left: the newest reading of each upstream, and a line in the log where a status changes.

A reading belongs to the login that the request was sent with. Where users of one gateway come with logins of their
own, the newest reading is of whoever asked last; it is not kept apart by login, since that would need the logins.

An answer replaces what the one before it said, and what it does not say is not known any more. Excepted are the
windows of single models, which only answers of that model state: they are kept until their reset, each with the
time at which it was read, else Haiku's next answer would hide that Fable's week is spent.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from claude_proxy.exchange import Attempt, Exchange, Observer
from claude_proxy.logline import say
from claude_proxy.wire.quota import WINDOWS_OF_ALL, Quota, Window

_log = logging.getLogger(__name__)

_ALLOWED = "allowed"
_MOST_NAMES = 16  # windows of one upstream that are kept, shown and told, for as long as the process lives


class Reading(msgspec.Struct, frozen=True):
    """What an upstream said last: `at` is Unix time in seconds, `monotonic` the same moment by the clock that ages are
    measured with. Each window stands with the Unix time at which it was read."""

    quota: Quota
    at: float
    monotonic: float
    windows: Mapping[str, tuple[Window, float]]


class _Memory(msgspec.Struct):
    """What has been seen of one upstream: the names of its windows, and the last status of each that was told."""

    names: set[str] = msgspec.field(default_factory=lambda: set(WINDOWS_OF_ALL))
    told: dict[str, tuple[str, float | None]] = msgspec.field(default_factory=dict)

    def knows(self, name: str) -> bool:
        """Whether there is room for this name, which is remembered if so."""
        if name not in self.names and len(self.names) < _MOST_NAMES:
            self.names.add(name)
        return name in self.names


class QuotaWatch(Observer):
    """Keeps the newest reading of each upstream. Told at the moment in which an answer's head came."""

    def __init__(
        self, *, clock: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._memories: dict[str, _Memory] = {}
        self.readings: dict[str, Reading] = {}

    def quota_read(self, exchange: Exchange, attempt: Attempt) -> None:
        quota, upstream = attempt.quota, attempt.upstream
        if quota is None:
            return
        if quota.malformed:
            fields = ",".join(quota.malformed)
            say(_log, logging.DEBUG, "quota_malformed", id=exchange.id, upstream=upstream, fields=fields)
        before = self.readings.get(upstream)
        is_news = before is None or quota != before.quota
        if is_news and quota.is_empty:
            return
        memory = self._memories.get(upstream)
        if memory is None:
            memory = self._memories[upstream] = _Memory()
        now = self._clock()
        windows = {name: (window, now) for name, window in quota.windows.items() if memory.knows(name)}
        if before is not None:
            for name, (window, at) in before.windows.items():
                if name not in WINDOWS_OF_ALL and window.reset is not None and window.reset > now:
                    windows.setdefault(name, (window, at))
        self.readings[upstream] = Reading(quota, now, self._monotonic(), windows)
        if is_news:
            _tell(upstream, quota, memory)

    def keep(self, upstreams: Iterable[str]) -> None:
        """Forgets what was read of all others: they are gone, or another API answers under that name."""
        kept = set(upstreams)
        self.readings = {name: reading for name, reading in self.readings.items() if name in kept}
        self._memories = {name: memory for name, memory in self._memories.items() if name in kept}

    def shown(self) -> dict[str, Any]:
        """The readings as `/health` shows them: by upstream, times in Unix seconds, None where nothing is known."""
        now = self._monotonic()
        return {upstream: _shown(reading, now - reading.monotonic) for upstream, reading in self.readings.items()}


def _shown(reading: Reading, age: float) -> dict[str, Any]:
    quota = reading.quota
    overage = quota.overage
    return {
        "status": quota.status,
        "representative_claim": quota.representative_claim,
        "resets_at": quota.reset,
        "read_at": round(reading.at, 3),
        "age_seconds": round(age, 1),
        "windows": {
            name: {**_shown_window(window), "read_at": round(at, 3)} for name, (window, at) in reading.windows.items()
        },
        "overage": None
        if overage is None
        else {
            **_shown_window(overage.window),
            "in_use": overage.in_use,
            "disabled_reason": overage.disabled_reason,
        },
        "fallback_percentage": quota.fallback_percentage,
        "other": dict(quota.other),
    }


def _shown_window(window: Window) -> dict[str, Any]:
    return {
        "status": window.status,
        "utilization": window.utilization,
        "resets_at": window.reset,
        "surpassed_threshold": window.surpassed_threshold,
    }


def _tell(upstream: str, quota: Quota, memory: _Memory) -> None:
    """A line for each status that is another than the one told last; that all is allowed is no news at first."""
    for name, window in quota.windows.items():
        if memory.knows(name):
            _tell_one(upstream, name, window, memory)
    whole = Window(quota.status, None, quota.reset)
    claim = quota.representative_claim
    if not quota.of_one_model:
        in_use = quota.overage.in_use if quota.overage else None
        _tell_one(upstream, "all", whole, memory, claim=claim, overage_in_use=in_use)
    elif claim is not None and quota.windows.keys() <= WINDOWS_OF_ALL and memory.knows(claim):
        # One model's own, as `seven_day_opus`, of which nothing else is stated; nor will another model's answer say
        # that it is allowed again. So its reset tells whether this is news.
        _tell_one(upstream, claim, whole, memory, anew_by_reset=True)
    # Else that window has told its own status, and the plan as a whole would seem to change with each model asked.


def _tell_one(
    upstream: str, name: str, window: Window, memory: _Memory, *, anew_by_reset: bool = False, **more: object
) -> None:
    if window.status is None:
        return  # not said, which is no change
    state = (window.status, window.reset if anew_by_reset else None)
    before = memory.told.get(name)
    memory.told[name] = state
    if state == before or (before is None and window.status == _ALLOWED):
        return
    say(
        _log,
        logging.INFO if window.status == _ALLOWED else logging.WARNING,
        "quota",
        upstream=upstream,
        window=name,
        status=window.status,
        was=before[0] if before else None,
        utilization=window.utilization,
        resets_at=window.reset,
        **more,
    )

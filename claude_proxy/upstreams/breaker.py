"""The circuit breaker of one upstream: closed, open, half-open.

Closed: everything passes; `failures` counted ones in a row open it. Open: nothing passes until the cooldown has
passed; each opening in a row doubles the cooldown, up to `max_cooldown`. A failure that says how long (a spent
quota window, `retry-after`) opens it for just that long. Then half-open: one probe passes; its success closes
the breaker, its failure opens it again. A probe that ends in neither (its client left) frees its place: an
admission is a `with` block, so that no end goes unnoticed.

A last resort passes even when it is open: where a route has no other target, the upstream's own words (which
window is spent, until when) serve the client better than a refusal of ours.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from claude_proxy.failures import AttemptFailed, BreakerEffect, Failure, FailureKind


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """`failures` in a row that open it; `cooldown` and `max_cooldown` in seconds."""

    failures: int = 5
    cooldown: float = 30.0
    max_cooldown: float = 3600.0


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitBreaker:
    """Says whether an upstream may be asked, and learns from each answer."""

    def __init__(
        self,
        upstream: str,
        settings: BreakerSettings,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._upstream = upstream
        self._settings = settings
        self._monotonic = monotonic
        self._clock = clock
        self._counted = 0
        self._openings = 0
        self._open_until: float | None = None
        self._probing = False
        self.reason = ""
        """Why it is open, in words; "" while it is closed."""

    @property
    def state(self) -> BreakerState:
        if self._open_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self._monotonic() < self._open_until else BreakerState.HALF_OPEN

    @property
    def retry_in(self) -> float:
        """Seconds until a probe may pass; 0 when one may pass now."""
        return 0.0 if self._open_until is None else max(0.0, self._open_until - self._monotonic())

    @property
    def admits(self) -> bool:
        """Whether a request would be let through now."""
        state = self.state
        return state is BreakerState.CLOSED or (state is BreakerState.HALF_OPEN and not self._probing)

    @contextmanager
    def admission(self, *, last_resort: bool = False) -> Iterator[None]:
        """One request's passage. Raises AttemptFailed (UNAVAILABLE) where it may not pass."""
        probe = self.state is not BreakerState.CLOSED
        if not self.admits and not last_resort:
            wait = self.retry_in
            raise AttemptFailed(
                Failure(
                    FailureKind.UNAVAILABLE,
                    f"{self._upstream} is left alone for {wait:.0f} s more: {self.reason}",
                    self._upstream,
                    retry_after=wait,
                )
            )
        mine = probe and not self._probing
        if mine:
            self._probing = True
        try:
            yield
        except AttemptFailed as failed:
            self.failed(failed.failure, late=not probe)
            raise
        else:
            if probe:
                self.reset()
        finally:
            if mine:
                self._probing = False

    def failed(self, failure: Failure, *, late: bool = True) -> None:
        """Takes note of a failure; most are no fault of the upstream's and change nothing.

        `late`: of a request that was let through while the breaker was closed. Where it is open by now, one
        outage was counted already; only a longer time that such a failure names still counts.
        """
        effect = failure.handling.breaker
        if late and self._open_until is not None:
            if effect is BreakerEffect.OPEN:
                self._open_until = max(self._open_until, self._monotonic() + self._named(failure))
        elif effect is BreakerEffect.COUNT:
            self._counted += 1
            if self._counted >= self._settings.failures or self._open_until is not None:
                self._open(self._doubled(), f"{self._counted} failures in a row, the last: {failure.message}")
        elif effect is BreakerEffect.OPEN:
            self._open(self._named(failure), failure.message)

    def ended_well(self) -> None:
        """An answer has come whole: failures are in a row no more. That one began well is not enough."""
        if self._open_until is None:
            self._counted = 0

    def _named(self, failure: Failure) -> float:
        """Seconds for which the failure itself asks."""
        if failure.spent_until is not None:
            return max(0.0, failure.spent_until - self._clock())
        if failure.retry_after is not None:
            return min(failure.retry_after, self._settings.max_cooldown)
        return self._doubled()

    def _doubled(self) -> float:
        return min(self._settings.cooldown * 2.0 ** min(self._openings, 20), self._settings.max_cooldown)

    def _open(self, seconds: float, reason: str) -> None:
        self._openings += 1
        self._open_until = max(self._open_until or 0.0, self._monotonic() + seconds)
        self.reason = reason

    def reset(self) -> None:
        """Closes it: a probe succeeded, or its reason has gone."""
        self._counted = 0
        self._openings = 0
        self._open_until = None
        self.reason = ""

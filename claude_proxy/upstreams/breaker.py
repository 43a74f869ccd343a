"""One circuit breaker: closed, open, half-open.

Closed: everything passes; `failures` counted ones in a row open it. Open: nothing passes until the cooldown has
passed; each opening in a row doubles the cooldown, up to `max_cooldown`. A failure that says how long (a spent
quota window, `retry-after`) opens it for just that long, a transient rate limit for one plain cooldown, and a
refused credential for good: another credential has another breaker (`breakers.py`). Then half-open: one probe
passes; its success closes the breaker, its failure opens it again. A probe that ends in neither (its client left)
frees its place.

What a probe closed is on probation: until an answer has come whole, the next counted failure opens it again.

A last resort passes even when it is open: where a route has no other target, the upstream's own words (which
window is spent, until when) serve the client better than a refusal of ours. Not with a refused credential, whose
refusal we know.
"""

import logging
import math
import time
from collections.abc import Callable
from enum import StrEnum

import msgspec

from claude_proxy.failures import AttemptFailed, BreakerEffect, Failure, FailureKind
from claude_proxy.logline import say

_log = logging.getLogger(__name__)


class BreakerSettings(msgspec.Struct, frozen=True):
    """`failures` in a row that open it; `cooldown` and `max_cooldown` in seconds."""

    failures: int = 5
    cooldown: float = 30.0
    max_cooldown: float = 3600.0


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Admission:
    """One request's passage through a breaker: a context, so that no end goes unnoticed."""

    __slots__ = ("_breaker", "_mine", "_probe")

    def __init__(self, breaker: "CircuitBreaker") -> None:
        self._breaker = breaker
        self._probe = self._mine = False

    def __enter__(self) -> None:
        breaker = self._breaker
        if breaker.open_until is not None:
            self._probe = True
            self._mine = not breaker.probing
            breaker.probing = True

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        breaker = self._breaker
        if self._mine:
            breaker.probing = False
        if isinstance(error, AttemptFailed):
            breaker.failed(error.failure, late=not self._probe)
        elif error is None and self._probe:
            breaker.probe_passed()


class CircuitBreaker:
    """Says whether requests may pass, and learns from what becomes of them."""

    def __init__(
        self,
        name: str,
        settings: BreakerSettings,
        *,
        concerns: Callable[[Failure], bool] = lambda _: True,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._name = name
        self._settings = settings
        self._concerns = concerns
        self._monotonic = monotonic
        self._clock = clock
        self.counted = 0
        """How many failures in a row were counted."""
        self._openings = 0
        self.open_until: float | None = None
        """When a probe may pass, of the monotonic clock; None while it is closed."""
        self.probing = False
        """Whether its one probe is on its way."""
        self.reason = ""
        """Why it is open, in words; "" while it is closed."""
        self.cause: FailureKind | None = None
        """Which kind of failure opened it; None while it is closed."""

    @property
    def state(self) -> BreakerState:
        if self.open_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self._monotonic() < self.open_until else BreakerState.HALF_OPEN

    @property
    def retry_in(self) -> float:
        """Seconds until a probe may pass; 0 when one may pass now, infinite where time alone changes nothing."""
        return 0.0 if self.open_until is None else max(0.0, self.open_until - self._monotonic())

    @property
    def dead(self) -> bool:
        """Whether it is open for good."""
        return self.open_until == math.inf

    @property
    def untouched(self) -> bool:
        """Whether it knows of nothing: a new one would decide alike."""
        return self.open_until is None and self.counted == 0

    def admits(self, *, probe: bool = True) -> bool:
        """Whether a request would be let through now; one that cannot be a `probe` only while it is closed."""
        state = self.state
        return state is BreakerState.CLOSED or (probe and state is BreakerState.HALF_OPEN and not self.probing)

    def check(self, *, last_resort: bool = False, probe: bool = True) -> None:
        """Raises AttemptFailed where a request would not pass now: UNAVAILABLE, or NO_CREDENTIAL for a dead one."""
        if self.open_until is None or self.admits(probe=probe) or (last_resort and not self.dead):
            return
        if self.dead:
            raise AttemptFailed(Failure(FailureKind.NO_CREDENTIAL, self.reason, self._name))
        wait = self.retry_in
        message = f"{self._name} is left alone for {wait:.0f} s more: {self.reason}"
        raise AttemptFailed(Failure(FailureKind.UNAVAILABLE, message, self._name, retry_after=wait))

    def admission(self, *, last_resort: bool = False) -> "Admission":
        """One request's passage, from which it learns. Raises AttemptFailed where it may not pass, as `check`."""
        self.check(last_resort=last_resort)
        return Admission(self)

    def failed(self, failure: Failure, *, late: bool = True) -> None:
        """Takes note of a failure, where it concerns this breaker; most are no fault of the upstream's at all.

        `late`: of a request that was let through while the breaker was closed. Where it is open by now, one
        outage was counted already; only a longer time that such a failure names still counts.
        """
        if not self._concerns(failure):
            return
        effect = failure.handling.breaker
        if late and self.open_until is not None:
            if effect is BreakerEffect.OPEN and self._named(failure) > self.retry_in:
                self._open(self._named(failure), failure)
        elif effect is BreakerEffect.COUNT:
            self.counted += 1
            if self.counted >= self._settings.failures or self.open_until is not None:
                self._openings += 1
                self._open(self._doubled(), failure)
        elif effect is BreakerEffect.OPEN:
            self._openings += 1
            self._open(self._named(failure), failure)

    def probe_passed(self) -> None:
        """A request that was let through while it was not closed has been answered."""
        if not self.dead:  # a credential may be refused while an earlier request with it is answered
            self._close(counted=self._settings.failures - 1)

    def ended_well(self) -> None:
        """An answer has come whole: failures are in a row no more. That one began well is not enough."""
        if self.open_until is None:
            self.counted = 0
            self._openings = 0

    def _named(self, failure: Failure) -> float:
        """Seconds for which the failure itself asks."""
        if failure.kind is FailureKind.AUTH:
            return math.inf
        if failure.spent_until is not None:
            return max(0.0, failure.spent_until - self._clock())
        if failure.retry_after is not None:
            return min(failure.retry_after, self._settings.max_cooldown)
        if failure.is_moments_limit:
            return self._settings.cooldown  # however often it is met in a row
        return self._doubled()

    def _doubled(self) -> float:
        return min(self._settings.cooldown * 2.0 ** min(self._openings - 1, 20), self._settings.max_cooldown)

    def _open(self, seconds: float, failure: Failure) -> None:
        self.open_until = max(self.open_until or 0.0, self._monotonic() + seconds)
        self.reason = failure.message
        if self.dead:
            self.reason += "; it is not used again until another is in its place"
        elif self.counted > 1:
            self.reason = f"{self.counted} failures in a row, the last: {failure.message}"
        self.cause = failure.kind
        say(
            _log,
            logging.WARNING,
            "breaker_open",
            upstream=self._name,
            kind=failure.kind.value,
            for_s=round(self.retry_in) if math.isfinite(self.retry_in) else "until_replaced",
            reason=self.reason,
        )

    def _close(self, counted: int) -> None:
        self.counted = counted
        self.open_until = None
        self.reason = ""
        self.cause = None
        say(_log, logging.INFO, "breaker_closed", upstream=self._name)

"""A circuit breaker under watch: clocks that stand still, and requests that pass, fail, or are under way."""

from collections.abc import Callable
from contextlib import ExitStack

import pytest

from claude_proxy.failures import HANDLING, AttemptFailed, BreakerEffect, Failure, FailureKind
from claude_proxy.upstreams.breaker import BreakerSettings, BreakerState, CircuitBreaker
from tests.frozen_clock import FrozenClock

COUNTED = sorted((kind for kind in FailureKind if HANDLING[kind].breaker is BreakerEffect.COUNT), key=str)
IGNORED = sorted((kind for kind in FailureKind if HANDLING[kind].breaker is BreakerEffect.IGNORE), key=str)
OPENING = sorted((kind for kind in FailureKind if HANDLING[kind].breaker is BreakerEffect.OPEN), key=str)

FAILURES, COOLDOWN, MAX_COOLDOWN = 3, 30.0, 200.0


def failure(
    kind: FailureKind = FailureKind.CONNECT, *, retry_after: float | None = None, spent_until: float | None = None
) -> Failure:
    return Failure(kind, f"{kind.value} happened", "claude", retry_after=retry_after, spent_until=spent_until)


class Watched:
    """A breaker and the clocks that it goes by."""

    def __init__(self, concerns: Callable[[Failure], bool] = lambda _: True) -> None:
        self.clock = FrozenClock()
        self.monotonic = FrozenClock(5000.0)
        self.breaker = CircuitBreaker(
            "claude",
            BreakerSettings(FAILURES, COOLDOWN, MAX_COOLDOWN),
            concerns=concerns,
            monotonic=self.monotonic,
            clock=self.clock,
        )

    def state(self) -> BreakerState:
        return self.breaker.state

    def succeeds(self, *, last_resort: bool = False) -> None:
        """A request that is let through and answered to its end."""
        self.answers(last_resort=last_resort)
        self.breaker.ended_well()

    def answers(self, *, last_resort: bool = False) -> None:
        """A request that is let through and whose answer has begun."""
        with self.breaker.admission(last_resort=last_resort):
            pass

    def fails(self, cause: Failure | None = None, *, last_resort: bool = False) -> None:
        """A request that is let through and fails."""
        cause = cause or failure()
        with pytest.raises(AttemptFailed) as raised, self.breaker.admission(last_resort=last_resort):
            raise AttemptFailed(cause)
        assert raised.value.failure is cause, "it was not let through"

    def refuses(self) -> Failure:
        """A request that is not let through; the failure that says so."""
        with pytest.raises(AttemptFailed) as raised, self.breaker.admission():
            raise AssertionError("it was let through")
        assert raised.value.failure.kind is FailureKind.UNAVAILABLE
        return raised.value.failure

    def open(self) -> None:
        for _ in range(FAILURES):
            self.fails()

    def begin(self, *, last_resort: bool = False) -> ExitStack:
        """A request that is let through and still under way."""
        with ExitStack() as stack:
            stack.enter_context(self.breaker.admission(last_resort=last_resort))
            return stack.pop_all()


def end(under_way: ExitStack, cause: Failure | None = None) -> None:
    """The end of a request that `begin` began: answered, or failed."""
    if cause is None:
        under_way.close()
        return
    with pytest.raises(AttemptFailed), under_way:
        raise AttemptFailed(cause)

"""The circuit breaker: any sequence of events against a model, with clocks that stand still."""

import asyncio
from contextlib import ExitStack

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from claude_proxy.failures import AttemptFailed, FailureKind
from claude_proxy.upstreams.breaker import BreakerState, CircuitBreaker
from tests.upstreams.watched_breaker import COUNTED, IGNORED, MAX_COOLDOWN, Watched, end, failure


class BreakerMachine(RuleBasedStateMachine):
    """Requests begin, end in every way and overlap, while time goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.watched = Watched()
        self.under_way: list[tuple[ExitStack, bool, bool]] = []
        """Each with whether it is the probe, and whether it came in while the breaker was closed."""

    @property
    def breaker(self) -> CircuitBreaker:
        return self.watched.breaker

    @property
    def probes(self) -> int:
        return sum(probe for _, probe, _ in self.under_way)

    @rule(last_resort=st.booleans())
    def begin(self, last_resort: bool) -> None:
        state, admits, probes = self.breaker.state, self.breaker.admits(), self.probes
        if self.breaker.dead:
            with pytest.raises(AttemptFailed) as refused, self.breaker.admission(last_resort=last_resort):
                raise AssertionError("it was let through")
            assert "not used again" in refused.value.failure.message
            return
        if not admits and not last_resort:
            assert self.watched.refuses().retry_after == self.breaker.retry_in
            return
        closed = state is BreakerState.CLOSED
        self.under_way.append((self.watched.begin(last_resort=last_resort), not closed and probes == 0, closed))

    def _take(self, number: int) -> tuple[ExitStack, bool, bool]:
        return self.under_way.pop(number % len(self.under_way))

    @precondition(lambda self: self.under_way)
    @rule(number=st.integers(0, 9))
    def succeed(self, number: int) -> None:
        one, _, came_in_closed = self._take(number)
        before, dead = self.breaker.state, self.breaker.dead
        end(one)
        if dead:
            assert self.breaker.dead
        elif not came_in_closed or before is BreakerState.CLOSED:
            assert self.breaker.state is BreakerState.CLOSED
        else:
            assert self.breaker.state is before

    @precondition(lambda self: self.under_way)
    @rule(number=st.integers(0, 9), kind=st.sampled_from(COUNTED))
    def fail(self, number: int, kind: FailureKind) -> None:
        one, _, came_in_closed = self._take(number)
        before, wait = self.breaker.state, self.breaker.retry_in
        end(one, failure(kind))
        if before is BreakerState.CLOSED:
            return
        if came_in_closed:
            assert self.breaker.retry_in == wait
        else:
            assert self.breaker.state is BreakerState.OPEN
            assert self.breaker.retry_in >= wait

    @precondition(lambda self: self.under_way)
    @rule(number=st.integers(0, 9), seconds=st.integers(0, 1000))
    def meet_a_limit(self, number: int, seconds: int) -> None:
        one, _, _ = self._take(number)
        end(one, failure(FailureKind.RATE_LIMIT, retry_after=seconds))
        assert self.breaker.state is not BreakerState.CLOSED

    @precondition(lambda self: self.under_way)
    @rule(number=st.integers(0, 9), kind=st.sampled_from(IGNORED))
    def end_without_a_verdict(self, number: int, kind: FailureKind) -> None:
        one, _, _ = self._take(number)
        before = self.breaker.state
        end(one, failure(kind))
        assert self.breaker.state is before

    @precondition(lambda self: self.under_way)
    @rule(number=st.integers(0, 9))
    def client_leaves(self, number: int) -> None:
        one, _, _ = self._take(number)
        before = self.breaker.state
        with pytest.raises(asyncio.CancelledError), one:
            raise asyncio.CancelledError
        assert self.breaker.state is before

    @precondition(lambda self: self.under_way)
    @rule(number=st.integers(0, 9))
    def be_refused(self, number: int) -> None:
        one, _, _ = self._take(number)
        end(one, failure(FailureKind.AUTH))
        assert self.breaker.dead

    @rule()
    def end_whole(self) -> None:
        before = self.breaker.state
        self.breaker.ended_well()
        assert self.breaker.state is before

    @rule(seconds=st.integers(0, 400))
    def wait(self, seconds: int) -> None:
        self.watched.monotonic.advance(seconds)

    @invariant()
    def at_most_one_probe_is_under_way(self) -> None:
        assert self.probes <= 1

    @invariant()
    def it_admits_exactly_while_closed_or_ready_for_a_probe(self) -> None:
        state = self.breaker.state
        ready = state is BreakerState.HALF_OPEN and self.probes == 0
        assert self.breaker.admits() is (state is BreakerState.CLOSED or ready)

    @invariant()
    def the_wait_agrees_with_the_state_and_keeps_its_bound(self) -> None:
        assert (self.breaker.retry_in > 0) is (self.breaker.state is BreakerState.OPEN)
        assert self.breaker.retry_in <= MAX_COOLDOWN or self.breaker.dead

    def teardown(self) -> None:
        for one, _, _ in self.under_way:
            end(one)


BreakerMachine.TestCase.settings = hypothesis_settings(max_examples=100, stateful_step_count=40, deadline=None)
TestAnySequence = BreakerMachine.TestCase

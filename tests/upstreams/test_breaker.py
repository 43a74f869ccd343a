"""The circuit breaker: its whole cycle with clocks that stand still, and any sequence of events against a model."""

import asyncio
from contextlib import ExitStack

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from claude_proxy.failures import HANDLING, BreakerEffect, FailureKind
from claude_proxy.upstreams.breaker import BreakerState, CircuitBreaker
from tests.upstreams.watched_breaker import COOLDOWN, FAILURES, MAX_COOLDOWN, Watched, end, failure

COUNTED = sorted((kind for kind in FailureKind if HANDLING[kind].breaker is BreakerEffect.COUNT), key=str)
IGNORED = sorted((kind for kind in FailureKind if HANDLING[kind].breaker is BreakerEffect.IGNORE), key=str)
OPENING = sorted((kind for kind in FailureKind if HANDLING[kind].breaker is BreakerEffect.OPEN), key=str)


# --- the cycle -------------------------------------------------------------------------------------------


def test_it_begins_closed_and_lets_everything_through() -> None:
    watched = Watched()
    assert watched.state() is BreakerState.CLOSED
    assert watched.breaker.admits
    assert (watched.breaker.retry_in, watched.breaker.reason) == (0.0, "")
    for _ in range(20):
        watched.succeeds()


@pytest.mark.parametrize("kind", COUNTED)
def test_failures_in_a_row_open_it(kind: FailureKind) -> None:
    watched = Watched()
    for _ in range(FAILURES - 1):
        watched.fails(failure(kind))
    assert watched.state() is BreakerState.CLOSED
    watched.fails(failure(kind))
    assert watched.state() is BreakerState.OPEN
    assert watched.breaker.retry_in == COOLDOWN
    assert f"{kind.value} happened" in watched.breaker.reason


def test_a_success_between_failures_begins_the_count_anew() -> None:
    watched = Watched()
    for _ in range(5):
        for _ in range(FAILURES - 1):
            watched.fails()
        watched.succeeds()
    assert watched.state() is BreakerState.CLOSED


def test_an_answer_that_has_only_begun_does_not_begin_the_count_anew() -> None:
    watched = Watched()
    for _ in range(FAILURES):
        watched.answers()
        watched.breaker.failed(failure(FailureKind.BROKEN_STREAM))
    assert watched.state() is BreakerState.OPEN


def test_the_end_of_an_answer_does_not_close_what_has_opened_meanwhile() -> None:
    watched = Watched()
    watched.answers()
    watched.open()
    watched.breaker.ended_well()
    assert watched.breaker.retry_in == COOLDOWN


@pytest.mark.parametrize("kind", IGNORED)
def test_what_is_no_fault_of_the_upstream_changes_nothing(kind: FailureKind) -> None:
    watched = Watched()
    for _ in range(FAILURES - 1):
        watched.fails()
    for _ in range(10):
        watched.fails(failure(kind))
    assert watched.state() is BreakerState.CLOSED
    watched.fails()
    assert watched.state() is BreakerState.OPEN, "the failures counted before are still counted"


def test_while_it_is_open_nothing_passes_and_the_refusal_says_for_how_long() -> None:
    watched = Watched()
    watched.open()
    watched.monotonic.advance(COOLDOWN - 1)
    refused = watched.refuses()
    assert not watched.breaker.admits
    assert refused.retry_after == 1.0
    assert refused.upstream == "claude"
    assert "connect happened" in refused.message


def test_a_refused_request_is_no_failure_of_the_upstream() -> None:
    watched = Watched()
    watched.open()
    for _ in range(10):
        watched.refuses()
    assert watched.breaker.retry_in == COOLDOWN


def test_after_the_cooldown_one_probe_passes_and_its_success_closes_it() -> None:
    watched = Watched()
    watched.open()
    watched.monotonic.advance(COOLDOWN)
    assert watched.state() is BreakerState.HALF_OPEN
    probe = watched.begin()
    assert not watched.breaker.admits
    watched.refuses()
    end(probe)
    assert watched.state() is BreakerState.CLOSED
    assert watched.breaker.reason == ""
    watched.succeeds()


def test_each_opening_in_a_row_doubles_the_cooldown_up_to_its_bound() -> None:
    watched = Watched()
    watched.open()
    for expected in (60.0, 120.0, MAX_COOLDOWN, MAX_COOLDOWN):
        watched.monotonic.advance(watched.breaker.retry_in)
        watched.fails()
        assert watched.state() is BreakerState.OPEN
        assert watched.breaker.retry_in == expected


def test_a_success_makes_the_next_opening_a_first_one() -> None:
    watched = Watched()
    watched.open()
    watched.monotonic.advance(COOLDOWN)
    watched.fails()
    watched.monotonic.advance(60)
    watched.succeeds()
    watched.open()
    assert watched.breaker.retry_in == COOLDOWN


def test_it_stays_within_its_bound_after_any_number_of_openings() -> None:
    watched = Watched()
    for _ in range(1100):
        watched.monotonic.advance(MAX_COOLDOWN)
        watched.fails(failure(OPENING[0]), last_resort=True)
    assert watched.breaker.retry_in == MAX_COOLDOWN


# --- a probe ---------------------------------------------------------------------------------------------


async def test_a_probe_whose_client_leaves_frees_its_place() -> None:
    watched = Watched()
    watched.open()
    watched.monotonic.advance(COOLDOWN)
    let_through = asyncio.Event()

    async def ask() -> None:
        with watched.breaker.admission():
            let_through.set()
            await asyncio.Event().wait()

    probe = asyncio.create_task(ask())
    await let_through.wait()
    watched.refuses()
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    assert watched.state() is BreakerState.HALF_OPEN
    watched.succeeds()
    assert watched.state() is BreakerState.CLOSED


@pytest.mark.parametrize("kind", IGNORED)
def test_a_probe_that_says_nothing_of_the_upstream_frees_its_place(kind: FailureKind) -> None:
    watched = Watched()
    watched.open()
    watched.monotonic.advance(COOLDOWN)
    watched.fails(failure(kind))
    assert watched.state() is BreakerState.HALF_OPEN
    watched.succeeds()
    assert watched.state() is BreakerState.CLOSED


# --- failures that say how long --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", OPENING)
def test_some_failures_open_it_at_once(kind: FailureKind) -> None:
    watched = Watched()
    watched.fails(failure(kind))
    assert watched.state() is BreakerState.OPEN
    assert watched.breaker.retry_in == COOLDOWN
    assert watched.breaker.reason == f"{kind.value} happened"


def test_a_spent_window_opens_it_until_the_window_resets_however_long_that_is() -> None:
    watched = Watched()
    watched.fails(failure(FailureKind.RATE_LIMIT, spent_until=watched.clock() + 5 * 3600, retry_after=7))
    assert watched.breaker.retry_in == 5 * 3600


def test_a_window_that_has_reset_already_leaves_it_ready_for_a_probe() -> None:
    watched = Watched()
    watched.fails(failure(FailureKind.RATE_LIMIT, spent_until=watched.clock() - 60))
    assert watched.state() is BreakerState.HALF_OPEN


@pytest.mark.parametrize(("asked", "taken"), [(7.0, 7.0), (0.0, 0.0), (9e8, MAX_COOLDOWN)])
def test_retry_after_opens_it_for_just_that_long_within_the_bound(asked: float, taken: float) -> None:
    watched = Watched()
    watched.fails(failure(FailureKind.RATE_LIMIT, retry_after=asked))
    assert watched.breaker.retry_in == taken


def test_resetting_closes_it() -> None:
    watched = Watched()
    watched.open()
    watched.breaker.reset()
    assert (watched.state(), watched.breaker.retry_in, watched.breaker.reason) == (BreakerState.CLOSED, 0.0, "")
    watched.succeeds()


# --- the last resort -------------------------------------------------------------------------------------


def test_a_last_resort_passes_while_it_is_open_and_its_success_closes_it() -> None:
    watched = Watched()
    watched.open()
    watched.succeeds(last_resort=True)
    assert watched.state() is BreakerState.CLOSED


def test_a_last_resort_that_fails_opens_it_for_longer() -> None:
    watched = Watched()
    watched.open()
    watched.fails(last_resort=True)
    assert watched.breaker.retry_in == 60.0


def test_a_last_resort_passes_beside_a_probe_and_leaves_the_probe_its_place() -> None:
    watched = Watched()
    watched.open()
    watched.monotonic.advance(COOLDOWN)
    probe = watched.begin()
    end(watched.begin(last_resort=True), failure(FailureKind.INVALID_REQUEST))
    assert not watched.breaker.admits, "the probe is still under way"
    end(probe)
    assert watched.state() is BreakerState.CLOSED


# --- requests that were let through before it opened ------------------------------------------------------


def test_requests_admitted_before_it_opened_are_one_outage_and_do_not_lengthen_the_cooldown() -> None:
    watched = Watched()
    under_way = [watched.begin() for _ in range(20)]
    for one in under_way:
        end(one, failure())
    assert watched.breaker.retry_in == COOLDOWN


def test_quota_refusals_of_requests_admitted_before_it_opened_are_one_opening() -> None:
    watched = Watched()
    under_way = [watched.begin() for _ in range(5)]
    for one in under_way:
        end(one, failure(FailureKind.RATE_LIMIT, retry_after=7))
    watched.monotonic.advance(7)
    watched.fails()
    assert watched.breaker.retry_in == 2 * COOLDOWN


def test_a_failure_of_a_request_admitted_before_it_opened_does_not_shorten_a_spent_window() -> None:
    watched = Watched()
    under_way = watched.begin()
    watched.fails(failure(FailureKind.RATE_LIMIT, spent_until=watched.clock() + 5 * 3600))
    end(under_way, failure(FailureKind.SERVER_ERROR))
    assert watched.breaker.retry_in == 5 * 3600


def test_a_request_admitted_before_it_opened_may_name_a_longer_time() -> None:
    watched = Watched()
    under_way = watched.begin()
    watched.open()
    end(under_way, failure(FailureKind.RATE_LIMIT, spent_until=watched.clock() + 5 * 3600))
    assert watched.breaker.retry_in == 5 * 3600


def test_a_success_of_a_request_admitted_before_it_opened_does_not_close_it() -> None:
    watched = Watched()
    under_way = watched.begin()
    watched.fails(failure(FailureKind.RATE_LIMIT, spent_until=watched.clock() + 5 * 3600))
    end(under_way)
    assert watched.breaker.retry_in == 5 * 3600


# --- any sequence ----------------------------------------------------------------------------------------


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
        state, admits, probes = self.breaker.state, self.breaker.admits, self.probes
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
        before = self.breaker.state
        end(one)
        if not came_in_closed or before is BreakerState.CLOSED:
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
        assert self.breaker.admits is (state is BreakerState.CLOSED or ready)

    @invariant()
    def the_wait_agrees_with_the_state_and_keeps_its_bound(self) -> None:
        assert (self.breaker.retry_in > 0) is (self.breaker.state is BreakerState.OPEN)
        assert self.breaker.retry_in <= MAX_COOLDOWN

    def teardown(self) -> None:
        for one, _, _ in self.under_way:
            end(one)


BreakerMachine.TestCase.settings = hypothesis_settings(max_examples=100, stateful_step_count=40, deadline=None)
TestAnySequence = BreakerMachine.TestCase

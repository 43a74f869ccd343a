"""The breakers of one upstream: what is everybody's affair and what is not, and any sequence against a model."""

import math
from contextlib import ExitStack

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from claude_proxy.credentials.credential import Credential, Scheme
from claude_proxy.failures import AttemptFailed, Failure, FailureKind
from claude_proxy.upstreams.breaker import BreakerSettings, BreakerState
from claude_proxy.upstreams.breakers import FORGOTTEN_AFTER, Breakers, Caller, Scope
from tests.frozen_clock import FrozenClock
from tests.upstreams.watched_breaker import end

FAILURES, COOLDOWN = 3, 30.0
ANN, BOB = Caller(1, False, "opus"), Caller(2, False, "opus")
ANN_HAIKU = ANN._replace(model="haiku")
OURS = Caller(7, True, "opus")

DOWN = Failure(FailureKind.SERVER_ERROR, "it is down")
REFUSED = Failure(FailureKind.AUTH, "the key was refused")
FORBIDDEN = Failure(FailureKind.FORBIDDEN, "not in the plan")
THEIR_OWN = Failure(FailureKind.CLIENT_AUTH, "log in again")
SLOW_DOWN = Failure(FailureKind.RATE_LIMIT, "slow down")
NO_MONEY = Failure(FailureKind.RATE_LIMIT, "no balance", status=402)


class Made:
    """Breakers with clocks that stand still."""

    def __init__(self) -> None:
        self.clock = FrozenClock()
        self.monotonic = FrozenClock(5000.0)
        self.breakers = Breakers(
            "claude", BreakerSettings(FAILURES, COOLDOWN, 3600.0), monotonic=self.monotonic, clock=self.clock
        )

    def spent(self, seconds: float, *, of_one_model: bool = False) -> Failure:
        until = self.clock() + seconds
        return Failure(FailureKind.RATE_LIMIT, "window spent", spent_until=until, of_one_model=of_one_model)

    def begin(self, caller: Caller, *, last_resort: bool = False) -> ExitStack:
        with ExitStack() as stack:
            stack.enter_context(self.breakers.admission(caller, last_resort=last_resort))
            return stack.pop_all()

    def fails(self, caller: Caller, failure: Failure) -> None:
        end(self.begin(caller), failure)

    def succeeds(self, caller: Caller) -> None:
        end(self.begin(caller))
        self.breakers.ended_well(caller)

    def refusal(self, caller: Caller, *, last_resort: bool = False) -> Failure:
        with pytest.raises(AttemptFailed) as refused:
            self.begin(caller, last_resort=last_resort)
        return refused.value.failure


def test_an_api_that_is_down_is_everybodys_affair() -> None:
    made = Made()
    for caller in (ANN, BOB, OURS):
        made.fails(caller, DOWN)
    assert not any(made.breakers.admits(caller) for caller in (ANN, BOB, OURS, ANN_HAIKU))
    assert made.refusal(BOB).kind is FailureKind.UNAVAILABLE
    assert [(part.of, part.model) for part in made.breakers.parts()] == [(Scope.API, None)]


@pytest.mark.parametrize("failure", [Made().spent(18_000), NO_MONEY, REFUSED], ids=lambda failure: failure.message)
def test_a_spent_plan_or_a_refused_key_is_one_callers_affair(failure: Failure) -> None:
    made = Made()
    made.fails(ANN, failure)
    assert not made.breakers.admits(ANN)
    assert not made.breakers.admits(ANN_HAIKU)
    assert made.breakers.admits(BOB)
    made.succeeds(BOB)
    assert not made.breakers.admits(ANN), "another's answer says nothing of this plan"


@pytest.mark.parametrize("failure", [SLOW_DOWN, FORBIDDEN, Made().spent(9000, of_one_model=True)], ids=str)
def test_a_limit_of_one_model_is_of_no_other(failure: Failure) -> None:
    made = Made()
    made.fails(ANN, failure)
    assert not made.breakers.admits(ANN)
    assert made.breakers.admits(ANN_HAIKU)
    assert made.breakers.admits(BOB)
    assert [(part.of, part.model) for part in made.breakers.parts()] == [(Scope.MODEL, "opus")]


def test_a_spent_window_lasts_until_its_reset_and_then_one_request_probes() -> None:
    made = Made()
    made.fails(ANN, made.spent(5 * 3600))
    made.monotonic.advance(1800)
    assert not made.breakers.admits(ANN)
    assert made.breakers.retry_in == 5 * 3600 - 1800
    made.monotonic.advance(5 * 3600 - 1800)
    probe = made.begin(ANN)
    assert made.refusal(ANN).kind is FailureKind.UNAVAILABLE
    end(probe)
    made.succeeds(ANN)
    assert made.breakers.parts() == []
    assert made.breakers.state is BreakerState.CLOSED


def test_a_limit_met_by_several_requests_at_once_is_one_limit() -> None:
    made = Made()
    under_way = [made.begin(ANN) for _ in range(5)]
    for one in under_way:
        end(one, Failure(FailureKind.RATE_LIMIT, "slow down", retry_after=7))
    assert len(made.breakers.parts()) == 1
    assert made.breakers.retry_in == 7


def test_a_refused_credential_is_known_and_another_in_its_place_is_not_refused() -> None:
    made = Made()
    refused, other = (Credential(secret, Scheme.BEARER, "file") for secret in ("FAKE-one", "FAKE-two"))
    made.breakers.check(Caller.of(refused, "opus"))
    made.fails(Caller.of(refused, "opus"), REFUSED)
    assert made.breakers.refusal.startswith("the key was refused")
    assert made.breakers.is_dead(refused)
    assert not made.breakers.is_dead(other)
    assert made.breakers.retry_in == math.inf
    made.breakers.check(Caller.of(other, "opus"))
    made.succeeds(Caller.of(other, "opus"))
    assert made.breakers.parts() == [], "what was replaced is not told of any more"
    assert made.breakers.refusal == ""


def test_a_refused_credential_of_ours_is_not_forgotten_with_time_but_with_a_reload() -> None:
    made = Made()
    made.fails(OURS, REFUSED)
    made.monotonic.advance(100 * FORGOTTEN_AFTER)
    assert made.refusal(OURS).kind is FailureKind.NO_CREDENTIAL
    made.breakers.forgive()
    made.succeeds(OURS)


def test_a_client_that_has_not_come_for_long_is_forgotten() -> None:
    made = Made()
    made.fails(ANN, made.spent(7 * 24 * 3600))
    made.monotonic.advance(FORGOTTEN_AFTER - 1)
    assert not made.breakers.admits(ANN)  # it came again
    made.monotonic.advance(FORGOTTEN_AFTER - 1)
    assert made.breakers.state is BreakerState.OPEN
    made.monotonic.advance(1)
    assert made.breakers.parts() == []
    assert made.breakers.reason == ""


def test_no_number_of_clients_fills_the_memory() -> None:
    made = Made()
    for number in range(1, 2000):
        made.fails(Caller(number, False, "opus"), NO_MONEY)
    assert len(made.breakers.parts()) <= 256
    assert not made.breakers.admits(Caller(1999, False, "opus"))


def test_a_probe_of_the_api_that_meets_a_limit_leaves_the_api_to_the_next_probe() -> None:
    made = Made()
    for _ in range(FAILURES):
        made.fails(BOB, DOWN)
    made.monotonic.advance(COOLDOWN)
    made.fails(ANN, made.spent(18_000))
    assert {part.of: part.breaker.state for part in made.breakers.parts()} == {
        Scope.API: BreakerState.HALF_OPEN,
        Scope.CREDENTIAL: BreakerState.OPEN,
    }
    made.succeeds(BOB)
    assert [part.of for part in made.breakers.parts()] == [Scope.CREDENTIAL]


def test_a_limit_that_was_forgotten_while_a_request_ran_is_learnt_anew_from_it() -> None:
    made = Made()
    made.fails(ANN, NO_MONEY)
    under_way = made.begin(ANN, last_resort=True)
    end(made.begin(ANN, last_resort=True))
    made.breakers.ended_well(ANN)
    assert made.breakers.parts() == []
    end(under_way, made.spent(18_000))
    assert not made.breakers.admits(ANN)
    assert made.breakers.retry_in == 18_000


def test_what_a_caller_is_known_by_tells_nothing_of_its_credential() -> None:
    secret = "sk-ant-oat01-FAKE-login"
    assert secret not in repr(Caller.of(Credential(secret, Scheme.BEARER, "client", ours=False), "opus"))
    assert Caller.of(None, "opus") == Caller(0, False, "opus")


def test_a_last_resort_passes_all_but_a_refused_credential() -> None:
    made = Made()
    for _ in range(FAILURES):
        made.fails(ANN, DOWN)
    end(made.begin(ANN, last_resort=True), made.spent(18_000))
    end(made.begin(ANN, last_resort=True))
    made.fails(OURS, REFUSED)
    with pytest.raises(AttemptFailed) as refused:
        made.begin(OURS, last_resort=True)
    assert refused.value.failure.kind is FailureKind.NO_CREDENTIAL


CALLERS = [ANN, ANN_HAIKU, BOB, OURS]


class BreakersMachine(RuleBasedStateMachine):
    """Requests of several callers begin and end in every way while time goes on.

    The model: who may not be kept away, since nothing that concerns it has happened.
    """

    def __init__(self) -> None:
        super().__init__()
        self.made = Made()
        self.under_way: list[tuple[Caller, ExitStack]] = []
        self.api_failed = 0
        self.touched: set[tuple[int, str | None]] = set()
        self.dead: set[int] = set()

    @rule(caller=st.sampled_from(CALLERS), last_resort=st.booleans())
    def begin(self, caller: Caller, last_resort: bool) -> None:
        admits = self.made.breakers.admits(caller)
        if not admits and (caller.who in self.dead or not last_resort):
            refused = self.made.refusal(caller, last_resort=last_resort)
            assert refused.kind is FailureKind.UNAVAILABLE or caller.who in self.dead
            return
        self.under_way.append((caller, self.made.begin(caller, last_resort=last_resort)))

    @precondition(lambda self: self.under_way)
    @rule(number=st.integers(0, 9), whole=st.booleans())
    def succeed(self, number: int, whole: bool) -> None:
        caller, one = self.under_way.pop(number % len(self.under_way))
        end(one)
        if whole:
            self.made.breakers.ended_well(caller)

    @precondition(lambda self: self.under_way)
    @rule(
        number=st.integers(0, 9),
        failure=st.sampled_from([DOWN, REFUSED, FORBIDDEN, SLOW_DOWN, NO_MONEY, THEIR_OWN]),
    )
    def fail(self, number: int, failure: Failure) -> None:
        caller, one = self.under_way.pop(number % len(self.under_way))
        end(one, failure)
        if failure is DOWN:
            self.api_failed += 1
        elif failure in (FORBIDDEN, SLOW_DOWN):
            self.touched.add((caller.who, caller.model))
        elif failure in (REFUSED, NO_MONEY):
            self.touched.add((caller.who, None))
        if failure is REFUSED:
            self.dead.add(caller.who)

    @rule(seconds=st.integers(0, 400))
    def wait(self, seconds: int) -> None:
        self.made.monotonic.advance(seconds)

    @invariant()
    def nobody_is_kept_away_by_anothers_limit(self) -> None:
        if self.api_failed >= FAILURES:
            return
        for caller in CALLERS:
            if not self.touched & {(caller.who, None), (caller.who, caller.model)}:
                assert self.made.breakers.admits(caller)

    @invariant()
    def the_gravest_state_is_told_with_its_reason(self) -> None:
        parts = self.made.breakers.parts()
        states = {part.breaker.state for part in parts}
        assert (self.made.breakers.state is BreakerState.CLOSED) is (not parts)
        assert (self.made.breakers.state is BreakerState.OPEN) is (BreakerState.OPEN in states)
        assert bool(self.made.breakers.reason) is bool(parts)
        assert all(part.breaker.cause is not None for part in parts)

    def teardown(self) -> None:
        for _, one in self.under_way:
            end(one)


BreakersMachine.TestCase.settings = hypothesis_settings(max_examples=80, stateful_step_count=40, deadline=None)
TestAnySequence = BreakersMachine.TestCase

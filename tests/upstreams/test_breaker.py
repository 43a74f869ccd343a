"""The circuit breaker: its whole cycle, with clocks that stand still."""

import asyncio
import logging
import math

import pytest

from claude_proxy.failures import AttemptFailed, Failure, FailureKind
from claude_proxy.upstreams.breaker import BreakerState
from tests.upstreams.watched_breaker import (
    COOLDOWN,
    COUNTED,
    FAILURES,
    IGNORED,
    MAX_COOLDOWN,
    OPENING,
    Watched,
    end,
    failure,
)

# --- the cycle -------------------------------------------------------------------------------------------


def test_it_begins_closed_and_lets_everything_through() -> None:
    watched = Watched()
    assert watched.state() is BreakerState.CLOSED
    assert watched.breaker.admits()
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
    assert not watched.breaker.admits()
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
    assert not watched.breaker.admits()
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
        watched.fails(failure(FailureKind.FORBIDDEN), last_resort=True)
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
    assert watched.breaker.retry_in == (math.inf if kind is FailureKind.AUTH else COOLDOWN)
    assert watched.breaker.reason.startswith(f"{kind.value} happened")
    assert watched.breaker.cause is kind


def test_a_refused_credential_opens_it_for_good_and_for_a_last_resort_as_well() -> None:
    watched = Watched()
    watched.fails(failure(FailureKind.AUTH))
    watched.monotonic.advance(1e9)
    assert watched.breaker.dead
    for last_resort in (False, True):
        with pytest.raises(AttemptFailed) as refused, watched.breaker.admission(last_resort=last_resort):
            raise AssertionError("it was let through")
        assert refused.value.failure.kind is FailureKind.NO_CREDENTIAL
        assert refused.value.failure.message.startswith("auth happened; it is not used again until")


def test_an_answer_that_began_before_the_refusal_does_not_bring_a_refused_credential_back() -> None:
    watched = Watched()
    watched.open()
    earlier = watched.begin(last_resort=True)
    watched.fails(failure(FailureKind.AUTH), last_resort=True)
    end(earlier)
    watched.breaker.ended_well()
    assert watched.breaker.dead


def test_a_moments_limit_is_not_doubled_however_often_it_is_met() -> None:
    watched = Watched()
    for _ in range(5):
        watched.fails(failure(FailureKind.RATE_LIMIT))
        assert watched.breaker.retry_in == COOLDOWN
        watched.monotonic.advance(COOLDOWN)


def test_a_limit_that_is_no_429_is_asked_after_less_and_less_often() -> None:
    watched = Watched()
    for expected in (COOLDOWN, 2 * COOLDOWN, 4 * COOLDOWN):
        watched.fails(Failure(FailureKind.RATE_LIMIT, "insufficient balance", status=402))
        assert watched.breaker.retry_in == expected
        watched.monotonic.advance(expected)


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


def test_what_a_probe_closed_is_on_probation_until_an_answer_has_come_whole() -> None:
    watched = Watched()
    watched.open()
    watched.monotonic.advance(COOLDOWN)
    watched.answers()
    assert (watched.state(), watched.breaker.retry_in, watched.breaker.reason) == (BreakerState.CLOSED, 0.0, "")
    watched.breaker.failed(failure(FailureKind.BROKEN_STREAM))
    assert watched.breaker.retry_in == 2 * COOLDOWN
    watched.monotonic.advance(2 * COOLDOWN)
    watched.succeeds()
    assert watched.breaker.untouched
    watched.fails()
    assert watched.state() is BreakerState.CLOSED


def test_what_cannot_probe_passes_only_while_it_is_closed() -> None:
    watched = Watched()
    watched.breaker.check(probe=False)
    watched.open()
    watched.monotonic.advance(COOLDOWN)
    watched.breaker.check()
    with pytest.raises(AttemptFailed):
        watched.breaker.check(probe=False)
    watched.breaker.check(probe=False, last_resort=True)
    assert watched.state() is BreakerState.HALF_OPEN


def test_a_failure_that_does_not_concern_it_changes_nothing() -> None:
    watched = Watched(concerns=lambda cause: cause.kind is not FailureKind.CONNECT)
    for _ in range(FAILURES):
        watched.fails(failure(FailureKind.CONNECT))
    assert watched.breaker.untouched


def test_its_openings_and_closings_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "claude_proxy")
    watched = Watched()
    watched.open()
    watched.monotonic.advance(COOLDOWN)
    watched.succeeds()
    watched.fails(failure(FailureKind.AUTH))
    fields = [(record.getMessage(), getattr(record, "fields", {})) for record in caplog.records]
    assert [message for message, _ in fields] == ["breaker_open", "breaker_closed", "breaker_open"]
    assert (fields[0][1]["kind"], fields[0][1]["for_s"]) == ("connect", COOLDOWN)
    assert fields[2][1]["for_s"] == "until_replaced"


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
    assert not watched.breaker.admits(), "the probe is still under way"
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

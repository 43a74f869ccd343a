"""One target, tried again: when, and how often. The waits: test_again.py. What is tried: test_attempt.py."""

import gc
import threading
import time
import weakref
from pathlib import Path

import pytest

from claude_proxy.failures import AttemptFailed, Failure, FailureKind
from claude_proxy.forwarding.retry import RetrySettings, with_retries
from claude_proxy.upstreams.breaker import BreakerState
from claude_proxy.wire.headers import first
from tests.client_requests import message_request
from tests.closed_port import refusing_url
from tests.forwarding.forwarding_house import BRINGS_KEY, QUICK, TRIES, forwarding
from tests.imported_where import importing
from tests.stand_in import (
    Answer,
    StandIn,
    error_body,
    fails,
    raw,
    resets,
    says,
    two,
)

ASKS = message_request(BRINGS_KEY)
SPENT = [
    ("anthropic-ratelimit-unified-status", "rejected"),
    ("anthropic-ratelimit-unified-reset", str(int(time.time()) + 5 * 3600)),
]


# --- what is tried again ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 529])
async def test_what_was_not_answered_is_tried_again_and_told_as_it_was_said(tmp_path: Path, status: int) -> None:
    answer = fails(status, "api_error", f"words of {status}", [("request-id", "req_upstream")])
    async with StandIn(answer) as claude, forwarding(tmp_path, {"claude": claude}) as house:
        told = await house.ask(ASKS)
    assert len(claude.received) == TRIES
    assert {received.body for received in claude.received} == {ASKS.body}
    assert told.failure is not None
    assert told.failure.said is not None
    assert told.failure.said.status == status
    assert ("request-id", "req_upstream") in told.failure.said.headers
    assert told.failure.said.body == error_body("api_error", f"words of {status}")
    assert told.failure.upstream == "claude"


async def test_the_library_of_the_tries_is_imported_beside_the_loop(tmp_path: Path) -> None:
    async with StandIn(says("hello")) as claude, forwarding(tmp_path, {"claude": claude}) as house:
        claude.then(fails(529, "overloaded_error"))
        with importing("claude_proxy.forwarding.again") as threads:
            assert (await house.ask(ASKS)).status == 200
    assert len(threads) == 1
    assert threads[0] is not threading.current_thread()


async def test_one_good_answer_ends_the_tries(tmp_path: Path) -> None:
    async with StandIn(says("hello")) as claude, forwarding(tmp_path, {"claude": claude}) as house:
        claude.then(fails(529, "overloaded_error"), fails(500, "api_error"))
        told = await house.ask(ASKS)
    assert told.status == 200
    assert told.json()["content"][0]["text"] == "hello"
    assert len(claude.received) == 3
    assert [attempt.status for attempt in told.exchange.attempts] == [529, 500, 200]
    assert house.watcher.failed == [("claude", FailureKind.OVERLOADED), ("claude", FailureKind.SERVER_ERROR)]


@pytest.mark.parametrize("answer", [resets(), raw(b"")], ids=["reset", "closed"])
async def test_a_connection_that_breaks_before_the_answer_is_tried_again(tmp_path: Path, answer: Answer) -> None:
    async with StandIn(answer) as claude, forwarding(tmp_path, {"claude": claude}) as house:
        told = await house.ask(ASKS)
    assert told.kind is FailureKind.CONNECT
    assert told.client_status == 502
    assert claude.connections == TRIES


async def test_a_refused_connection_is_tried_again_and_told_as_502(tmp_path: Path) -> None:
    with refusing_url() as url:
        async with forwarding(tmp_path, {"claude": url}) as house:
            told = await house.ask(ASKS)
    assert (told.kind, told.client_status) == (FailureKind.CONNECT, 502)
    assert len(told.exchange.attempts) == TRIES


async def test_where_another_target_is_left_it_is_tried_again_once_only(tmp_path: Path) -> None:
    async with two(fails(529, "overloaded_error"), says("from the second")) as (claude, gateway):
        async with forwarding(tmp_path, {"claude": claude, "gateway": gateway}) as house:
            told = await house.ask(ASKS)
        assert told.json()["content"][0]["text"] == "from the second"
        assert (len(claude.received), len(gateway.received)) == (2, 1)


@pytest.mark.parametrize("retry", [{**QUICK, "max_elapsed": "0s"}, {**QUICK, "max_retries": 0}])
async def test_retries_can_be_switched_off(tmp_path: Path, retry: dict[str, object]) -> None:
    async with StandIn(fails(529, "overloaded_error")) as claude:
        async with forwarding(tmp_path, {"claude": claude}, retry=retry) as house:
            await house.ask(ASKS)
        assert len(claude.received) == 1


async def test_an_answer_that_forbids_it_is_not_tried_again(tmp_path: Path) -> None:
    answer = fails(529, "overloaded_error", headers=[("x-should-retry", "false")])
    async with StandIn(answer) as claude, forwarding(tmp_path, {"claude": claude}) as house:
        await house.ask(ASKS)
        assert len(claude.received) == 1


# --- retry-after -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 529])
async def test_a_wait_that_fits_the_budget_is_waited_for(tmp_path: Path, status: int) -> None:
    async with StandIn(says("hello")) as claude, forwarding(tmp_path, {"claude": claude}) as house:
        claude.then(fails(status, "rate_limit_error", headers=[("retry-after", "0")]))
        told = await house.ask(ASKS)
        assert told.status == 200
        assert len(claude.received) == 2


@pytest.mark.parametrize("status", [429, 529])
async def test_a_wait_that_does_not_fit_is_left_to_the_client(tmp_path: Path, status: int) -> None:
    answer = fails(status, "rate_limit_error", headers=[("retry-after", "3600")])
    async with StandIn(answer) as claude, forwarding(tmp_path, {"claude": claude}) as house:
        told = await house.ask(ASKS)
        assert len(claude.received) == 1
    assert told.failure is not None
    assert told.failure.said is not None
    assert first(told.failure.said.headers, "retry-after") == "3600"


@pytest.mark.parametrize(
    "headers", [[], [*SPENT, ("retry-after", "0")]], ids=["that names no wait", "for a spent window"]
)
async def test_a_limit_is_not_tried_again(tmp_path: Path, headers: list[tuple[str, str]]) -> None:
    async with StandIn(fails(429, "rate_limit_error", "limit", headers)) as claude:
        async with forwarding(tmp_path, {"claude": claude}) as house:
            told = await house.ask(ASKS)
            assert house.breaker("claude").state is BreakerState.OPEN
        assert len(claude.received) == 1
    assert (told.kind, told.client_status) == (FailureKind.RATE_LIMIT, 429)


async def test_a_spent_window_keeps_the_breaker_open_until_it_resets(tmp_path: Path) -> None:
    limited = fails(429, "rate_limit_error", "limit", SPENT)
    async with StandIn(limited) as claude, forwarding(tmp_path, {"claude": claude}) as house:
        told = await house.ask(ASKS)
        assert house.breaker("claude").retry_in > 4 * 3600
    quota = told.exchange.attempts[0].quota
    assert quota is not None
    assert quota.status == "rejected"


# --- what is left ----------------------------------------------------------------------------------------


class Asking:
    """As what is tried again leads to a request and its body."""

    def __init__(self, failures: int) -> None:
        self.failures = failures

    async def __call__(self) -> str:
        if self.failures:
            self.failures -= 1
            raise AttemptFailed(Failure(FailureKind.SERVER_ERROR, "the upstream has a fault"))
        return "answered"

    def may_go_on(self) -> bool:
        return True


@pytest.mark.parametrize(("failures", "told"), [(1, "answered"), (2, "answered"), (9, "failed")])
async def test_a_request_that_was_tried_again_is_not_held_until_the_collector_comes(failures: int, told: str) -> None:
    async def tried() -> tuple[str, weakref.ref[Asking]]:
        asking = Asking(failures)
        settings = RetrySettings(first_wait=0.001, max_wait=0.001)
        try:
            return await with_retries(asking, settings, retries=3, may_go_on=asking.may_go_on), weakref.ref(asking)
        except AttemptFailed:
            assert asking.failures == 9 - TRIES
            return "failed", weakref.ref(asking)

    gc.disable()
    try:
        came, gone = await tried()
        assert came == told
        assert gone() is None
    finally:
        gc.enable()

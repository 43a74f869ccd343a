"""One target, asked until it answers or there is no sense in it. Tried again: test_attempt_retries.py."""

import asyncio
import time
from pathlib import Path

import pytest

from claude_proxy.failures import FailureKind
from claude_proxy.upstreams.breaker import BreakerState
from claude_proxy.wire.quota import Quota
from tests.client_requests import count_request, message_request, other_request
from tests.forwarding.forwarding_house import BRINGS_KEY, CLIENT_KEY, QUICK, forwarding, to
from tests.stand_in import (
    Answer,
    Received,
    StandIn,
    Wire,
    error_body,
    fails,
    hangs,
    message_json,
    raw,
    replies,
    resets,
    says,
    text_stream,
    two,
)

JSON = ("Content-Type", "application/json")
ASKS = message_request(BRINGS_KEY)
SPENT = [
    ("anthropic-ratelimit-unified-status", "rejected"),
    ("anthropic-ratelimit-unified-reset", str(int(time.time()) + 5 * 3600)),
]


# --- what is not tried again -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "words", "kind"),
    [
        (400, "prompt is too long: 200001 tokens > 200000 maximum", FailureKind.CONTEXT_WINDOW),
        (400, "messages: at least one", FailureKind.INVALID_REQUEST),
        (404, "model: claude-x", FailureKind.INVALID_REQUEST),
        (413, "too large", FailureKind.INVALID_REQUEST),
        (422, "no", FailureKind.INVALID_REQUEST),
    ],
)
async def test_a_fault_of_the_request_is_told_at_once_and_asked_nowhere_else(
    tmp_path: Path, status: int, words: str, kind: FailureKind
) -> None:
    async with two(fails(status, "invalid_request_error", words)) as (claude, gateway):
        async with forwarding(tmp_path, {"claude": claude, "gateway": gateway}) as house:
            told = await house.ask(ASKS)
            assert house.breaker("claude").state is BreakerState.CLOSED
        assert (len(claude.received), len(gateway.received)) == (1, 0)
    assert (told.kind, told.client_status) == (kind, status)
    assert told.failure is not None
    assert told.failure.said is not None
    assert told.failure.said.body == error_body("invalid_request_error", words)


@pytest.mark.parametrize(
    "answer",
    [
        raw(b"HTTP/1.1 200 OK\r\nContent-Type: applica"),
        raw(b"garbage\r\n\r\n"),
        replies(302, message_json(), [("Location", "http://127.0.0.1:9/")]),
        replies(200, b"<html>login</html>", [("Content-Type", "text/html")]),
        raw(b"HTTP/1.1 503 X\r\nContent-Length: 50\r\n\r\n{"),
    ],
    ids=["half a head", "garbage", "a redirect", "a page", "half an error"],
)
async def test_what_is_no_answer_is_not_tried_again_here_but_elsewhere(tmp_path: Path, answer: Answer) -> None:
    async with (
        two(answer, says("from the second")) as (claude, gateway),
        forwarding(tmp_path, {"claude": claude, "gateway": gateway}) as house,
    ):
        told = await house.ask(ASKS)
        assert house.watcher.failed == [("claude", FailureKind.MALFORMED)]
    assert told.json()["content"][0]["text"] == "from the second"
    assert len(claude.received) == 1


@pytest.mark.parametrize(
    "answer", [hangs(), hangs([b": waiting"]), hangs([b"event: message_start\n"])], ids=["no head", "a comment", "half"]
)
async def test_an_upstream_that_says_nothing_in_time_is_asked_once_and_told_as_504(
    tmp_path: Path, answer: Answer
) -> None:
    async with StandIn(answer) as claude:
        async with forwarding(tmp_path, {"claude": claude}, transport={"header_timeout": "100ms"}) as house:
            told = await house.ask(message_request(BRINGS_KEY, stream=True))
            await claude.wait_for(lambda: claude.open_connections == 0)
        assert len(claude.received) == 1
    assert (told.kind, told.client_status) == (FailureKind.TIMEOUT, 504)
    assert told.failure is not None
    assert told.failure.message == "claude gave no answer within 0.1 s"


async def test_an_error_that_breaks_off_is_no_answer(tmp_path: Path) -> None:
    endless = b"x" * (1 << 20)

    async def too_long(_: Received, wire: Wire) -> None:
        await wire.head(400, [JSON, ("Content-Length", str(100 << 20))])
        for _number in range(100):
            await wire.send(endless)

    async with StandIn(too_long) as claude, forwarding(tmp_path, {"claude": claude}) as house:
        told = await house.ask(ASKS)
        await claude.wait_for(lambda: claude.open_connections == 0)
    assert (told.kind, told.client_status) == (FailureKind.MALFORMED, 502)
    assert told.failure is not None
    assert "status 400" in told.failure.message


# --- requests that name no model -------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 204, 400, 404, 429, 500, 529])
async def test_other_paths_get_whatever_comes_back_as_it_comes(tmp_path: Path, status: int) -> None:
    body = b"" if status == 204 else b"not even JSON"
    headers = [] if status == 204 else [("Content-Type", "text/plain"), ("x-upstream", "1")]
    async with StandIn(replies(status, body, headers)) as claude, forwarding(tmp_path, {"claude": claude}) as house:
        told = await house.ask(other_request("GET", "/v1/models?limit=1", BRINGS_KEY))
    assert (told.status, told.body, told.failure) == (status, body, None)
    assert [pair for pair in told.headers if pair[0] != "Content-Length"] == headers
    assert len(claude.received) == 1
    assert claude.received[0].target == "/v1/models?limit=1"


async def test_an_upload_whose_answer_was_lost_is_not_sent_twice(tmp_path: Path) -> None:
    async with StandIn(resets()) as claude, forwarding(tmp_path, {"claude": claude}) as house:
        told = await house.ask(other_request("POST", "/v1/files", BRINGS_KEY, body=b"upload"))
        assert len(claude.received) == 1
    assert told.kind is FailureKind.CONNECT


async def test_a_look_up_whose_answer_was_lost_is_asked_again(tmp_path: Path) -> None:
    async with StandIn(replies(200, b"{}")) as claude, forwarding(tmp_path, {"claude": claude}) as house:
        claude.then(resets())
        told = await house.ask(other_request("GET", "/v1/models", BRINGS_KEY))
        assert len(claude.received) == 2
    assert told.status == 200


# --- counting --------------------------------------------------------------------------------------------


async def test_a_count_is_passed_on_to_an_upstream_that_counts(tmp_path: Path) -> None:
    async with StandIn() as claude, forwarding(tmp_path, {"claude": claude}) as house:
        told = await house.ask(count_request(BRINGS_KEY))
    assert told.json() == {"input_tokens": 42}
    assert told.header("x-claude-proxy-estimate") is None


async def test_an_upstream_that_cannot_count_is_not_asked_and_the_count_is_called_an_estimate(tmp_path: Path) -> None:
    async with StandIn() as minimax, forwarding(tmp_path, {"minimax": minimax}) as house:
        short = await house.ask(count_request())
        longer = await house.ask(count_request(text="word " * 2000))
        assert minimax.received == []
    assert short.header("x-claude-proxy-estimate") == "true"
    assert 0 < short.json()["input_tokens"] < longer.json()["input_tokens"]


async def test_a_count_can_be_refused_with_the_remedy(tmp_path: Path) -> None:
    settings = {"minimax": {"count_tokens": "reject"}}
    async with StandIn() as minimax, forwarding(tmp_path, {"minimax": minimax}, of_upstreams=settings) as house:
        told = await house.ask(count_request())
        assert minimax.received == []
    assert (told.kind, told.client_status) == (FailureKind.UNSUPPORTED, 501)
    assert told.failure is not None
    assert "count_tokens: estimate" in told.failure.message


async def test_an_estimate_says_nothing_about_the_upstream(tmp_path: Path) -> None:
    answer = replies(500, b"{}")
    breaker = {"failures": 2, "cooldown": "1h"}
    retry = {**QUICK, "max_retries": 0}
    async with (
        StandIn(answer) as minimax,
        forwarding(tmp_path, {"minimax": minimax}, breaker=breaker, retry=retry) as house,
    ):
        await house.ask(message_request())
        assert (await house.ask(count_request())).status == 200
        await house.ask(message_request())
        assert house.breaker("minimax").state is BreakerState.OPEN, "two failures in a row"
        assert (await house.ask(count_request())).status == 200
        assert house.breaker("minimax").state is BreakerState.OPEN


# --- the breaker -----------------------------------------------------------------------------------------


async def test_an_open_breaker_keeps_requests_away_while_another_target_is_left(tmp_path: Path) -> None:
    async with two(fails(429, "rate_limit_error", "limit", SPENT), says("from the second")) as (claude, gateway):
        async with forwarding(tmp_path, {"claude": claude, "gateway": gateway}) as house:
            for _ in range(3):
                assert (await house.ask(ASKS)).status == 200
            assert house.watcher.skips == [("claude", FailureKind.UNAVAILABLE)] * 2
        assert (len(claude.received), len(gateway.received)) == (1, 3)


async def test_the_only_target_is_asked_although_its_breaker_is_open(tmp_path: Path) -> None:
    async with StandIn(says("hello")) as claude, forwarding(tmp_path, {"claude": claude}) as house:
        claude.then(fails(429, "rate_limit_error", "limit", SPENT))
        assert (await house.ask(ASKS)).client_status == 429
        assert (await house.ask(ASKS)).status == 200
        assert house.breaker("claude").state is BreakerState.CLOSED


async def test_a_client_that_leaves_during_the_probe_frees_its_place(tmp_path: Path) -> None:
    async with StandIn(says("hello")) as claude, StandIn(says("from the second")) as gateway:
        upstreams = {"claude": claude, "gateway": gateway}
        async with forwarding(tmp_path, upstreams, breaker={"failures": 1, "cooldown": "0s"}) as house:
            claude.then(fails(400, "api_error"), raw(b"garbage"), hangs())
            await house.ask(ASKS)
            await house.ask(ASKS)
            assert house.breaker("claude").state is BreakerState.HALF_OPEN
            probe = asyncio.create_task(house.ask(ASKS))
            await claude.wait_for(lambda: len(claude.received) == 3)
            probe.cancel()
            with pytest.raises(asyncio.CancelledError):
                await probe
            await claude.wait_for(lambda: claude.open_connections == 0)
            assert (await house.ask(ASKS)).json()["content"][0]["text"] == "hello"


# --- what is noted ---------------------------------------------------------------------------------------


async def test_each_attempt_is_noted_with_its_upstream_model_credential_and_status(tmp_path: Path) -> None:
    routes = [{"to": [{"upstream": "minimax", "model": "MiniMax-M2.5"}, {"upstream": "claude"}]}]
    async with two(replies(500, b"{}"), says("hello")) as (minimax, claude):
        upstreams = {"minimax": minimax, "claude": claude}
        async with forwarding(tmp_path, upstreams, routes=routes, retry={**QUICK, "max_retries": 0}) as house:
            told = await house.ask(ASKS)
    assert [(a.upstream, a.model, a.credential, a.status) for a in told.exchange.attempts] == [
        ("minimax", "MiniMax-M2.5", "env:MINIMAX_API_KEY", 500),
        ("claude", "claude-sonnet-4-5", "client", 200),
    ]
    for attempt in told.exchange.attempts:
        assert attempt.ended is not None
        assert attempt.ended >= attempt.started


async def test_the_quota_is_read_from_anthropic_alone(tmp_path: Path) -> None:
    headers = [JSON, ("anthropic-ratelimit-unified-status", "allowed")]
    answer = replies(200, message_json(), headers)
    async with two(answer, answer) as (claude, minimax):
        routes = [to("minimax", model="claude-haiku-*"), to("claude")]
        async with forwarding(tmp_path, {"claude": claude, "minimax": minimax}, routes=routes) as house:
            native = await house.ask(ASKS)
            strange = await house.ask(message_request(BRINGS_KEY, model="claude-haiku-4-5"))
            assert house.watcher.quotas == [("claude", Quota("allowed"))]
    assert native.exchange.attempts[0].quota == Quota("allowed")
    assert strange.exchange.attempts[0].quota is None


async def test_a_quota_is_told_of_every_answer_that_states_one_before_what_becomes_of_it(tmp_path: Path) -> None:
    stated = ("anthropic-ratelimit-unified-status", "allowed")
    answers = [
        fails(429, "rate_limit_error", "limit", SPENT),
        fails(400, "invalid_request_error", "no", [stated]),
        fails(401, "authentication_error", "no", [stated]),
        replies(200, b"<html>", [("Content-Type", "text/html"), stated]),
        replies(302, b"", [("Location", "/"), stated]),
        replies(404, b"{}", [JSON]),
    ]
    async with StandIn() as claude, forwarding(tmp_path, {"claude": claude}) as house:
        for answer in answers:
            claude.then(answer)
            await house.ask(ASKS)
        told = [quota.status if quota else None for _, quota in house.watcher.quotas]
    assert told == ["rejected", "allowed", "allowed", "allowed", "allowed"]


@pytest.mark.parametrize("place", ["value", "name"])
async def test_a_quota_that_repeats_a_secret_is_none(tmp_path: Path, place: str) -> None:
    """It would be shown to whoever may ask how the daemon is."""
    prefix = "anthropic-ratelimit-unified-"
    note = (prefix + "note", f"for {CLIENT_KEY}") if place == "value" else (prefix + CLIENT_KEY, "x")
    answer = replies(200, message_json(), [JSON, (prefix + "status", "allowed"), note])
    async with StandIn(answer) as claude, forwarding(tmp_path, {"claude": claude}) as house:
        told = await house.ask(ASKS)
        assert house.watcher.quotas == []
    assert told.exchange.attempts[0].quota is None
    assert note in told.headers, "the client brought it and may read it again"


async def test_a_stream_is_told_as_it_came(tmp_path: Path) -> None:
    events = text_stream("hello")

    async def answer(_: Received, wire: Wire) -> None:
        await wire.start_stream([("request-id", "req_1")])
        for event in events:
            await wire.chunk(event)
        await wire.end()

    async with StandIn(answer) as claude, forwarding(tmp_path, {"claude": claude}) as house:
        told = await house.ask(message_request(BRINGS_KEY, stream=True))
    assert told.status == 200
    assert told.body == b"".join(events)
    assert told.header("request-id") == "req_1"

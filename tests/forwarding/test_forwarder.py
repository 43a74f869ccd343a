"""The one path: targets in order, what is told when all fail, and the exchange closed exactly once."""

import asyncio
from pathlib import Path

import pytest

from claude_proxy.exchange import End, Exchange
from claude_proxy.failures import FailureKind
from claude_proxy.upstreams.breaker import BreakerState
from claude_proxy.wire.messages import ClientRequest
from tests.client_requests import count_request, message_request, other_request
from tests.closed_port import refusing_url
from tests.forwarding.forwarding_house import (
    BRINGS_KEY,
    BRINGS_SENTINEL,
    QUICK,
    House,
    Told,
    forwarding,
    pieces,
    to,
)
from tests.stand_in import StandIn, fails, hangs, raw, replies, says, streams, text_stream, two

ASKS = message_request(BRINGS_KEY)
ONCE = {**QUICK, "max_retries": 0}
GARBAGE = raw(b"garbage\r\n\r\n")
SEARCH = {"type": "web_search_20250305", "name": "web_search"}


def text_of(told: Told) -> str:
    return str(told.json()["content"][0]["text"])


def closed_once(house: House, told: Told) -> bool:
    """Whether the observer was told of the beginning and of the end of this exchange, and once."""
    watcher = house.watcher
    return all(
        [one for one in told_of if one is told.exchange] == [told.exchange]
        for told_of in (watcher.begun, watcher.closes)
    )


# --- the order -------------------------------------------------------------------------------------------


async def test_the_first_target_answers_and_no_other_is_asked(tmp_path: Path) -> None:
    async with (
        two(says("first"), says("second")) as (claude, gateway),
        forwarding(tmp_path, {"claude": claude, "gateway": gateway}) as house,
    ):
        told = await house.ask(ASKS)
        assert closed_once(house, told)
    assert text_of(told) == "first"
    assert gateway.connections == 0
    assert (told.exchange.upstream, told.exchange.route, told.exchange.end) == ("claude", "everything", End.COMPLETE)
    assert told.exchange.status == 200


async def test_targets_are_asked_in_their_order_until_one_answers(tmp_path: Path) -> None:
    async with two(GARBAGE, says("third")) as (claude, minimax), StandIn(fails(529, "overloaded_error")) as gateway:
        upstreams = {"gateway": gateway, "claude": claude, "minimax": minimax}
        async with forwarding(tmp_path, upstreams, retry=ONCE) as house:
            told = await house.ask(ASKS)
            assert house.watcher.failed == [
                ("gateway", FailureKind.OVERLOADED),
                ("claude", FailureKind.MALFORMED),
            ]
            assert closed_once(house, told)
    assert text_of(told) == "third"
    assert told.exchange.upstream == "minimax"
    assert [attempt.upstream for attempt in told.exchange.attempts] == ["gateway", "claude", "minimax"]
    assert told.exchange.failure is None


async def test_a_request_goes_along_the_route_that_matches_it(tmp_path: Path) -> None:
    routes = [to("minimax", model="claude-haiku-*"), to("claude")]
    async with (
        two(says("small"), says("large")) as (minimax, claude),
        forwarding(tmp_path, {"minimax": minimax, "claude": claude}, routes=routes) as house,
    ):
        small = await house.ask(message_request(BRINGS_KEY, model="claude-haiku-4-5"))
        large = await house.ask(ASKS)
        search = await house.ask(message_request(BRINGS_KEY, model="claude-haiku-4-5", tools=[SEARCH]))
    assert [text_of(told) for told in (small, large, search)] == ["small", "large", "large"]
    assert small.exchange.route == "model claude-haiku-*"


async def test_a_target_without_a_credential_is_passed_over(tmp_path: Path) -> None:
    async with (
        two(says("small"), says("large")) as (minimax, claude),
        forwarding(tmp_path, {"minimax": minimax, "claude": claude}, sources={"minimax": ["env:NOT_SET"]}) as house,
    ):
        told = await house.ask(ASKS)
        assert house.watcher.skips == [("minimax", FailureKind.NO_CREDENTIAL)]
        assert house.watcher.failed == []
    assert text_of(told) == "large"
    assert minimax.connections == 0
    assert [attempt.upstream for attempt in told.exchange.attempts] == ["claude"]


async def test_a_count_goes_to_the_next_target_where_the_first_has_no_credential(tmp_path: Path) -> None:
    async with (
        two() as (minimax, claude),
        forwarding(tmp_path, {"minimax": minimax, "claude": claude}, sources={"minimax": ["env:NOT_SET"]}) as house,
    ):
        told = await house.ask(count_request(BRINGS_KEY))
    assert told.json() == {"input_tokens": 42}


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "DELETE"])
async def test_a_request_that_names_no_model_goes_to_the_first_anthropic_upstream_alone(
    tmp_path: Path, method: str
) -> None:
    async with (
        two(fails(529, "overloaded_error"), says()) as (claude, gateway),
        forwarding(tmp_path, {"claude": claude, "gateway": gateway}, routes=[to("kimi", "claude", "gateway")]) as house,
    ):
        told = await house.ask(other_request(method, "/v1/other", BRINGS_KEY))
    assert told.exchange.route == "pass-through"
    assert [received.method for received in claude.received] == [method]
    assert gateway.connections == 0


async def test_a_request_that_names_no_model_needs_an_anthropic_upstream(tmp_path: Path) -> None:
    strangers = {"claude": {"dialect": "compatible", "credential": "kimi"}}
    strangers["gateway"] = strangers["claude"]
    async with forwarding(tmp_path, {"kimi": "http://127.0.0.1:9"}, of_upstreams=strangers) as house:
        told = await house.ask(other_request("GET", "/v1/models", BRINGS_KEY))
        assert closed_once(house, told)
    assert (told.kind, told.client_status) == (FailureKind.UNSUPPORTED, 501)
    assert told.failure is not None
    assert "no Anthropic upstream is configured" in told.failure.message


# --- what is told when all fail --------------------------------------------------------------------------


async def test_the_first_failure_is_told_when_all_targets_fail(tmp_path: Path) -> None:
    first = fails(429, "rate_limit_error", "the first's own words", [("retry-after", "3600")])
    async with (
        two(first, fails(500, "api_error", "second")) as (claude, gateway),
        forwarding(tmp_path, {"claude": claude, "gateway": gateway}, retry=ONCE) as house,
    ):
        told = await house.ask(ASKS)
        assert closed_once(house, told)
    assert told.client_status == 429
    assert told.failure is not None
    assert told.failure.said is not None
    assert b"the first's own words" in told.failure.said.body
    assert told.exchange.failure is told.failure
    assert (told.exchange.end, told.exchange.status, told.exchange.upstream) == (End.FAILED, 429, "")


async def test_the_first_targets_own_words_are_told_though_its_breaker_opened(tmp_path: Path) -> None:
    async with (
        two(fails(529, "overloaded_error", "first"), fails(529, "overloaded_error", "second")) as (claude, gateway),
        forwarding(tmp_path, {"claude": claude, "gateway": gateway}, breaker={"failures": 1}) as house,
    ):
        told = await house.ask(ASKS)
    assert told.failure is not None
    assert (told.failure.message, told.failure.upstream) == ("first", "claude")


async def test_a_target_that_was_passed_over_is_not_what_the_client_is_told_of(tmp_path: Path) -> None:
    async with (
        StandIn(fails(529, "overloaded_error", "claude is busy")) as claude,
        forwarding(
            tmp_path,
            {"minimax": "http://127.0.0.1:9", "claude": claude},
            sources={"minimax": ["env:NOT_SET"]},
            retry=ONCE,
        ) as house,
    ):
        told = await house.ask(ASKS)
    assert told.failure is not None
    assert told.failure.message == "claude is busy"


async def test_when_all_were_passed_over_the_client_is_told_why_the_first_was(tmp_path: Path) -> None:
    async with forwarding(
        tmp_path,
        {"minimax": "http://127.0.0.1:9", "claude": "http://127.0.0.1:9"},
        sources={"minimax": ["env:NOT_SET"]},
    ) as house:
        told = await house.ask(message_request(BRINGS_SENTINEL))
        assert house.watcher.skips == [
            ("minimax", FailureKind.NO_CREDENTIAL),
            ("claude", FailureKind.NO_CREDENTIAL),
        ]
        assert closed_once(house, told)
    assert told.failure is not None
    assert told.failure.message.startswith("no credential for minimax")
    assert (told.client_status, told.exchange.attempts) == (403, [])


async def test_a_failure_that_no_other_target_could_mend_is_told_at_once(tmp_path: Path) -> None:
    async with (
        two(fails(400, "invalid_request_error", "messages: at least one"), says()) as (claude, gateway),
        forwarding(tmp_path, {"claude": claude, "gateway": gateway}) as house,
    ):
        told = await house.ask(ASKS)
    assert told.client_status == 400
    assert gateway.connections == 0


# --- a breaker on the way --------------------------------------------------------------------------------


async def test_a_target_is_the_last_resort_when_all_behind_it_are_left_alone(tmp_path: Path) -> None:
    async with (
        two(says("claude"), says("gateway")) as (claude, gateway),
        forwarding(tmp_path, {"claude": claude, "gateway": gateway}, breaker={"failures": 1}, retry=ONCE) as house,
    ):
        claude.then(GARBAGE)
        gateway.then(GARBAGE)
        assert (await house.ask(ASKS)).kind is FailureKind.MALFORMED
        assert house.breaker("claude").state is house.breaker("gateway").state is BreakerState.OPEN
        assert text_of(await house.ask(ASKS)) == "claude"


async def test_targets_left_alone_are_passed_over_while_any_behind_them_is_not(tmp_path: Path) -> None:
    async with two(GARBAGE, GARBAGE) as (claude, gateway), StandIn(says("kimi")) as kimi:
        upstreams = {"claude": claude, "gateway": gateway, "kimi": kimi}
        async with forwarding(tmp_path, upstreams, breaker={"failures": 1}, retry=ONCE) as house:
            assert text_of(await house.ask(ASKS)) == "kimi"
            assert text_of(await house.ask(ASKS)) == "kimi"
        assert (len(claude.received), len(gateway.received), len(kimi.received)) == (1, 1, 2)


# --- the end ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_of", [ASKS, message_request(BRINGS_KEY, stream=True), other_request("GET", "/v1/models", BRINGS_KEY)]
)
async def test_an_exchange_is_timed_and_closed_once(tmp_path: Path, request_of: ClientRequest) -> None:
    async with StandIn() as claude, forwarding(tmp_path, {"claude": claude}) as house:
        told = await house.ask(request_of)
        assert closed_once(house, told)
    exchange = told.exchange
    assert exchange.end is End.COMPLETE
    assert exchange.first_byte is not None
    assert exchange.ended is not None
    assert exchange.started <= exchange.first_byte <= exchange.ended


async def test_a_client_that_leaves_before_the_answer_ends_the_call_and_is_nobodys_failure(tmp_path: Path) -> None:
    async with (
        StandIn(hangs()) as claude,
        forwarding(tmp_path, {"claude": claude}, breaker={"failures": 1}) as house,
    ):
        asking = asyncio.create_task(house.ask(ASKS))
        await claude.wait_for(lambda: len(claude.received) == 1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await claude.wait_for(lambda: claude.open_connections == 0)
        [exchange] = house.watcher.closes
        assert exchange.end is End.CLIENT_GONE
        assert exchange.failure is not None
        assert exchange.failure.kind is FailureKind.CLIENT_GONE
        assert exchange.first_byte is None
        assert house.breaker("claude").state is BreakerState.CLOSED
        assert house.watcher.failed == []
        assert len(claude.received) == 1


async def test_a_client_whose_connection_breaks_while_it_is_written_to_has_left(tmp_path: Path) -> None:
    async with StandIn(hangs(text_stream("hi")[:2])) as claude, forwarding(tmp_path, {"claude": claude}) as house:
        exchange = Exchange(message_request(BRINGS_KEY, stream=True))

        async def write_to_nobody() -> None:
            async with house.forwarder.forward(exchange) as reply:
                async for _ in pieces(reply):
                    raise ConnectionResetError("Cannot write to closing transport")

        with pytest.raises(ConnectionResetError):
            await write_to_nobody()
        await claude.wait_for(lambda: claude.open_connections == 0)
        assert house.watcher.closes == [exchange]
        assert (exchange.end, exchange.status) == (End.CLIENT_GONE, 200)


async def test_a_fault_of_our_own_while_answering_closes_the_exchange_as_failed(tmp_path: Path) -> None:
    async with StandIn(hangs(text_stream("hi")[:2])) as claude, forwarding(tmp_path, {"claude": claude}) as house:
        exchange = Exchange(message_request(BRINGS_KEY, stream=True))

        async def fail() -> None:
            async with house.forwarder.forward(exchange):
                raise RuntimeError("a fault of the web room")

        with pytest.raises(RuntimeError, match="a fault of the web room"):
            await fail()
        await claude.wait_for(lambda: claude.open_connections == 0)
        assert house.watcher.closes == [exchange]
        assert exchange.end is End.FAILED


async def test_an_exchange_keeps_the_routes_that_it_began_with(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    async with (
        two(GARBAGE, says("of the old routes")) as (claude, gateway),
        StandIn(says("of the new routes")) as later,
        forwarding(tmp_path, {"claude": claude, "gateway": gateway}) as house,
        forwarding(tmp_path / "other", {"claude": later}) as other,
    ):
        go_on = asyncio.Event()

        async def waits(*_: object) -> None:
            await go_on.wait()
            await GARBAGE(*_)  # type: ignore[arg-type]  # handed on as they came

        claude.then(waits)
        asking = asyncio.create_task(house.ask(ASKS))
        await claude.wait_for(lambda: len(claude.received) == 1)
        house.forwarder.routes = other.forwarder.routes
        go_on.set()
        assert text_of(await asking) == "of the old routes"
        assert text_of(await house.ask(ASKS)) == "of the new routes"


async def test_two_hundred_requests_at_once_get_each_its_own_answer(tmp_path: Path) -> None:
    async with StandIn() as claude, forwarding(tmp_path, {"claude": claude}) as house:
        claude.answer = streams(text_stream("hello"))
        asked = [message_request(BRINGS_KEY, stream=True, text=f"number {number}") for number in range(200)]
        told = await asyncio.gather(*(house.ask(request) for request in asked))
        assert len(house.watcher.closes) == 200
    assert all(one.failure is None for one in told)
    assert {received.body for received in claude.received} == {request.body for request in asked}


async def test_an_upstream_that_is_not_there_and_one_that_is_none_both_give_way(tmp_path: Path) -> None:
    with refusing_url() as url:
        async with StandIn(replies(200, b"")) as gateway, StandIn(says("kimi")) as kimi:
            upstreams: dict[str, StandIn | str] = {"claude": url, "gateway": gateway, "kimi": kimi}
            async with forwarding(tmp_path, upstreams) as house:
                told = await house.ask(ASKS)
                assert [kind for _, kind in house.watcher.failed] == [
                    FailureKind.CONNECT,
                    FailureKind.CONNECT,
                    FailureKind.MALFORMED,
                ]
    assert text_of(told) == "kimi"

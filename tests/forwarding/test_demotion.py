"""A whole message from an upstream that was asked for a stream: which stream is good for one, what a break costs."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from claude_proxy.exchange import End, Exchange
from claude_proxy.failures import FailureKind
from claude_proxy.upstreams.breaker import BreakerState
from claude_proxy.wire.usage import Usage
from tests.claude_request import stored_login
from tests.client_requests import count_request, message_request
from tests.forwarding.forwarding_house import BRINGS_KEY, BRINGS_SENTINEL, House, forwarding
from tests.in_process import turns_of_the_loop
from tests.running import eventually
from tests.stand_in import (
    Answer,
    Received,
    StandIn,
    Wire,
    block,
    error_body,
    fails,
    hangs,
    message_end,
    message_json,
    message_start,
    replies,
    says,
    sse,
    streams,
    text_block,
    text_stream,
    two,
)

ASKS = message_request(BRINGS_KEY)
STARTED = [message_start(input_tokens=11), *text_block("half an answer")[:2]]
GARBLED = b"event: content_block_delta\ndata: {broken\n\n"
DEMOTES = {"demote_nonstreaming": True}


def error_event(kind: str) -> bytes:
    return b"event: error\ndata: " + error_body(kind, "said the upstream") + b"\n\n"


@asynccontextmanager
async def demoting(home: Path, upstreams: Mapping[str, StandIn | str], **settings: Any) -> AsyncIterator[House]:
    async with forwarding(home, upstreams, transport={**DEMOTES, **settings.pop("transport", {})}, **settings) as house:
        yield house


# --- what is an answer -----------------------------------------------------------------------------------


async def test_a_stream_becomes_the_message_that_was_asked_for(tmp_path: Path) -> None:
    headers = [("request-id", "req_1"), ("anthropic-ratelimit-unified-status", "allowed"), ("Set-Cookie", "a=b")]
    async with StandIn(says("hello", headers)) as claude, demoting(tmp_path, {"claude": claude}) as house:
        told = await house.ask(ASKS)
        assert claude.received[0].json()["stream"] is True
        assert house.breaker("claude").state is BreakerState.CLOSED
    assert told.status == 200
    assert told.json()["content"] == [{"type": "text", "text": "hello"}]
    assert told.exchange.end is End.COMPLETE
    assert told.exchange.usage == Usage(input_tokens=10, output_tokens=7)
    assert sorted(told.headers) == [
        ("Content-Type", "application/json"),
        ("anthropic-ratelimit-unified-status", "allowed"),
        ("request-id", "req_1"),
    ]


async def test_a_message_that_comes_at_once_is_an_answer_too(tmp_path: Path) -> None:
    body = message_json("hello").replace(b",", b" ,")
    async with StandIn(replies(200, body)) as claude, demoting(tmp_path, {"claude": claude}) as house:
        told = await house.ask(ASKS)
    assert (told.status, told.body) == (200, body)
    assert told.exchange.usage.output_tokens == 7


@pytest.mark.parametrize("opening", [b": waiting\n\n", sse("ping", {"type": "ping"}), b"\n\n"])
async def test_what_comes_before_the_message_is_no_part_of_it(tmp_path: Path, opening: bytes) -> None:
    async with (
        StandIn(streams([opening, *text_stream("hello")])) as claude,
        demoting(tmp_path, {"claude": claude}) as house,
    ):
        told = await house.ask(ASKS)
    assert told.json()["content"][0]["text"] == "hello"


async def test_a_connection_is_used_again_though_its_end_comes_after_the_message(tmp_path: Path) -> None:
    async def ends_later(_: Received, wire: Wire) -> None:
        await wire.start_stream()
        await wire.chunk(b"".join(text_stream("hello")))
        await turns_of_the_loop(20)
        await wire.end()

    async with StandIn(ends_later) as claude, demoting(tmp_path, {"claude": claude}) as house:
        for _ in range(3):
            assert (await house.ask(ASKS)).status == 200
        assert claude.connections == 1


async def test_a_message_is_whole_with_its_last_event_however_the_connection_ends(tmp_path: Path) -> None:
    async def resets_after_all_was_said(_: Received, wire: Wire) -> None:
        await wire.start_stream()
        await wire.chunk(b"".join(text_stream("hello")) + b"event: err")
        wire.close()

    for answer in (hangs(text_stream("hello")), resets_after_all_was_said):
        async with StandIn(answer) as claude, demoting(tmp_path, {"claude": claude}) as house:
            told = await house.ask(ASKS)
            assert told.json()["content"][0]["text"] == "hello"
            await claude.wait_for(lambda: claude.open_connections == 0)
            assert house.watcher.failed == []


async def test_failures_are_in_a_row_no_more_after_a_whole_message(tmp_path: Path) -> None:
    async with StandIn() as claude, demoting(tmp_path, {"claude": claude}, breaker={"failures": 2}) as house:
        claude.then(streams(STARTED), says("hello"), streams(STARTED))
        for expected in (FailureKind.MALFORMED, None, FailureKind.MALFORMED):
            assert (await house.ask(ASKS)).kind is expected
        assert house.breaker("claude").state is BreakerState.CLOSED


async def test_what_asks_for_a_stream_or_a_count_is_left_alone(tmp_path: Path) -> None:
    asks_for_stream = message_request(BRINGS_KEY, stream=True)
    async with StandIn() as claude, demoting(tmp_path, {"claude": claude}) as house:
        assert b"event: message_stop" in (await house.ask(asks_for_stream)).body
        assert (await house.ask(count_request(BRINGS_KEY))).json() == {"input_tokens": 42}
        assert claude.received[0].body == asks_for_stream.body
        assert "stream" not in claude.received[1].json()


async def test_a_stranger_is_asked_as_the_client_asks(tmp_path: Path) -> None:
    async with StandIn() as minimax, demoting(tmp_path, {"minimax": minimax}) as house:
        told = await house.ask(ASKS)
        assert minimax.received[0].json()["stream"] is False
    assert told.json()["content"][0]["text"] == "hello"


# --- time ------------------------------------------------------------------------------------------------


async def test_only_its_silence_ends_a_message_that_has_begun(tmp_path: Path) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(_: Received, wire: Wire) -> None:
        await wire.start_stream()
        await wire.chunk(message_start())
        begun.set()
        await go_on.wait()
        await wire.chunk(b"".join([*text_block("slowly"), *text_stream()[-2:]]))
        await wire.end()

    async with StandIn(hangs()) as claude:
        claude.then(slowly)
        async with demoting(tmp_path, {"claude": claude}, transport={"header_timeout": "300ms"}) as house:
            asking = asyncio.create_task(house.ask(ASKS))
            await begun.wait()
            later = await house.ask(ASKS)  # asked after it, and given up before it
            assert later.kind is FailureKind.TIMEOUT
            go_on.set()
            told = await asking
    assert told.failure is None
    assert told.json()["content"][0]["text"] == "slowly"


@pytest.mark.parametrize("opening", [[], [b": waiting\n\n", sse("ping", {"type": "ping"})]], ids=["nothing", "pings"])
async def test_a_message_that_does_not_begin_in_time_is_given_up(tmp_path: Path, opening: list[bytes]) -> None:
    async with StandIn(hangs([*opening, b"event: mess"])) as claude:
        async with demoting(tmp_path, {"claude": claude}, transport={"header_timeout": "200ms"}) as house:
            told = await house.ask(ASKS)
            await claude.wait_for(lambda: claude.open_connections == 0)
        assert len(claude.received) == 1
    assert (told.kind, told.client_status) == (FailureKind.TIMEOUT, 504)
    assert told.exchange.attempts[0].usage is None


# --- breaks ----------------------------------------------------------------------------------------------


class Break(NamedTuple):
    """A stream that breaks, of which kind that is, what a client is told and whether in the upstream's words."""

    answer: Answer
    kind: FailureKind = FailureKind.MALFORMED
    status: int = 502
    said: bool = False


async def is_cut(_: Received, wire: Wire) -> None:
    await wire.start_stream()
    await wire.chunk(b"".join(STARTED))
    wire.close()


def errs(event: bytes) -> Answer:
    return streams([*STARTED, event])


INPUT = {"type": "input_json_delta", "partial_json": "{"}
NO_INPUT = block(0, {"type": "tool_use", "id": "toolu_1", "name": "n", "input": {}}, INPUT)

BREAKS = {
    "it ends without message_stop": Break(streams(STARTED)),
    "it is cut": Break(is_cut),
    "its last event is torn": Break(streams([*STARTED, *text_stream()[3:-1], text_stream()[-1][:-1]])),
    "it falls silent": Break(hangs(STARTED), FailureKind.TIMEOUT, 504),
    "an event cannot be read": Break(streams([*STARTED, GARBLED, *text_stream()[3:]])),
    "an input is none": Break(streams([message_start(input_tokens=11), *NO_INPUT, *message_end("tool_use")])),
    "an event without end": Break(streams([*STARTED, b"data: " + b"x" * (9 << 20)])),
    "overloaded": Break(errs(error_event("overloaded_error")), FailureKind.OVERLOADED, 529, said=True),
    "a fault": Break(errs(error_event("api_error")), FailureKind.SERVER_ERROR, 500, said=True),
    "a limit": Break(errs(error_event("rate_limit_error")), FailureKind.RATE_LIMIT, 429, said=True),
    "an unknown error": Break(errs(error_event("error_of_tomorrow")), said=True),
    "an error that cannot be read": Break(errs(b"event: error\ndata: {\n\n")),
}


@pytest.mark.parametrize("broken", BREAKS.values(), ids=BREAKS)
async def test_a_message_that_breaks_is_had_elsewhere_and_not_asked_for_twice(tmp_path: Path, broken: Break) -> None:
    async with two(broken.answer, says("from the second")) as (claude, gateway):
        upstreams = {"claude": claude, "gateway": gateway}
        async with demoting(tmp_path, upstreams, transport={"stream_idle_timeout": "300ms"}) as house:
            told = await house.ask(ASKS)
            await claude.wait_for(lambda: claude.open_connections == 0 or broken.status != 504)
        assert house.watcher.failed == [("claude", broken.kind)]
        assert (len(claude.received), len(gateway.received)) == (1, 1)
    assert told.json()["content"] == [{"type": "text", "text": "from the second"}]
    first, second = told.exchange.attempts
    assert first.usage is not None
    assert first.usage.input_tokens == 11
    assert told.exchange.usage == Usage(input_tokens=10, output_tokens=7) == second.usage


@pytest.mark.parametrize("broken", BREAKS.values(), ids=BREAKS)
async def test_a_message_that_breaks_is_told_as_one_error_where_nobody_else_is_left(
    tmp_path: Path, broken: Break
) -> None:
    async with StandIn(broken.answer) as claude:
        async with demoting(tmp_path, {"claude": claude}, transport={"stream_idle_timeout": "300ms"}) as house:
            told = await house.ask(ASKS)
        assert len(claude.received) == 1
    assert (told.kind, told.client_status) == (broken.kind, broken.status)
    assert told.failure is not None
    said = told.failure.said
    assert (said is not None) == broken.said
    if said is not None:
        assert b"said the upstream" in said.body
        assert said.headers == (("Content-Type", "application/json"),)


@pytest.mark.parametrize(
    ("error_type", "status", "asked"),
    [
        ("overloaded_error", 529, 4),
        ("api_error", 500, 4),
        ("invalid_request_error", 400, 1),
        ("rate_limit_error", 429, 1),
    ],
)
async def test_an_error_before_the_message_is_what_a_refusal_would_be(
    tmp_path: Path, error_type: str, status: int, asked: int
) -> None:
    answer = streams([sse("ping", {"type": "ping"}), error_event(error_type)], [("request-id", "req_1")])
    async with StandIn(answer) as claude, demoting(tmp_path, {"claude": claude}) as house:
        told = await house.ask(ASKS)
        assert len(claude.received) == asked
    assert told.client_status == status
    assert told.failure is not None
    assert told.failure.said is not None
    assert told.failure.said.body == error_body(error_type, "said the upstream")
    assert sorted(told.failure.said.headers) == [("Content-Type", "application/json"), ("request-id", "req_1")]


async def test_a_refusal_is_one_as_ever(tmp_path: Path) -> None:
    async with StandIn(says("hello")) as claude, demoting(tmp_path, {"claude": claude}) as house:
        claude.then(fails(529, "overloaded_error"))
        assert (await house.ask(ASKS)).status == 200
        assert len(claude.received) == 2


async def test_not_even_a_newer_login_is_a_reason_to_be_billed_twice(tmp_path: Path) -> None:
    stored = tmp_path / ".claude" / ".credentials.json"
    stored.parent.mkdir()
    stored.write_text(stored_login("sk-ant-oat01-FAKE-first"))

    async def refuses_amid(received: Received, wire: Wire) -> None:
        stored.write_text(stored_login("sk-ant-oat01-FAKE-second"))
        await errs(error_event("authentication_error"))(received, wire)

    async with StandIn(refuses_amid) as claude:
        async with demoting(tmp_path, {"claude": claude}, sources={"claude": ["client", "file"]}) as house:
            told = await house.ask(message_request(BRINGS_SENTINEL))
            assert house.watcher.failed == [("claude", FailureKind.STALE_TOKEN)]
        assert len(claude.received) == 1
    assert told.client_status == 403


async def test_no_more_of_a_message_is_held_than_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claude_proxy.forwarding.commit.MAX_WHOLE", 100_000)
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x" * 10_000}}
    answer = hangs([*STARTED, *[sse("content_block_delta", delta)] * 11])
    async with StandIn(answer) as claude, demoting(tmp_path, {"claude": claude}) as house:
        told = await house.ask(ASKS)  # although the upstream never ends it
        await claude.wait_for(lambda: claude.open_connections == 0)
    assert told.kind is FailureKind.MALFORMED
    assert told.failure is not None
    assert told.failure.message == "claude: the stream describes a message of more than 100000 bytes"


# --- the client leaves -----------------------------------------------------------------------------------


async def test_what_was_metered_when_the_client_left_is_kept(tmp_path: Path) -> None:
    async with (
        StandIn(hangs(STARTED)) as claude,
        demoting(tmp_path, {"claude": claude}, breaker={"failures": 1}) as house,
    ):
        exchange = Exchange(ASKS)

        async def ask() -> None:
            async with house.forwarder.forward(exchange):
                raise AssertionError("there is no answer")

        asking = asyncio.create_task(ask())
        await eventually(lambda: bool(exchange.attempts) and exchange.attempts[0].usage is not None)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await claude.wait_for(lambda: claude.open_connections == 0)
        assert house.watcher.closes == [exchange]
        assert house.watcher.failed == []
        assert house.breaker("claude").state is BreakerState.CLOSED
    assert (exchange.end, exchange.upstream) == (End.CLIENT_GONE, "claude")
    assert exchange.usage == Usage(input_tokens=11, output_tokens=1)

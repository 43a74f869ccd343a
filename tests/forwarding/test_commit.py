"""The last look before the client sees a byte: which stream is an answer. Whole answers: test_commit_whole.py."""

import asyncio
from pathlib import Path

import pytest

from claude_proxy.exchange import Exchange
from claude_proxy.failures import FailureKind
from claude_proxy.forwarding.commit import MAX_HELD
from tests.forwarding.committing import ONCE, STREAM, ask, elsewhere
from tests.forwarding.forwarding_house import forwarding, pieces
from tests.stand_in import (
    Received,
    StandIn,
    Wire,
    error_body,
    hangs,
    message_start,
    sse,
    streams,
    text_stream,
    two,
)

GOOD = text_stream("hello")
PING = sse("ping", {"type": "ping"})
COMMENT = b": waiting\n\n"
UNKNOWN = sse("something_new", {"type": "something_new"})


def error_event(kind: str, message: str = "no") -> bytes:
    return sse("error", {"type": "error", "error": {"type": kind, "message": message}})


# --- streams that are good -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "before",
    [[], [PING], [COMMENT], [UNKNOWN], [COMMENT, PING], [b"\n\n"], [b"\xef\xbb\xbf"]],
    ids=["message_start", "a ping", "a comment", "an unknown event", "both", "blank lines", "a byte order mark"],
)
async def test_a_stream_passes_byte_for_byte_whatever_comes_before_its_message(
    tmp_path: Path, before: list[bytes]
) -> None:
    told = await ask(tmp_path, streams([*before, *GOOD]), STREAM)
    assert told.failure is None
    assert told.body == b"".join([*before, *GOOD])


@pytest.mark.parametrize("line_end", [b"\r\n", b"\r", b"\n"])
async def test_every_line_end_of_the_protocol_is_understood(tmp_path: Path, line_end: bytes) -> None:
    events = [event.replace(b"\n", line_end) for event in GOOD]
    told = await ask(tmp_path, streams(events), STREAM)
    assert told.failure is None
    assert told.body == b"".join(events)


async def test_a_stream_cut_into_single_bytes_passes_byte_for_byte(tmp_path: Path) -> None:
    whole = b"".join(GOOD)
    told = await ask(tmp_path, streams([whole[at : at + 1] for at in range(len(whole))]), STREAM)
    assert told.failure is None
    assert told.body == whole


@pytest.mark.parametrize("opening", [PING, COMMENT, message_start()], ids=["a ping", "a comment", "message_start"])
async def test_the_first_sign_of_life_is_passed_on_at_once_and_commits(tmp_path: Path, opening: bytes) -> None:
    go_on = asyncio.Event()

    async def answer(_: Received, wire: Wire) -> None:
        await wire.start_stream()
        await wire.chunk(opening)
        await go_on.wait()
        await wire.chunk(b"".join(GOOD))
        await wire.end()

    async with (
        StandIn(answer) as claude,
        forwarding(tmp_path, {"claude": claude}) as house,
        asyncio.timeout(20),
        house.forwarder.forward(Exchange(STREAM)) as reply,
    ):
        chunks = pieces(reply)
        assert await anext(chunks) == opening
        go_on.set()
        assert b"".join([chunk async for chunk in chunks]) == b"".join(GOOD)


async def test_an_error_after_the_first_sign_of_life_is_the_clients_to_read(tmp_path: Path) -> None:
    events = [PING, error_event("overloaded_error")]
    async with two(streams(events)) as (claude, gateway):
        async with forwarding(tmp_path, {"claude": claude, "gateway": gateway}) as house:
            told = await house.ask(STREAM)
        assert (told.status, told.body) == (200, b"".join(events))
        assert gateway.received == []


# --- streams that begin with an error --------------------------------------------------------------------

BY_TYPE = {
    "overloaded_error": FailureKind.OVERLOADED,
    "api_error": FailureKind.SERVER_ERROR,
    "timeout_error": FailureKind.SERVER_ERROR,
    "rate_limit_error": FailureKind.RATE_LIMIT,
    "billing_error": FailureKind.RATE_LIMIT,
    "something_else": FailureKind.MALFORMED,
}


@pytest.mark.parametrize(("error_type", "kind"), BY_TYPE.items())
async def test_a_stream_that_begins_with_an_error_is_answered_elsewhere(
    tmp_path: Path, error_type: str, kind: FailureKind
) -> None:
    failed, told = await elsewhere(tmp_path, streams([error_event(error_type)]), STREAM)
    assert failed is kind
    assert b"from the" in told.body
    assert b"error" not in told.body


@pytest.mark.parametrize("pieces", [2, 7, 1000])
async def test_an_error_that_is_split_over_packets_is_recognised(tmp_path: Path, pieces: int) -> None:
    event = error_event("overloaded_error")
    size = max(1, len(event) // pieces)
    cut = [event[at : at + size] for at in range(0, len(event), size)]
    failed, told = await elsewhere(tmp_path, streams(cut), STREAM)
    assert failed is FailureKind.OVERLOADED
    assert told.failure is None


@pytest.mark.parametrize(
    "before", [b"\n\n", b"\r\n\r\n", b"\xef\xbb\xbf"], ids=["blank lines", "CRLF", "a byte order mark"]
)
async def test_an_error_behind_what_says_nothing_is_recognised(tmp_path: Path, before: bytes) -> None:
    failed, _ = await elsewhere(tmp_path, streams([before, error_event("overloaded_error")]), STREAM)
    assert failed is FailureKind.OVERLOADED


async def test_an_error_event_without_its_name_is_recognised(tmp_path: Path) -> None:
    nameless = b"data: " + error_body("overloaded_error", "no") + b"\n\n"
    failed, _ = await elsewhere(tmp_path, streams([nameless]), STREAM)
    assert failed is FailureKind.OVERLOADED


async def test_a_first_error_is_told_in_the_upstreams_own_words_when_nobody_else_is_left(tmp_path: Path) -> None:
    told = await ask(tmp_path, streams([error_event("overloaded_error", "Overloaded, said the upstream")]), STREAM)
    assert told.kind is FailureKind.OVERLOADED
    assert told.failure is not None
    assert told.failure.said is not None
    assert b"Overloaded, said the upstream" in told.failure.said.body


async def test_a_first_error_that_is_the_requests_fault_is_asked_nowhere_else(tmp_path: Path) -> None:
    answer = streams([error_event("invalid_request_error", "prompt is too long: 3 tokens > 2 maximum")])
    async with two(answer) as (claude, gateway):
        async with forwarding(tmp_path, {"claude": claude, "gateway": gateway}) as house:
            told = await house.ask(STREAM)
        assert gateway.received == []
    assert told.kind is FailureKind.CONTEXT_WINDOW


async def test_a_first_error_is_tried_again_where_its_kind_is(tmp_path: Path) -> None:
    async with StandIn(streams(GOOD)) as claude, forwarding(tmp_path, {"claude": claude}) as house:
        claude.then(streams([error_event("overloaded_error")]))
        told = await house.ask(STREAM)
        assert len(claude.received) == 2
    assert told.body == b"".join(GOOD)


# --- streams that are none -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [b"\n\n\n"],
        [b"event: message_start\ndata: {"],
        [b"event: error\ndata: not JSON\n\n"],
        [b"event: error\n\n"],
        [b"<html>" * 60_000],
        [b"x" * 1000] * (MAX_HELD // 1000 + 2),
    ],
    ids=["empty", "blank", "half an event", "an unreadable error", "an error without data", "a page", "no event"],
)
async def test_a_stream_without_a_good_beginning_is_no_answer(tmp_path: Path, chunks: list[bytes]) -> None:
    failed, told = await elsewhere(tmp_path, streams(chunks), STREAM)
    assert failed is FailureKind.MALFORMED
    assert told.failure is None


async def test_no_more_of_a_stream_is_held_than_the_bound(tmp_path: Path) -> None:
    answer = hangs([b"x" * 1024] * (MAX_HELD // 1024 + 1))
    async with StandIn(answer) as claude, forwarding(tmp_path, {"claude": claude}, retry=ONCE) as house:
        told = await house.ask(STREAM)  # although the upstream never ends it
        await claude.wait_for(lambda: claude.open_connections == 0)
    assert told.kind is FailureKind.MALFORMED


async def test_a_stream_that_falls_silent_before_its_first_event_is_a_timeout(tmp_path: Path) -> None:
    settings = {"stream_idle_timeout": "50ms"}
    async with StandIn(hangs([b"event: mess"])) as claude:
        async with forwarding(tmp_path, {"claude": claude}, transport=settings) as house:
            told = await house.ask(STREAM)
            await claude.wait_for(lambda: claude.open_connections == 0)
        assert len(claude.received) == 1
    assert told.kind is FailureKind.TIMEOUT

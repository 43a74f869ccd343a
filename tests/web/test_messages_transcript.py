"""What went to the client is kept for those who watch: by reference, up to a limit, and only if that is wanted."""

import asyncio
from pathlib import Path

import pytest

from claude_proxy.exchange import Transcript
from tests.client_requests import message_request
from tests.stand_in import Received, Wire, says, streams, text_stream
from tests.web.test_messages_writing import EVENTS, STREAM, Door, door, stream_of

WHOLE = message_request()


async def kept(told: Door, body: bytes, keeps: int | None = 1 << 20) -> tuple[Transcript | None, bytes]:
    """The transcript of an answer, and the body that the client got."""
    told.house.forwarder.keeps = keeps
    answer = await told.answer("POST", "/v1/messages", body=body)
    return (await told.exchange()).transcript, answer.body


@pytest.mark.parametrize("body", [WHOLE.body, STREAM.body], ids=["whole", "stream"])
async def test_a_transcript_holds_what_the_client_got(tmp_path: Path, body: bytes) -> None:
    async with door(tmp_path, streams(EVENTS) if body is STREAM.body else says()) as told:
        transcript, got = await kept(told, body)
        headers = dict((await told.exchange()).answer_headers)
    assert transcript is not None
    assert got
    assert b"".join(transcript.blocks) == got
    assert (transcript.size, transcript.cut) == (len(got), False)
    assert "Content-Type" in headers


async def test_a_transcript_holds_each_event_that_comes_by_itself(tmp_path: Path) -> None:
    on = asyncio.Event()

    async def answer(_: Received, wire: Wire) -> None:
        await wire.start_stream()
        for event in EVENTS:
            await wire.chunk(event)
            await on.wait()
            on.clear()
        await wire.end()

    async with door(tmp_path, answer) as told:
        told.house.forwarder.keeps = 1 << 20
        async with told.asked("POST", "/v1/messages", body=STREAM.body) as client:
            for event in EVENTS:
                assert await client.read_until(lambda so_far, e=event: e in so_far.raw)  # type: ignore[misc]  # bound at once
                on.set()
            transcript = (await told.exchange()).transcript
    assert transcript is not None
    assert transcript.blocks == EVENTS


async def test_a_transcript_holds_how_a_broken_stream_was_ended(tmp_path: Path) -> None:
    async with door(tmp_path, stream_of(*EVENTS[:3], then="cut")) as told:
        transcript, got = await kept(told, STREAM.body)
    assert transcript is not None
    assert b"".join(transcript.blocks) == got
    assert b"event: error" in transcript.blocks[-1]


async def test_a_transcript_of_a_long_answer_says_that_it_is_cut(tmp_path: Path) -> None:
    async with door(tmp_path, streams(text_stream("long " * 1000))) as told:
        transcript, got = await kept(told, STREAM.body, keeps=600)
    assert transcript is not None
    assert transcript.cut
    assert transcript.size == len(got)
    together = b"".join(transcript.blocks)
    assert len(together) <= 600
    assert got.startswith(together)


async def test_nothing_is_kept_unless_it_is_asked_for(tmp_path: Path) -> None:
    async with door(tmp_path, streams(EVENTS)) as told:
        transcript, got = await kept(told, STREAM.body, keeps=None)
    assert transcript is None
    assert got

"""What the demo asks itself, before the real daemon and before one that refuses."""

import json
from pathlib import Path

import pytest

from claude_proxy.demo.questions import QUESTIONS, ask_all
from claude_proxy.wire.messages import ClientRequest
from tests.closed_port import refusing_url
from tests.demo.playing import Place, playing
from tests.stand_in import StandIn, fails, streams, text_stream


def test_they_are_requests_as_the_daemon_takes_them() -> None:
    for body in QUESTIONS:
        assert ClientRequest.read("POST", "/v1/messages", (), body).stream
        assert [message["role"] for message in json.loads(body)["messages"]][::2][0] == "user"


async def test_a_running_demo_answers_all_of_them_and_shows_each_way(tmp_path: Path) -> None:
    async with playing(Place.below(tmp_path)) as demo:
        assert await ask_all(demo.url, "demo")
        await demo.until("claude-haiku.* → claude ")
        assert not await ask_all(demo.url, "FAKE-token")


async def test_one_that_fails_is_told() -> None:
    async with StandIn(streams(text_stream())) as upstream:
        assert await ask_all(upstream.url, "demo")
        assert len(upstream.received) == 3
        upstream.then(fails(529, "overloaded_error"))
        assert not await ask_all(upstream.url, "demo")
        assert len(upstream.received) == 6


@pytest.mark.parametrize("events", [0, 1, -1])
async def test_an_answer_without_its_end_is_none(events: int) -> None:
    async with StandIn(streams(text_stream()[:events])) as upstream:
        assert not await ask_all(upstream.url, "demo")


async def test_nobody_there_is_no_answer() -> None:
    with refusing_url() as url:
        assert not await ask_all(url, "demo")

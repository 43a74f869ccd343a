"""Who answers on the port: a daemon, something else, or nobody."""

import asyncio
import socket
from pathlib import Path

import pytest

from claude_proxy import __version__
from claude_proxy.service.answering import Answering, wait_until, who_answers
from tests.running import running
from tests.stand_in import StandIn, raw, replies


async def test_a_daemon_says_who_it_is(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        found = await asyncio.to_thread(who_answers, "127.0.0.1", daemon.port)
        assert found == Answering(daemon.process.pid, __version__, "healthy", 0)


def test_nobody_is_nobody() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert who_answers("127.0.0.1", bound.getsockname()[1]) is None


@pytest.mark.parametrize(
    "answer", [replies(200, b"<html>"), replies(200, b"{}"), replies(200, b"[]"), raw(b"SSH-2.0-x\r\n"), raw(b"")]
)
async def test_something_else_is_nobody(answer: object) -> None:
    async with StandIn(answer) as other:  # type: ignore[arg-type]  # parametrize knows no types
        assert await asyncio.to_thread(who_answers, "127.0.0.1", other.port) is None


def test_a_condition_is_asked_again_until_it_holds() -> None:
    answers = iter([False, False, True])
    assert wait_until(lambda: next(answers), 20)
    assert list(answers) == []
    assert not wait_until(lambda: False, 0.01)

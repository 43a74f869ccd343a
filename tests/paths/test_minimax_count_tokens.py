"""Counting tokens for MiniMax, which cannot: an estimate that costs nothing and reaches nobody."""

import asyncio
from pathlib import Path
from typing import Any

from tests.minimax import HAIKU, ONLY_MINIMAX, haiku_house
from tests.stand_in import fails

COUNT = "/v1/messages/count_tokens?beta=true"


def counted(text: str) -> dict[str, Any]:
    """What `/context` asks."""
    return {"model": HAIKU, "messages": [{"role": "user", "content": text}], "tools": []}


async def test_the_count_is_an_estimate_and_nobody_is_asked(tmp_path: Path) -> None:
    async with haiku_house(tmp_path) as house:
        short, long = await house.ask(counted("hi"), COUNT), await house.ask(counted("hi " * 10_000), COUNT)
    for reply in (short, long):
        assert reply.status == 200
        assert reply.headers["x-claude-proxy-estimate"] == "true"
        assert reply.headers["Content-Type"].startswith("application/json")
        assert list(reply.json()) == ["input_tokens"]
    assert 1 <= short.json()["input_tokens"] < 200
    assert 2_000 < long.json()["input_tokens"] < 30_000  # English comes to 3 to 5 letters a token
    assert house.minimax.received == []
    assert house.claude.received == []


async def test_the_fourteen_counts_of_context_cost_no_request(tmp_path: Path) -> None:
    async with haiku_house(tmp_path) as house:
        replies = await asyncio.gather(*(house.ask(counted("word " * n), COUNT) for n in range(1, 15)))
    assert [reply.status for reply in replies] == [200] * 14
    counts = [reply.json()["input_tokens"] for reply in replies]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]
    assert house.minimax.received == []
    assert house.claude.received == []


async def test_another_model_is_counted_by_claude(tmp_path: Path) -> None:
    async with haiku_house(tmp_path) as house:
        reply = await house.ask({**counted("hi"), "model": "claude-sonnet-5-5"}, COUNT)
    assert (reply.status, reply.body) == (200, b'{"input_tokens":42}')
    assert "x-claude-proxy-estimate" not in reply.headers
    assert [received.target for received in house.claude.received] == [COUNT]


async def test_without_a_key_for_minimax_haiku_is_counted_by_claude(tmp_path: Path) -> None:
    async with haiku_house(tmp_path, key=None) as house:
        reply = await house.ask(counted("hi"), COUNT)
    assert (reply.status, reply.body) == (200, b'{"input_tokens":42}')
    assert "x-claude-proxy-estimate" not in reply.headers


async def test_count_tokens_reject_answers_501(tmp_path: Path) -> None:
    async with haiku_house(
        tmp_path, routes=ONLY_MINIMAX, settings={"count_tokens": "reject"}, claude=fails(500, "api_error")
    ) as house:
        reply = await house.ask(counted("hi"), COUNT)
    assert reply.status == 501
    assert reply.json()["type"] == "error"
    assert "count_tokens" in reply.json()["error"]["message"]
    assert reply.headers["x-claude-proxy-error"]
    assert house.minimax.received == []
    assert house.claude.received == []

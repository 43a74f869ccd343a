"""What was used today is told by the daemon, in the words that were agreed upon."""

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from claude_proxy.ledger.store import Change
from claude_proxy.toggle.status import Status
from claude_proxy.toggle.status_text import lines
from claude_proxy.toggle.today import ask_today, today_text
from claude_proxy.wire.usage import Usage
from tests.closed_port import refusing_url
from tests.ledger.made_records import record
from tests.stand_in import Answer, StandIn, hangs, raw, replies
from tests.toggle.told import NOW, ON, health
from tests.web.recorded_before import recorded_before

TODAY = {
    "requests": 212,
    "input_tokens": 100_000,
    "output_tokens": 88_400,
    "cache_read": 2_914_000,
    "cache_write": 86_000,
    "list_value": "12.849999",
    "billed": "0.00",
    "covered": "12.849999",
    "unpriced_tokens": 0,
}


def test_as_agreed_upon() -> None:
    assert today_text(TODAY) == "212 requests · 3.1 M in (94 % cached) · 88 k out · $12.84 at list price"
    told = list(lines(Status(ON, health(), "1.2.0", today=TODAY), NOW))
    assert told[-1] == "Today     212 requests · 3.1 M in (94 % cached) · 88 k out · $12.84 at list price"
    assert not [line for line in lines(Status(ON, health(), "1.2.0"), NOW) if line.startswith("Today")]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"requests": 0, "input_tokens": 0, "cache_read": 0, "cache_write": 0, "list_value": "0.00"}, "0 requests"),
        ({"requests": 1}, "1 request · 3.1 M in"),
        ({"billed": "0.401"}, "$12.84 at list price · $0.40 billed"),
        ({"unpriced_tokens": 12_345}, "$12.84 at list price · 12 k tokens without a price"),
        ({"list_value": None, "output_tokens": "many"}, "0 out · $0.00 at list price"),
        ({"list_value": "\x1b[31m1.00"}, "$0.00 at list price"),
    ],
)
def test_what_there_is_is_told_and_nothing_else(changed: Mapping[str, Any], told: str) -> None:
    assert told in today_text({**TODAY, **changed})


@pytest.mark.parametrize(
    "answer",
    [
        replies(404, json.dumps({"type": "error"}).encode()),
        replies(401, b""),
        replies(200, b"[1]"),
        replies(200, b'{"requests": "many"}'),
        replies(200, b"[" * 100_000),
        raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
        hangs,
    ],
)
async def test_who_does_not_tell_is_passed_over(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claude_proxy.toggle.health.PATIENCE", 0.2)
    async with StandIn(answer) as other:
        assert await asyncio.to_thread(ask_today, other.url) is None
    with refusing_url() as url:
        assert ask_today(url) is None


async def test_the_daemon_tells(tmp_path: Path) -> None:
    made = [Change(record(1, accepted=time.time(), usage=Usage(10, 20, 30, 60), list_value=2 * 10**12))]
    async with recorded_before(tmp_path, made) as daemon:
        today = await asyncio.to_thread(ask_today, daemon.url)
    assert today is not None
    assert today_text(today) == "1 request · 100 in (60 % cached) · 20 out · $2.00 at list price"


async def test_behind_a_password_nothing_is_told_and_none_is_sent(tmp_path: Path) -> None:
    async with recorded_before(tmp_path, [], {"DASHBOARD_PASSWORD": "FAKE"}) as daemon:
        assert await asyncio.to_thread(ask_today, daemon.url) is None

"""The real Claude Code shows what is left of the plan as if nothing stood between, and the daemon shows it as well.

Each run is made twice in equal throw-away homes: with the stand-in upstream as `ANTHROPIC_BASE_URL`, and with the
daemon as `ANTHROPIC_BASE_URL` and the stand-in behind it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.asking import ask
from tests.claude_code import Run, run_claude
from tests.claude_comparison import changes_in_print
from tests.claude_scenarios import ALL_EVENTS, SHORT, block_events, message_start, stop_reason, text
from tests.paths.quota_headers import ALLOWED, ONE_MODEL_SPENT, RESET, SPENT, WARNING, headers
from tests.running import running
from tests.stand_in import Answer, Received, StandIn, Wire, fails, message_end, streams

LIMIT = "This request would exceed your account's rate limit."


def answers(said: Mapping[str, str]) -> Answer:
    """A plain answer that says this of the plan, the same bytes in each run."""

    async def answer(received: Received, wire: Wire) -> None:
        hello = text("Hello, you.")
        events = [message_start(received), *block_events(0, hello), *message_end(stop_reason([hello]))]
        await streams(events, headers(said))(received, wire)

    return answer


def refuses(said: Mapping[str, str]) -> Answer:
    return fails(429, "rate_limit_error", LIMIT, headers(said))


async def both(program: str, home: Path, answer: Answer, *arguments: str) -> tuple[Run, Run, Any]:
    """The run without the daemon, the run with it, and what the daemon then says of the plan."""
    async with StandIn(answer) as upstream:
        direct = await run_claude(program, home, upstream.url, *arguments)
        config = {"upstreams": {"claude": {"base_url": upstream.url}}}
        async with running(home.parent / "daemon", config) as daemon:
            through = await run_claude(program, home, daemon.url, *arguments)
            health = (await ask(f"{daemon.url}/health", method="GET")).json()
    return direct, through, health["quota"]["claude"]


def rate_limits(run: Run) -> list[Any]:
    """What the client itself made of these headers."""
    events = [json.loads(line) for line in run.stdout.splitlines()]
    return [event["rate_limit_info"] for event in events if event["type"] == "rate_limit_event"]


@pytest.mark.parametrize(
    ("said", "words"),
    [(SPENT, "You've hit your session limit"), (ONE_MODEL_SPENT, "You've hit your Fable 5 limit")],
    ids=["five hours", "one model"],
)
async def test_a_spent_window_is_told_in_the_same_words(
    claude_program: str, tmp_path: Path, said: Mapping[str, str], words: str
) -> None:
    direct, through, quota = await both(claude_program, tmp_path / "home", refuses(said), *SHORT)
    assert words in direct.stdout
    assert "resets" in direct.stdout
    assert not changes_in_print(direct, through)
    assert (quota["status"], quota["resets_at"]) == ("rejected", RESET)
    assert quota["representative_claim"] == said["representative-claim"]


@pytest.mark.parametrize(("said", "status"), [(ALLOWED, "allowed"), (WARNING, "allowed_warning")])
async def test_what_is_left_is_what_the_client_shows_and_what_the_daemon_shows(
    claude_program: str, tmp_path: Path, said: Mapping[str, str], status: str
) -> None:
    direct, through, quota = await both(claude_program, tmp_path / "home", answers(said), *SHORT, *ALL_EVENTS)
    assert not changes_in_print(direct, through)
    [shown] = rate_limits(through)
    assert rate_limits(direct) == [shown]
    assert (shown["status"], shown["resetsAt"], shown["rateLimitType"]) == (status, RESET, "five_hour")
    assert (quota["status"], quota["resets_at"], quota["representative_claim"]) == (status, RESET, "five_hour")
    if "utilization" in shown:
        assert quota["windows"]["5h"]["utilization"] == shown["utilization"]
        assert quota["windows"]["5h"]["surpassed_threshold"] == shown["surpassedThreshold"]

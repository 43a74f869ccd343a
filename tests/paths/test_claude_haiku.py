"""`claude --model haiku` is answered by MiniMax, which learns nothing of the user's account, else by Claude.

The client runs with nothing but `ANTHROPIC_BASE_URL` set: no `ANTHROPIC_DEFAULT_HAIKU_MODEL`.
"""

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.claude_code import (
    ACCESS_TOKEN,
    ACCOUNT_ID,
    DEVICE_ID,
    EMAIL,
    ORGANISATION_ID,
    REFRESH_TOKEN,
    SESSION_ID,
    Run,
    run_claude,
)
from tests.claude_scenarios import (
    ALL_EVENTS,
    LONG,
    agent_of,
    answers,
    answers_beside_a_title,
    send,
    text,
    thinking,
    tool_call,
    tool_result,
)
from tests.running import Daemon, running
from tests.stand_in import Answer, Received, StandIn, Wire, two

KEY = "FAKE-minimax-key"
MINIMAX_MODEL = "MiniMax-M2.5-highspeed"
WITH_KEY = {"HAIKU_PROVIDER_API_KEY": KEY}
FROM_CLAUDE = answers(text("Claude answers."))
FROM_MINIMAX = answers(text("MiniMax answers."))
HAIKU = ("--model", "haiku")


@contextlib.asynccontextmanager
async def daemon_before(claude: StandIn, minimax: StandIn, home: Path, env: dict[str, str]) -> AsyncIterator[Daemon]:
    """The daemon with its default routes and these two upstreams; it gives up on a dead one at once."""
    upstreams = {"claude": {"base_url": claude.url}, "minimax": {"base_url": f"{minimax.url}/anthropic"}}
    config = {"upstreams": upstreams, "retry": {"max_elapsed": "0s"}}
    async with running(home, config, env) as daemon:
        yield daemon


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def daemon_home(tmp_path: Path) -> Path:
    return tmp_path / "daemon"


def lines(received: Received) -> str:
    """All that an upstream got of one request, as text to search in."""
    headers = "\n".join(f"{name}: {value}" for name, value in received.headers)
    return f"{received.method} {received.target}\n{headers}\n\n{received.body.decode()}"


def printed_events(run: Run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.stdout.splitlines()]


async def test_haiku_goes_to_minimax_with_minimax_s_key_and_model(
    claude_program: str, home: Path, daemon_home: Path
) -> None:
    async with (
        two(FROM_CLAUDE, FROM_MINIMAX) as (claude, minimax),
        daemon_before(claude, minimax, daemon_home, WITH_KEY) as daemon,
    ):
        run = await run_claude(claude_program, home, daemon.url, *HAIKU, "-p", "say hi")

    assert (run.exit_code, run.stdout) == (0, "MiniMax answers.\n")
    assert claude.received == []
    [asked] = minimax.received
    assert (asked.method, asked.path) == ("POST", "/anthropic/v1/messages")
    assert [v for k, v in asked.headers if k.lower() == "authorization"] == [f"Bearer {KEY}"]
    assert asked.header("x-api-key") is None
    assert asked.json()["model"] == MINIMAX_MODEL
    assert "say hi" in json.dumps(asked.json()["messages"])


@pytest.mark.parametrize("prompt", ["say hi", LONG], ids=["one request", "with a title beside it"])
async def test_minimax_learns_no_secret_and_no_identifier_of_the_client(
    claude_program: str, home: Path, daemon_home: Path, prompt: str
) -> None:
    minimax_answer = answers_beside_a_title("MiniMax answers.") if prompt == LONG else FROM_MINIMAX
    async with (
        two(FROM_CLAUDE, minimax_answer) as (claude, minimax),
        daemon_before(claude, minimax, daemon_home, WITH_KEY) as daemon,
    ):
        run = await run_claude(claude_program, home, daemon.url, *HAIKU, "-p", prompt)

    assert run.stdout == "MiniMax answers.\n"
    assert len(minimax.received) == (2 if prompt == LONG else 1)
    for asked in minimax.received:
        all_of_it = lines(asked)
        for secret in (ACCESS_TOKEN, REFRESH_TOKEN, "sk-ant-"):
            assert secret not in all_of_it
        for identifier in (SESSION_ID, DEVICE_ID, ACCOUNT_ID, ORGANISATION_ID, "user_id", "device_id"):
            assert identifier not in all_of_it
        assert "x-anthropic-billing-header" not in all_of_it
        assert "cc_version" not in all_of_it
        foreign = ("anthropic-", "x-claude-code-", "cookie", "x-api-key")
        assert [name for name, _ in asked.headers if name.lower().startswith(foreign)] == []


async def test_minimax_does_not_learn_the_user_s_email_address(
    claude_program: str, home: Path, daemon_home: Path
) -> None:
    """The client writes it into the first message, after the heading `# userEmail`."""
    async with (
        two(FROM_CLAUDE, FROM_MINIMAX) as (claude, minimax),
        daemon_before(claude, minimax, daemon_home, WITH_KEY) as daemon,
    ):
        await run_claude(claude_program, home, daemon.url, *HAIKU, "-p", "say hi")
        await run_claude(claude_program, home, daemon.url, "-p", "say hi")

    assert EMAIL in lines(claude.received[0])  # so this client does write it
    assert EMAIL not in lines(minimax.received[0])


async def test_the_client_shows_the_model_that_was_asked_for(
    claude_program: str, home: Path, daemon_home: Path
) -> None:
    async with (
        two(FROM_CLAUDE, FROM_MINIMAX) as (claude, minimax),
        daemon_before(claude, minimax, daemon_home, WITH_KEY) as daemon,
    ):
        whole = await run_claude(claude_program, home, daemon.url, *HAIKU, "-p", "say hi", "--output-format", "json")
        events = await run_claude(claude_program, home, daemon.url, *HAIKU, "-p", "say hi", *ALL_EVENTS)

    result = json.loads(whole.stdout)
    assert result["result"] == "MiniMax answers."
    [model] = result["modelUsage"]
    assert model.startswith("claude-haiku-")
    messages = [e["message"]["model"] for e in printed_events(events) if e["type"] == "assistant"]
    assert messages == [model]
    for run in (whole, events):
        assert MINIMAX_MODEL not in run.stdout
    assert {asked.json()["model"] for asked in minimax.received} == {MINIMAX_MODEL}


def calls_a_tool_after_thinking(signature: str) -> Answer:
    call = tool_call("Bash", command="echo it ran", description="Say that it ran")

    async def answer(received: Received, wire: Wire) -> None:
        result = tool_result(received)
        if result is None:
            thought = {**thinking("A tool will know."), "signature": signature}
            await send(received, wire, thought, call)
        else:
            await send(received, wire, text(f"The tool gave: {result}"))

    return answer


async def test_a_tool_runs_at_minimax_s_word_and_its_result_goes_back_there(
    claude_program: str, home: Path, daemon_home: Path
) -> None:
    async with (
        two(FROM_CLAUDE, calls_a_tool_after_thinking("signed-by-minimax")) as (claude, minimax),
        daemon_before(claude, minimax, daemon_home, WITH_KEY) as daemon,
    ):
        run = await run_claude(
            claude_program, home, daemon.url, *HAIKU, "-p", "say hi", "--allowedTools", "Bash(echo:*)"
        )

    assert (run.exit_code, run.stdout) == (0, "The tool gave: it ran\n")
    assert claude.received == []
    [_, second] = minimax.received
    said = [m["content"] for m in second.json()["messages"] if m["role"] == "assistant"]
    signatures = [part["signature"] for content in said for part in content if part["type"] == "thinking"]
    assert signatures == ["signed-by-minimax"]


async def test_a_haiku_subagent_asks_minimax_while_its_session_asks_claude(
    claude_program: str, home: Path, daemon_home: Path
) -> None:
    call = tool_call("Agent", description="Look", prompt="Look.", subagent_type="general-purpose", model="haiku")

    async def session(received: Received, wire: Wire) -> None:
        result = tool_result(received)
        await send(received, wire, call if result is None else text(f"The agent says: {result}"))

    async with (
        two(session, FROM_MINIMAX) as (claude, minimax),
        daemon_before(claude, minimax, daemon_home, WITH_KEY) as daemon,
    ):
        run = await run_claude(claude_program, home, daemon.url, "-p", "say hi")

    assert run.stdout == "The agent says: MiniMax answers.\n"
    assert len(claude.received) == 2
    [agents] = minimax.received
    assert agent_of(agents) is None
    assert agents.json()["model"] == MINIMAX_MODEL


async def test_counting_tokens_for_haiku_asks_no_upstream(claude_program: str, home: Path, daemon_home: Path) -> None:
    async with (
        two(FROM_CLAUDE, FROM_MINIMAX) as (claude, minimax),
        daemon_before(claude, minimax, daemon_home, WITH_KEY) as daemon,
    ):
        run = await run_claude(claude_program, home, daemon.url, *HAIKU, "-p", "/context")

    assert run.exit_code == 0
    assert "Context Usage" in run.stdout
    assert (claude.received, minimax.received) == ([], [])


def assert_claude_got_it_untouched(claude: StandIn) -> None:
    [asked] = claude.received
    assert asked.path == "/v1/messages"
    assert asked.header("authorization") == f"Bearer {ACCESS_TOKEN}"
    assert asked.header("x-claude-code-session-id") == SESSION_ID
    assert asked.json()["model"].startswith("claude-haiku-")
    assert DEVICE_ID in asked.json()["metadata"]["user_id"]
    assert asked.json()["system"][0]["text"].startswith("x-anthropic-billing-header:")


async def test_with_minimax_down_haiku_goes_to_claude(claude_program: str, home: Path, daemon_home: Path) -> None:
    async with (
        two(FROM_CLAUDE, FROM_MINIMAX) as (claude, minimax),
        daemon_before(claude, minimax, daemon_home, WITH_KEY) as daemon,
    ):
        await minimax.stop()
        run = await run_claude(claude_program, home, daemon.url, *HAIKU, "-p", "say hi")

    assert (run.exit_code, run.stdout) == (0, "Claude answers.\n")
    assert_claude_got_it_untouched(claude)


async def test_without_a_minimax_key_haiku_goes_to_claude(claude_program: str, home: Path, daemon_home: Path) -> None:
    async with (
        two(FROM_CLAUDE, FROM_MINIMAX) as (claude, minimax),
        daemon_before(claude, minimax, daemon_home, {}) as daemon,
    ):
        run = await run_claude(claude_program, home, daemon.url, *HAIKU, "-p", "say hi")

    assert (run.exit_code, run.stdout) == (0, "Claude answers.\n")
    assert minimax.received == []
    assert_claude_got_it_untouched(claude)

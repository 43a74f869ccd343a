"""The real Claude Code works through the daemon as if nothing stood between.

Each scenario runs twice in equal throw-away homes: with the stand-in upstream as `ANTHROPIC_BASE_URL`, and
with the daemon as `ANTHROPIC_BASE_URL` and the stand-in behind it. The upstream must receive, and the client
print, the same.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.claude_code import ACCESS_TOKEN, Run, run_claude
from tests.claude_comparison import Asked, asked_of_the_api, changes_in_print, changes_in_requests
from tests.claude_scenarios import FAILING, WORKING, Scenario
from tests.running import running
from tests.stand_in import StandIn

Outcome = tuple[list[Asked], Run]


def config(upstream: StandIn) -> dict[str, Any]:
    """Only the client tries again: what the daemon repeated would be one more request at the upstream."""
    return {"upstreams": {"claude": {"base_url": upstream.url}}, "retry": {"max_elapsed": "0s"}}


async def straight(program: str, home: Path, scenario: Scenario) -> Outcome:
    """The scenario without the daemon."""
    async with StandIn(scenario.answer(home)) as upstream:
        run = await run_claude(program, home, upstream.url, *scenario.arguments)
        return asked_of_the_api(upstream.received), run


async def through_the_daemon(program: str, home: Path, scenario: Scenario, daemon_home: Path) -> Outcome:
    async with (
        StandIn(scenario.answer(home)) as upstream,
        running(daemon_home, config(upstream)) as daemon,
    ):
        run = await run_claude(program, home, daemon.url, *scenario.arguments)
        return asked_of_the_api(upstream.received), run


@pytest.mark.parametrize("scenario", [*WORKING, *FAILING], ids=str)
async def test_upstream_and_user_see_the_same_with_and_without_the_daemon(
    scenario: Scenario, claude_program: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"

    asked, printed = await straight(claude_program, home, scenario)
    # Without this two runs that fail alike, for whatever reason, would count as equal.
    assert (len(asked), printed.exit_code) == (scenario.requests, scenario.exit_code), printed
    assert scenario.prints in printed.stdout

    asked_then, printed_then = await through_the_daemon(claude_program, home, scenario, tmp_path / "daemon")
    changes = changes_in_requests(asked, asked_then) + changes_in_print(printed, printed_then)
    assert not changes, "\n".join(changes)


async def test_the_client_s_own_login_is_what_reaches_the_upstream(claude_program: str, tmp_path: Path) -> None:
    """Nothing but ANTHROPIC_BASE_URL is set, and no store of the daemon holds a credential."""
    asked, _ = await through_the_daemon(claude_program, tmp_path / "home", WORKING[0], tmp_path / "daemon")
    headers = dict(asked[0].headers)
    assert headers["authorization"] == f"Bearer {ACCESS_TOKEN}"
    assert "oauth-2025-04-20" in headers["anthropic-beta"].split(",")

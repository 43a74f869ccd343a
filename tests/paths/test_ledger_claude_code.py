"""The real Claude Code's conversation in the ledger: its session, directory, first words and subagents are known."""

from pathlib import Path

import pytest

from claude_proxy.ledger.store import By, Filter
from tests.claude_code import SESSION_ID, run_claude, working_directory
from tests.claude_scenarios import WORKING, Scenario
from tests.paths.test_ledger import Ledger
from tests.running import running
from tests.stand_in import StandIn

SUBAGENT = next(scenario for scenario in WORKING if "subagent" in str(scenario))


@pytest.mark.parametrize("scenario", [SUBAGENT], ids=str)
async def test_a_conversation_with_a_subagent_is_known_by_its_session_and_directory(
    scenario: Scenario, claude_program: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    async with StandIn(scenario.answer(home)) as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}, "ledger": {"flush_interval": "10ms"}}
        async with running(tmp_path / "daemon", config) as daemon:
            run = await run_claude(claude_program, home, daemon.url, *scenario.arguments)
            assert run.exit_code == scenario.exit_code
            ledger = Ledger(tmp_path / "daemon")
            records = await ledger.ended(scenario.requests)
    (conversation,) = ledger.reader.conversations(Filter(), 10)
    sums = ledger.reader.totals(Filter(), [By.PROJECT, By.AGENT])
    for record in records:
        bodies = ledger.reader.bodies(record.id)
        assert bodies is not None
        assert bodies.request in {received.body for received in upstream.received}
    ledger.reader.close()
    work = str(working_directory(home))
    assert {record.session for record in records} == {SESSION_ID}
    assert {record.project for record in records} == {work}
    assert {record.agent is None for record in records} == {True, False}
    assert (conversation.id, conversation.project, conversation.requests) == (SESSION_ID, work, scenario.requests)
    assert conversation.first_message
    assert conversation.first_message in " ".join(scenario.arguments)
    assert {total.key for total in sums} == {(work, 0), (work, 1)}

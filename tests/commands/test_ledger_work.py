"""The commands of the ledger beside a daemon that records: both write, and neither loses anything."""

import asyncio
import json
from pathlib import Path

from tests.asking import ask
from tests.claude_request import claude_body, claude_headers
from tests.commands.invoking import run_beside
from tests.in_process import LOGIN, in_process
from tests.paths.test_ledger import Ledger
from tests.stand_in import StandIn, says


async def test_commands_work_while_a_daemon_records(home: Path) -> None:
    ledger = Ledger(home)
    async with StandIn(says()) as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}, "ledger": {"flush_interval": "1ms"}}
        async with in_process(home, config) as daemon:

            async def load() -> None:
                for number in range(40):
                    await ask(f"{daemon.url}/v1/messages", claude_body(f"number {number}"), claude_headers(LOGIN))

            loading = asyncio.create_task(load())
            await ledger.when(lambda found: len(found) > 2)
            file = str(home / "config.yaml")
            for command in ("stats", "export", "vacuum", "check", "prune", "vacuum"):
                result = await run_beside("ledger", command, "--config", file)
                assert result.exit_code == 0, result.output
            await loading
            found = await ledger.ended(40)
            stats = await run_beside("ledger", "stats", "--json", "--config", file)
            recorder = daemon.house.recorder
            assert recorder is not None
            assert recorder.state.dropped == 0
    ledger.reader.close()
    assert len({record.id for record in found}) == 40
    assert json.loads(stats.stdout)["totals"]["requests"] == 40

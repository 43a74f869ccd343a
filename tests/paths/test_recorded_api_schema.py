"""The API of what is recorded keeps to its description, whatever it is asked: schemathesis against a live daemon.

Left out: what an upstream answers (/v1/…), and the stream of live events, which does not end.
"""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from tests.asking import ask
from tests.claude_request import claude_body, claude_headers
from tests.in_process import LOGIN
from tests.paths.test_ledger import ALL, Ledger
from tests.running import clean_environment, running
from tests.stand_in import StandIn, says

_DESCRIBED_HERE = "^/(api/|health|livez|metrics|openapi)"


async def asked_by_schemathesis(url: str, home: Path, *options: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", "--no-color", "--seed", "1"),
        *("--include-path-regex", _DESCRIBED_HERE, "--exclude-path", "/api/events", *options),
        env={name: value for name, value in clean_environment(home).items() if name != "PYTHONWARNINGS"},
        cwd=home,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said = (await process.communicate())[0].decode()
    assert process.returncode == 0, said
    return said


@pytest.mark.timeout(240)
async def test_whatever_is_asked_the_answer_is_as_described(tmp_path: Path) -> None:
    async with StandIn(says()) as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}, "ledger": {"flush_interval": "10ms"}}
        async with running(tmp_path / "daemon", config) as daemon:
            for _ in range(5):
                reply = await ask(f"{daemon.url}/v1/messages", claude_body(), claude_headers(LOGIN))
                assert reply.status == 200
            ledger = Ledger(tmp_path / "daemon")
            await ledger.ended(5)
            looked = await asked_by_schemathesis(daemon.url, tmp_path, "--exclude-method", "DELETE", "-n", "15")
            assert len(ledger.reader.records(ALL, 10)) == 5
            await asked_by_schemathesis(daemon.url, tmp_path, "--include-method", "DELETE", "-n", "5")
            assert ledger.reader.records(ALL, 10) == []
            ledger.reader.close()
    generated = re.search(r"(\d+) generated, (\d+) passed", looked)
    assert generated is not None, looked
    assert generated[1] == generated[2]
    assert int(generated[1]) > 200

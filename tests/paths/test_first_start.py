"""The first start on a machine: no configuration, no credential, and it serves all the same."""

import asyncio
import sys
from pathlib import Path

from claude_proxy import __version__
from claude_proxy.config.load import load
from tests.asking import ask
from tests.running import clean_environment


async def test_with_no_configuration_and_no_credential_it_serves_and_says_how_it_is(tmp_path: Path) -> None:
    # Everything as built in but the port, which another program of this machine may have.
    environment = clean_environment(tmp_path, {"CLAUDE_PROXY_LISTEN__PORT": "0"})
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "claude_proxy", "serve"),
        env=environment,
        cwd=tmp_path,
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(20):
            line = (await process.stderr.readline()).decode()
        assert "config=built-in" in line
        health = await ask(f"{line.partition('url=')[2].split()[0]}/health", method="GET")
    finally:
        process.terminate()
        async with asyncio.timeout(20):
            await process.communicate()
    assert health.status == 200
    told = health.json()
    assert told["version"] == __version__
    assert set(told["upstreams"]) == set(told["credentials"]) == {"claude", "minimax"}
    assert process.returncode == 0


def test_the_built_in_address_is_the_one_that_the_readme_names(tmp_path: Path) -> None:
    empty = tmp_path / "config.yaml"
    empty.write_text("")
    listen = load(empty, {}).listen
    assert (listen.host, listen.port) == ("127.0.0.1", 8082)

"""The command that follows what happens: its lines, its objects, and how it ends."""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.commands.invoking import configured, run_beside
from tests.commands.test_live import event, refuses, tells
from tests.running import clean_environment
from tests.stand_in import Received, StandIn, Wire

END: dict[str, Any] = {
    "id": "req_cp_1",
    "time": 1772625787.5,
    "model": "claude-haiku-4-5",
    "upstream": "minimax",
    "status": 200,
}


async def follows(home: Path, daemon: StandIn, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "claude_proxy", "tail", *arguments),
        env=clean_environment(home, {"CLAUDE_PROXY_LISTEN__PORT": str(daemon.port), "TZ": "UTC"}),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_one_line_a_request_through_a_restart_until_ctrl_c(tmp_path: Path) -> None:
    async def stays(received: Received, wire: Wire) -> None:
        """A second life of the daemon, which has forgotten some."""
        await wire.start_stream([("Content-Type", "text/event-stream")])
        await wire.chunk(b"event: missed\ndata: {}\n\n" + event(9, **END, end="broken"))
        await wire.peer_left.wait()

    async with StandIn(stays) as daemon:
        daemon.then(tells(event(7, "begin", id="req_cp_1"), event(8, **END, end="complete", list_value="0.5")))
        process = await follows(tmp_path, daemon)
        assert process.stdout is not None
        async with asyncio.timeout(30):
            lines = [(await process.stdout.readline()).decode() for _ in range(2)]
            process.send_signal(signal.SIGINT)
            left, complained = await process.communicate()
    assert lines[0] == "12:03:07 haiku-4-5 → minimax              200     -     -            -→- $0.5000\n"
    assert lines[1].split()[4] == "cut"
    assert (process.returncode, left) == (130, b"")
    header, gone, missed = complained.decode().splitlines()
    assert header.startswith("time     model → upstream")
    assert gone.startswith("… the daemon is gone (it has ended the connection)")
    assert missed == "… some may have been missed meanwhile"


async def test_programs_get_every_event_as_an_object(tmp_path: Path) -> None:
    async with StandIn(tells(event(7, "begin", id="a"), event(8, id="a", status=200))) as daemon:
        process = await follows(tmp_path, daemon, "--json")
        assert process.stdout is not None
        async with asyncio.timeout(30):
            lines = [json.loads(await process.stdout.readline()) for _ in range(2)]
            process.send_signal(signal.SIGINT)
            await process.communicate()
    assert lines == [
        {"event": "begin", "event_id": 7, "id": "a"},
        {"event": "end", "event_id": 8, "id": "a", "status": 200},
    ]
    assert process.returncode == 130


@pytest.mark.parametrize(("kind", "status", "code"), [("password", 401, 4), ("not_found", 404, 1)])
async def test_a_refusal_is_said_and_has_its_code(tmp_path: Path, kind: str, status: int, code: int) -> None:
    async with StandIn(refuses(status, kind)) as daemon:
        result = await run_beside("tail", "--config", configured(tmp_path, listen={"port": daemon.port}))
    assert result.exit_code == code
    assert result.stdout == ""
    assert "claude-proxy: the daemon" in result.stderr


async def test_without_a_daemon_or_a_configuration_it_ends(tmp_path: Path) -> None:
    async with StandIn() as daemon:
        port = daemon.port
    result = await run_beside("tail", "--config", configured(tmp_path, listen={"port": port}))
    assert result.exit_code == 3
    assert "no daemon answers on 127.0.0.1" in result.stderr
    assert (await run_beside("tail", "--config", configured(tmp_path, listen={"port": "x"}))).exit_code == 78

"""A process that holds a secret leaves no core behind when it dies: the daemon, each command, and what they run."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from tests.claude_request import stored_login
from tests.fake_security import FakeSecurity
from tests.house.source import REPOSITORY
from tests.paths.canaries import STORED_ACCESS_TOKEN
from tests.paths.logins import write_login_file
from tests.process_watch import core_limits
from tests.running import clean_environment, eventually
from tests.scripted_claude import ScriptedClaude
from tests.stand_in import StandIn, hangs

NONE = ["0", "0"]

# As on a machine that keeps cores; where this one allows none at all, nothing can be seen here.
WITH_CORES = ("sh", "-c", 'ulimit -Sc "$(ulimit -Hc)"; exec "$@"', "sh")
CLAUDE_PROXY = (sys.executable, "-m", "claude_proxy")


@contextlib.asynccontextmanager
async def started(home: Path, *command: str, env: Mapping[str, str] | None = None) -> AsyncIterator[int]:
    """The process of a command that is held up by something, from where cores are allowed."""
    process = await asyncio.create_subprocess_exec(
        *WITH_CORES,
        *command,
        env=clean_environment(home, {"CLAUDE_PROXY_LISTEN__PORT": "0", **(env or {})}),
        cwd=home,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def test_the_daemon(tmp_path: Path) -> None:
    async with started(tmp_path, *CLAUDE_PROXY, "serve") as pid:
        await eventually(lambda: core_limits(pid) == NONE)


async def test_a_command_that_is_given_a_key(tmp_path: Path) -> None:
    async with started(tmp_path, *CLAUDE_PROXY, "key", "set", "minimax") as pid:
        await eventually(lambda: core_limits(pid) == NONE)


async def test_a_command_that_is_given_a_setup_token(tmp_path: Path) -> None:
    async with started(tmp_path, *CLAUDE_PROXY, "login", "--setup-token") as pid:
        await eventually(lambda: core_limits(pid) == NONE)


async def test_a_command_that_sends_a_login(tmp_path: Path) -> None:
    write_login_file(tmp_path / ".claude", stored_login(STORED_ACCESS_TOKEN))
    async with StandIn(hangs()) as asked:
        command = ("status", "--probe", "--probe-url", asked.url)
        async with started(tmp_path, *CLAUDE_PROXY, *command) as pid:
            await asked.wait_for(lambda: len(asked.received) > 0)
            assert core_limits(pid) == NONE


async def test_the_claude_that_logs_in(tmp_path: Path) -> None:
    claude = ScriptedClaude(tmp_path / "bin")
    claude.does("exec sleep 600")
    async with started(tmp_path, *CLAUDE_PROXY, "login", env={"PATH": claude.path}) as pid:
        await eventually(lambda: claude.runs != [])
        assert core_limits(claude.runs[0]) == core_limits(pid) == NONE


async def test_the_script_that_copies_the_login(tmp_path: Path) -> None:
    security = FakeSecurity(tmp_path / "security")
    security.asks()
    script = REPOSITORY / "scripts" / "sync-credentials"
    async with started(tmp_path, sys.executable, str(script), "--security", str(security.program)) as pid:
        await eventually(lambda: security.asked != [])
        assert core_limits(pid) == NONE
        security.is_answered()  # it is of a session of its own, and would stay behind

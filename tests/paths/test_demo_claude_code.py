"""The real Claude Code with an empty home and exactly the line that the demo prints, on a machine without a network.

Every other host lies behind a proxy that refuses the connection, for the client and for the demo alike.
"""

import asyncio
import contextlib
import os
import re
import signal
from pathlib import Path

import pytest

from tests.claude_code import ACCESS_TOKEN, Run, fresh_home
from tests.closed_port import refusing_url
from tests.demo.playing import Demo, Place, playing

SHOWN_HAIKU = "claude-haiku-4-5"  # without the day at its end
ECHOED = "Hello from the demo of claude-proxy."


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.below(tmp_path)


async def pasted(program: str, home: Path, demo: Demo, arguments: str, seconds: float = 60) -> Run:
    """Runs the printed line with these arguments behind it in a shell, as a user would paste it."""
    work = home / "work"
    work.mkdir(parents=True, exist_ok=True)
    with refusing_url() as nowhere:
        process = await asyncio.create_subprocess_exec(
            *("sh", "-c", f"{demo.command} {arguments}"),
            env={
                "HOME": str(home),
                "PATH": f"{Path(program).parent}{os.pathsep}{os.environ['PATH']}",
                "TMPDIR": str(work),
                "LANG": "C.UTF-8",
                "USER": "tester",
                "DISABLE_AUTOUPDATER": "1",
                "HTTP_PROXY": nowhere,
                "HTTPS_PROXY": nowhere,
                "NO_PROXY": "127.0.0.1",
            },
            cwd=work,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(seconds):
                stdout, stderr = await process.communicate()
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    assert process.returncode is not None
    return Run(process.returncode, stdout.decode(), stderr.decode())


def ways(demo: Demo) -> list[tuple[str, str, str, str, str]]:
    """For whom, which model, to which upstream, status and tries of each request in the table."""
    found = re.findall(r"^\S+ (\w+) +(\S+) +→ (\w+) +(\d+) +(\d+) ", "\n".join(demo.table), re.MULTILINE)
    return [(who, model, upstream, status, tries) for who, model, upstream, status, tries in found]


async def test_an_answer_an_agent_on_haiku_at_minimax_a_tool_and_a_failover_are_seen(
    claude_program: str, tmp_path: Path, place: Place
) -> None:
    async with playing(place) as demo:
        run = await pasted(claude_program, tmp_path / "empty", demo, "-p hi")
        demo.signal(signal.SIGINT)
        assert await demo.ended() == 0

    assert (run.exit_code, run.stderr) == (0, "")
    assert run.stdout.startswith("The agent said: MiniMax's stand-in said twice that it is overloaded")
    assert f"The tool's result was: {ECHOED}\n" in run.stdout
    main = ways(demo)[0][1]
    assert main != SHOWN_HAIKU
    assert ways(demo) == [
        ("main", main, "claude", "200", "1"),
        ("agent", SHOWN_HAIKU, "minimax", "200", "1"),
        ("agent", SHOWN_HAIKU, "claude", "200", "3"),
        ("main", main, "claude", "200", "1"),
    ]
    thin = [line.strip() for line in demo.table if line.startswith(" ")]
    assert thin[0] == "· claude says of the plan: 42% of 5h used, 17% of 7d used"
    assert [line.rpartition(",")[0] for line in thin[1:]] == ["· minimax failed: 529 overloaded"] * 2
    assert place.left_behind() == []


async def test_haiku_itself_is_asked_of_minimax(claude_program: str, tmp_path: Path, place: Place) -> None:
    async with playing(place) as demo:
        run = await pasted(claude_program, tmp_path / "empty", demo, "--model haiku -p hi")
        demo.signal(signal.SIGINT)
        assert await demo.ended() == 0

    assert (run.exit_code, run.stderr) == (0, "")
    assert f"The tool's result was: {ECHOED}" in run.stdout
    assert ways(demo) == [("main", SHOWN_HAIKU, "minimax", "200", "1"), ("main", SHOWN_HAIKU, "claude", "200", "3")]


async def test_a_longer_prompt_gets_a_title_too(claude_program: str, tmp_path: Path, place: Place) -> None:
    async with playing(place) as demo:
        prompt = "'Tell me who you are and what you can do for me.'"
        run = await pasted(claude_program, tmp_path / "empty", demo, f"-p {prompt}")
        await demo.until(" title ")

    assert run.exit_code == 0
    assert ECHOED in run.stdout


async def test_a_user_s_own_login_is_neither_needed_nor_sent(claude_program: str, tmp_path: Path, place: Place) -> None:
    fresh_home(tmp_path / "logged in")
    async with playing(place) as demo:
        run = await pasted(claude_program, tmp_path / "logged in", demo, "-p hi")
        log = (next(place.temporary.iterdir()) / "daemon.log").read_text()

    assert run.exit_code == 0  # with the login it would have been refused
    assert ECHOED in run.stdout
    assert ACCESS_TOKEN not in log

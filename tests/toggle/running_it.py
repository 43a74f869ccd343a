"""`proxy-toggle` run as a user runs it: a process of its own, with that user's environment and nothing else."""

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.running import clean_environment
from tests.toggle.user import User

PROGRAM = "from claude_proxy.toggle.commands import main; main(prog_name='proxy-toggle')"
REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ran:
    """What came of it."""

    code: int
    out: str
    err: str
    pid: int = 0

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


async def proxy_toggle(user: User, *arguments: str, **environment: str) -> Ran:
    """Every warning of Python's is an error, and there is no keychain."""
    return await run_program(user, sys.executable, "-c", PROGRAM, *arguments, **environment)


async def run_program(user: User, *command: str, cwd: str = "", **environment: str) -> Ran:
    """Any program, with this user's environment."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**clean_environment(user.home), **user.environment, "TZ": "UTC", **environment},
        cwd=cwd or user.home,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode(), process.pid)


def on_this_path(user: User) -> str:
    """A PATH for shells of the user's, on which `proxy-toggle` is this one."""
    directory = user.home / "bin"
    directory.mkdir(exist_ok=True)
    program = directory / "proxy-toggle"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={REPOSITORY} exec {sys.executable} -c "{PROGRAM}" "$@"\n')
    program.chmod(0o755)
    return f"{directory}:{os.environ['PATH']}"

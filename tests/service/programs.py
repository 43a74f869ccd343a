"""Stand-ins of systemctl, loginctl and launchctl: they note what they are asked and answer from a script."""

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.running import clean_environment


@dataclass
class Programs:
    """A directory of programs that stands first in PATH, the HOME of their user, and what they were asked."""

    home: Path

    @property
    def directory(self) -> Path:
        return self.home / "programs"

    def put(self, name: str, script: str = "") -> None:
        """Shell text that sees the arguments; without one the program succeeds and says nothing."""
        self.directory.mkdir(exist_ok=True)
        program = self.directory / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> {self.home}/asked\n{script}\n')
        program.chmod(0o755)

    def asked(self) -> list[str]:
        """Every command so far, in order, but for questions."""
        file = self.home / "asked"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line for line in lines if " show" not in line and " print " not in line]

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        path = f"{self.directory}:{os.environ['PATH']}"
        return clean_environment(self.home, {"PATH": path, **(extra or {})})

    async def service(self, *arguments: str, env: Mapping[str, str] | None = None) -> tuple[int, str, str]:
        """Exit code, what was printed, what was complained of: by a process as a user starts it."""
        return await self.claude_proxy("service", *arguments, env=env)

    async def claude_proxy(self, *arguments: str, env: Mapping[str, str] | None = None) -> tuple[int, str, str]:
        """The same of any command."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "claude_proxy", *arguments),
            env=self.environment(env),
            cwd=self.home,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(110):
            printed, complained = await process.communicate()
        assert process.returncode is not None
        return process.returncode, printed.decode(), complained.decode()


def systemd_says(pid: int, active: str = "active", status: str = "serving") -> str:
    """The script of a systemctl that is asked how the service is."""
    lines = ["LoadState=loaded", f"ActiveState={active}", "SubState=running", f"MainPID={pid}", f"StatusText={status}"]
    said = "\\n".join(lines)
    return f'case "$*" in *" show "*) printf \'{said}\\n\';; esac'


def launchd_says(pid: int) -> str:
    """The script of a launchctl in which the agent is loaded; its words as `launchctl print` has them."""
    return (
        'case "$1" in print) '
        f"printf 'gui/501/claude-proxy = {{\\n\\tactive count = 1\\n\\tstate = running\\n\\tpid = {pid}\\n}}\\n';; "
        "esac"
    )

"""The service under launchd: an agent of the user's graphical session, which also holds its port."""

import os
import plistlib
import re
from pathlib import Path
from xml.parsers.expat import ExpatError

from claude_proxy.logfile import launchd_log
from claude_proxy.service.answering import wait_until, who_answers
from claude_proxy.service.control import ENDING_SECONDS, STILL_ENDING, ManagerFailed, State, run
from claude_proxy.service.plan import NAME, Plan, launch_agent


class Launchd:
    def __init__(self, plan: Plan, home: Path) -> None:
        self._plan = plan
        self._file = home / "Library" / "LaunchAgents" / f"{NAME}.plist"
        self._log = launchd_log(home)
        self._domain = f"gui/{os.getuid()}"
        self._target = f"{self._domain}/{NAME}"

    def files(self) -> dict[Path, str]:
        return {self._file: launch_agent(self._plan, self._log.parent)}

    def program(self) -> str | None:
        try:
            return str(plistlib.loads(self._file.read_bytes())["ProgramArguments"][0])
        except (OSError, ValueError, KeyError, IndexError, ExpatError):
            return None

    def reread(self) -> None:
        """launchd reads the file when it loads the agent; its log must have a directory."""
        self._log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def start(self) -> None:
        run("launchctl", "enable", self._target)
        # `bootout` returns before it is done, and nothing says which of the two a loaded agent is: only who answers.
        if not wait_until(lambda: not self.state().pid or self._answers(), ENDING_SECONDS):
            raise ManagerFailed(STILL_ENDING)
        if self.state().loaded:
            run("launchctl", "kickstart", self._target)
            return
        failed = ""

        def loads() -> bool:
            nonlocal failed
            done = run("launchctl", "bootstrap", self._domain, str(self._file), check=False)
            failed = done.stderr.strip()
            return done.returncode == 0

        if not wait_until(loads, ENDING_SECONDS):
            raise ManagerFailed(f"`launchctl bootstrap {self._domain} {self._file}` failed: {failed}")

    def _answers(self) -> bool:
        answering = who_answers(self._plan.host, self._plan.port)
        return answering is not None and answering.status == "healthy"

    def stop(self) -> None:
        done = run("launchctl", "bootout", self._target, check=False)
        if done.returncode and self.state().loaded and "in progress" not in done.stderr:
            raise ManagerFailed(f"`launchctl bootout {self._target}` failed: {done.stderr.strip()}")

    def forget(self) -> None:
        """It is the file that has it started with the session."""

    def state(self) -> State:
        said = run("launchctl", "print", self._target, check=False)
        if said.returncode:
            return State(loaded=False, pid=None, words="not loaded")
        pid = re.search(r"^\s*pid = (\d+)$", said.stdout, re.MULTILINE)
        found = re.search(r"^\s*state = (.+)$", said.stdout, re.MULTILINE)
        return State(loaded=True, pid=int(pid[1]) if pid else None, words=found[1] if found else "loaded")

    def remarks(self) -> list[str]:
        return ["It runs while you are logged in at the screen."]

    def log(self) -> str:
        return f"tail -F {self._log}"

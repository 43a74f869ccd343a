"""A shell script in the place of `claude`: notes each run, and does to the store what its test says."""

import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from tests.claude_request import stored_login

RENEWED = "sk-ant-oat01-FAKE-renewed-by-the-script"


class ScriptedClaude:
    """Lies in a directory of its own, the first of `path`. Without another word it renews nothing."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        self.directory = directory
        self.path = f"{directory}{os.pathsep}{os.environ['PATH']}"
        self.does("exit 0")

    @property
    def program(self) -> Path:
        return self.directory / "claude"

    def does(self, script: str) -> None:
        """What it does from now on, after it has noted the run, its environment, arguments and process."""
        note = shlex.quote(str(self.directory))
        lines = (
            "#!/bin/sh",
            f"echo $$ >> {note}/runs",
            f"env > {note}/environment",
            f"printf '%s\\n' \"$@\" > {note}/arguments",
            f"pwd > {note}/place",
            script,
        )
        unfinished = self.directory / "unfinished"
        unfinished.write_text("\n".join(lines) + "\n")
        unfinished.chmod(0o700)
        unfinished.rename(self.program)

    def renews(
        self,
        file: Path,
        token: str = RENEWED,
        before: str = "",
        after: str = "",
        refresh_token: str = "sk-ant-ort01-FAKE-refresh",
    ) -> None:
        """It puts a new login into a file at once, as Claude Code does: whole, by a rename."""
        ready = self.directory / "renewed"
        ready.write_text(stored_login(token, refresh_token))
        new = shlex.quote(str(file) + ".new")
        self.does(f"{before}\ncp {shlex.quote(str(ready))} {new}\nmv {new} {shlex.quote(str(file))}\n{after}")

    @property
    def runs(self) -> list[int]:
        """The process of each run so far."""
        notes = self.directory / "runs"
        return [int(line) for line in notes.read_text().splitlines()] if notes.exists() else []

    @property
    def arguments(self) -> list[str]:
        return (self.directory / "arguments").read_text().splitlines()

    @property
    def place(self) -> str:
        return (self.directory / "place").read_text().strip()

    @property
    def environment(self) -> Mapping[str, str]:
        """What it was given, without what the shell adds by itself."""
        lines = (self.directory / "environment").read_text().splitlines()
        given = dict(line.partition("=")[::2] for line in lines)
        return {name: value for name, value in given.items() if name not in {"PWD", "SHLVL", "_", "OLDPWD"}}


def expired_login(token: str = "sk-ant-oat01-FAKE-expired", refresh_token: str = "sk-ant-ort01-FAKE-refresh") -> str:
    """A stored login that ended in the year 2001."""
    login = json.loads(stored_login(token, refresh_token, expiresAt=1_000_000_000_000))
    return json.dumps(login)


def is_running(pid: int) -> bool:
    """Whether a process is there and no mere zombie that nobody has waited for yet."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"

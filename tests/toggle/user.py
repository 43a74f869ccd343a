"""A made-up user of the switch: a home of their own, what lies in it, and the switch turned there."""

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from claude_proxy.toggle.disk import Disk
from claude_proxy.toggle.edits import Line
from claude_proxy.toggle.places import Places
from claude_proxy.toggle.settings_text import BASE_URL, HAIKU_MODEL, TOOL_SEARCH
from claude_proxy.toggle.switch import Outcome, Switch, Via, Wish

URL = "http://127.0.0.1:8082"
OTHER_PORT = "http://127.0.0.1:8083"
GATEWAY = "https://gateway.example/anthropic"
SETTINGS = '{\n  "model": "opus",\n  "env": {\n    "A": "b"\n  }\n}\n'

Tree = dict[str, tuple[int, bytes]]

is_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")


@dataclass
class User:
    """`shell` is the login shell's name; `more` goes into the environment."""

    home: Path
    shell: str = ""
    more: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)

    @property
    def environment(self) -> dict[str, str]:
        return {"HOME": str(self.home), "SHELL": f"/bin/{self.shell}", **self.more}

    @property
    def places(self) -> Places:
        before = dict(os.environ)
        try:
            os.environ.clear()
            os.environ.update(self.environment)
            return Places.of(self.environment)
        finally:
            os.environ.clear()
            os.environ.update(before)

    @property
    def settings(self) -> Path:
        return self.home / ".claude" / "settings.json"

    @property
    def env(self) -> dict[str, str]:
        """What stands in `env` of the settings."""
        found = json.loads(self.settings.read_text()).get("env", {})
        assert isinstance(found, dict)
        return found

    def write(self, name: str, data: bytes | str, mode: int = 0o644) -> Path:
        """A file of the user's, below the home."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        path.chmod(mode)
        return path

    def switch(self, disk: Disk | None = None) -> Switch:
        return Switch(self.places, disk or Disk(), self.environment)

    def enable(
        self,
        via: Via = Via.SETTINGS,
        url: str = URL,
        *,
        disk: Disk | None = None,
        take_over: bool = False,
        haiku: bool = False,
    ) -> Outcome:
        variables = {BASE_URL: url, TOOL_SEARCH: "true", **({HAIKU_MODEL: "haiku"} if haiku else {})}
        wish = Wish(via, url, variables, take_over=take_over)
        return self.switch(disk).enable(wish)

    def disable(self, url: str = URL, *, disk: Disk | None = None) -> Outcome:
        return self.switch(disk).disable(url)

    def tree(self) -> Tree:
        """Everything in the home but our own state: names, modes, contents, and where links lead."""
        found: Tree = {}
        state = self.places.state
        ours = {state, *(parent for parent in state.parents if parent.is_relative_to(self.home))}
        for path in sorted(self.home.rglob("*")):
            if path in ours or path.is_relative_to(state):
                continue
            mode = stat.S_IMODE(path.lstat().st_mode)
            if path.is_symlink():
                found[str(path)] = (0, os.fsencode(path.readlink()))
            else:
                found[str(path)] = (mode, b"" if path.is_dir() else path.read_bytes())
        return found


def texts(lines: tuple[Line, ...]) -> list[str]:
    return [f"{line.mark} {line.text} ({line.note})" if line.note else f"{line.mark} {line.text}" for line in lines]

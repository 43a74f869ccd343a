"""The service under systemd's manager of the user: a service unit, and the socket unit that holds its port."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from claude_proxy.service.answering import wait_until
from claude_proxy.service.control import ENDING_SECONDS, STILL_ENDING, ManagerFailed, State, run
from claude_proxy.service.plan import NAME, Plan, systemd_units

_SERVICE, _SOCKET = f"{NAME}.service", f"{NAME}.socket"


class Systemd:
    def __init__(self, plan: Plan, environment: Mapping[str, str]) -> None:
        self._plan = plan
        self._home = Path(environment.get("HOME") or Path.home())
        self._directory = Path(environment.get("XDG_CONFIG_HOME") or self._home / ".config") / "systemd" / "user"
        self._user = environment.get("USER") or str(os.getuid())

    def files(self) -> dict[Path, str]:
        return {self._directory / name: text for name, text in systemd_units(self._plan).items()}

    def program(self) -> str | None:
        try:
            text = (self._directory / _SERVICE).read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            return None
        found = re.search(r'^ExecStart=(?:"((?:\\.|[^"\\\n])+)"|(\S+))', text, re.MULTILINE)
        if found is None:
            return None
        word = re.sub(r"\\(.)", r"\1", found[1]) if found[1] else found[2]
        return re.sub(r"%(.)", lambda mark: {"%": "%", "h": str(self._home)}.get(mark[1], mark[0]), word)

    def reread(self) -> None:
        run("systemctl", "--user", "daemon-reload")

    def start(self) -> None:
        if not wait_until(lambda: not self.state().ending, ENDING_SECONDS):
            raise ManagerFailed(STILL_ENDING)  # systemd would refuse to listen
        run("systemctl", "--user", "enable", _SOCKET, _SERVICE)
        # What has failed too often is not started again before it is forgiven.
        run("systemctl", "--user", "reset-failed", _SOCKET, _SERVICE, check=False)
        run("systemctl", "--user", "start", _SOCKET, _SERVICE)

    def stop(self) -> None:
        # The socket too: the next connection would start the service again.
        done = run("systemctl", "--user", "stop", "--no-block", _SOCKET, _SERVICE, check=False)
        if done.returncode and self.state().loaded:
            raise ManagerFailed(f"`systemctl --user stop` failed: {done.stderr.strip()}")

    def forget(self) -> None:
        run("systemctl", "--user", "disable", _SOCKET, _SERVICE, check=False)

    def state(self) -> State:
        names = "LoadState,ActiveState,SubState,MainPID,StatusText"
        said = run("systemctl", "--user", "show", f"--property={names}", _SERVICE).stdout
        found = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
        pid = int(found.get("MainPID") or 0)
        active = found.get("ActiveState", "unknown")
        loaded = active not in {"inactive", "failed", "unknown"}
        words = f"{active} ({found.get('SubState', 'unknown')})"
        if loaded and found.get("StatusText"):
            words += f": {found['StatusText']}"
        return State(loaded, pid or None, words, ending=active == "deactivating")

    def remarks(self) -> list[str]:
        lingers = run("loginctl", "show-user", self._user, "--property=Linger", "--value", check=False).stdout.strip()
        if lingers == "yes":
            return []
        return ["It runs while you are logged in. To have it run always: loginctl enable-linger"]

    def log(self) -> str:
        return f"journalctl --user --unit {NAME}"

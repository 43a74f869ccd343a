"""Where the daemon's log is: in the journal, in a file, or wherever its stderr goes."""

import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from claude_proxy.logfile import launchd_log
from claude_proxy.service.launchd import Launchd
from claude_proxy.service.plan import NAME, Plan
from claude_proxy.service.systemd import Systemd

JOURNAL = ("journalctl", "--user-unit", NAME)
"""The command that shows what systemd has kept of the service. Not `--user --unit`, which looks into the user's own
journal alone: where the journal is not kept on the disk, there is none but the system's."""


class NoLog(Exception):
    """There is nothing to read; the text says where the log goes instead. `running`: the daemon answers."""

    def __init__(self, words: str, *, running: bool) -> None:
        super().__init__(words)
        self.running = running


class LogPlace(NamedTuple):
    """`file` is None where it is the journal."""

    file: Path | None


def find_log(config: Path | None, environment: Mapping[str, str]) -> LogPlace:
    """Where it is, without a service as the running daemon has it. Raises NoLog, ConfigurationError."""
    home = Path(environment.get("HOME") or Path.home())
    plan = Plan((NAME,))
    if Launchd(plan, home).program() is not None:
        return LogPlace(launchd_log(home))
    if Systemd(plan, environment).program() is not None:
        return LogPlace(None)
    return _of_the_daemon(config, environment)


def _of_the_daemon(config: Path | None, environment: Mapping[str, str]) -> LogPlace:
    # Imported here because YAML and HTTP take 40 ms, for which the log of a service need not wait.
    from claude_proxy.config.address import listen_address
    from claude_proxy.health_report import NotAnswering, ask_health

    host, port = listen_address(config, environment)
    try:
        pid = ask_health(host, port).pid
    except NotAnswering as error:
        raise NoLog(
            f"no service is installed, and no daemon answers on {host}:{port} ({error}). A daemon that is started by "
            "hand logs to its stderr; with `claude-proxy service install` its log is kept",
            running=False,
        ) from None
    found = _stderr_of(pid) if pid is not None else None
    if found is not None and stat.S_ISREG(found.stat().st_mode):
        return LogPlace(found)
    where = f"{found} is where it goes. " if found is not None else ""
    raise NoLog(
        f"process {pid} is no service: its log goes to its stderr, where it was started. {where}In a container: "
        f"docker logs --follow cc-proxy. To keep it: {NAME} serve 2>> FILE, or {NAME} service install",
        running=True,
    )


def _stderr_of(pid: int, proc: Path = Path("/proc")) -> Path | None:
    """The file or terminal that a daemon of this user logs to; None where that cannot be known, or has no name."""
    if sys.platform != "linux":
        return None
    try:
        # In a container the number means another process there than here.
        if b"claude" not in (proc / str(pid) / "cmdline").read_bytes():
            return None
        found = (proc / str(pid) / "fd" / "2").readlink()
    except OSError:
        return None
    return found if found.is_absolute() and os.access(found, os.R_OK) else None

"""The sessions of Claude Code that run now, and since when: each keeps the address it was started with.

Read from /proc, elsewhere from ps. A process counts by its name, `claude`, and only where the one that started it is
no `claude` itself: those are its workers.
"""

import os
import re
import sys
import time
from pathlib import Path
from typing import NamedTuple

_NAME = "claude"
_PATIENCE = 2.0  # seconds for ps
_TICK = 0.02  # seconds; /proc tells starts in hundredths
_SECOND = 1.0  # seconds; ps tells ages in whole ones
_ETIME = re.compile(r"(?:(?:(\d+)-)?(\d+):)?(\d+):(\d+)")  # [[days-]hours:]minutes:seconds, ps(1)


class _Process(NamedTuple):
    pid: int
    parent: int
    name: str
    started: float


def running(since: float | None = None) -> list[float] | None:
    """When each session of this user was started, as Unix time in seconds; None where that cannot be known.

    `since`: only those that were started then or later.
    """
    proc = Path("/proc")
    exact = (proc / "self" / "stat").exists()
    found = _from_proc(proc) if exact else _from_ps()
    if found is None:
        return None
    started = sorted(process.started for process in _sessions(found))
    return [at for at in started if since is None or at >= since - (_TICK if exact else _SECOND)]


def _sessions(found: list[_Process]) -> list[_Process]:
    claudes = {process.pid: process for process in found if process.name == _NAME}
    return [process for process in claudes.values() if process.parent not in claudes]


def _from_proc(proc: Path) -> list[_Process]:
    """Processes of this user, without those that have ended and are only not yet waited for."""
    if sys.platform != "linux":
        return []
    now, up, ticks = time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), os.sysconf("SC_CLK_TCK")
    found = []
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if entry.stat().st_uid != os.geteuid():
                continue
            text = (entry / "stat").read_text(errors="replace")
        except OSError:
            continue  # it has ended meanwhile
        # The name stands in parentheses and may hold some itself: proc(5).
        name = text[text.index("(") + 1 : text.rindex(")")]
        fields = text[text.rindex(")") + 2 :].split()
        if fields[0] not in {"Z", "X"}:
            found.append(_Process(int(entry.name), int(fields[1]), name, now - up + int(fields[19]) / ticks))
    return found


def _from_ps() -> list[_Process] | None:
    # Imported here because it takes 10 ms, and only macOS needs it.
    import subprocess

    command = ["/bin/ps", "-x", "-o", "pid=,ppid=,stat=,etime=,comm="]
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program, no shell
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            check=True,
            env={"LC_ALL": "C"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    now = time.time()
    found = []
    for line in done.stdout.decode(errors="replace").splitlines():
        pid, parent, state, etime, name = line.split(None, 4)
        match = _ETIME.fullmatch(etime)
        if match and not state.startswith("Z"):
            days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
            age = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
            found.append(_Process(int(pid), int(parent), name.rpartition("/")[2], now - age))
    return found


def resident_memory(pid: int) -> int | None:
    """What a daemon of this user has in memory, in bytes; None where that cannot be known."""
    try:
        proc = Path(f"/proc/{pid}")
        # In a container the number means another process there than here.
        if b"claude" not in (proc / "cmdline").read_bytes():
            return None
        match = re.search(r"^VmRSS:\s+(\d+) kB", (proc / "status").read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(match[1]) * 1024 if match else None

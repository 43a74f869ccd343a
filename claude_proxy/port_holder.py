"""Who listens on a port, where the system tells it: /proc on Linux, lsof elsewhere."""

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_LISTEN = "0A"  # the state in /proc/net/tcp, of the kernel's include/net/tcp_states.h
_LSOF_SECONDS = 3.0


def holders(port: int) -> str:
    """The processes that listen on a port of this machine, as words: `claude-proxy (pid 12)`. Else ""."""
    return " and ".join(f"{name} (pid {pid})" for pid, name in listeners(port))


def listeners(port: int) -> list[tuple[int, str]]:
    """The same as pairs of pid and name, by pid."""
    return sorted(_by_proc(port) if sys.platform == "linux" else _by_lsof(port))


def _by_proc(port: int, proc: Path = Path("/proc")) -> set[tuple[int, str]]:
    """Other users' processes do not show their descriptors, and so are not found."""
    sockets = {f"socket:[{inode}]" for inode in _listening(port, proc)}
    found = set()
    for directory in proc.glob("[0-9]*"):
        # It may end while we look, or be another user's.
        with contextlib.suppress(OSError):
            if any(str(link.readlink()) in sockets for link in (directory / "fd").iterdir()):
                found.add((int(directory.name), _name(directory)))
    return found


def _listening(port: int, proc: Path) -> Iterator[str]:
    """The inodes of sockets that listen on the port. Columns as proc(5) has them."""
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (proc / "net" / table).read_text().splitlines()[1:]:
                columns = line.split()
                if columns[3] == _LISTEN and int(columns[1].rpartition(":")[2], 16) == port:
                    yield columns[9]


def _name(directory: Path) -> str:
    """The program's name; never its arguments, which may hold a secret."""
    program = (directory / "cmdline").read_bytes().split(b"\0")[:3]
    ours = any(re.search(rb"claude[-_]proxy(/__main__\.py)?$", word) for word in program)
    return "claude-proxy" if ours else (directory / "comm").read_text().strip()


def _by_lsof(port: int) -> set[tuple[int, str]]:
    """Lines of `lsof -F pc`: p and the pid, then c and the command, for each process."""
    command = ["lsof", "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_LSOF_SECONDS)  # noqa: S603 - fixed words and a number
    except (OSError, subprocess.TimeoutExpired):
        return set()
    return {(int(pid), name) for pid, name in re.findall(r"^p(\d+)\n(?:.*\n)*?c(.+)$", done.stdout, re.MULTILINE)}

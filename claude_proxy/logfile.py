"""The daemon's log under launchd, kept from growing: launchd opens it for the daemon, and never rotates it.

launchd starts the daemon with its output appended to this file, and opens it anew with each start only. So the daemon
renames the file when it has grown, and puts a new one in the place of its own output: what it writes itself, what its
children write and what Python writes when it crashes all goes there. Several processes may do so during an upgrade;
each goes after whichever was first.
"""

import contextlib
import fcntl
import os
from pathlib import Path

LARGEST = 10 << 20
"""Bytes in one file; with those that were renamed there are 40 MiB at most."""

KEPT = 3
"""Files that were renamed: `.1` is the newest."""

_STDOUT = 1


def launchd_log(home: Path) -> Path:
    """Where the launch agent has the log."""
    return home / "Library" / "Logs" / "claude-proxy" / "claude-proxy.log"


def renamed(path: Path, number: int) -> Path:
    """The `number`th file before this one."""
    return path.with_name(f"{path.name}.{number}")


class LogFile:
    """What a descriptor is written to. Where that is not the file at `path`, it is written to and nothing else."""

    def __init__(self, path: Path, descriptor: int, largest: int = LARGEST) -> None:
        self._path = path
        self._descriptor = descriptor
        self._largest = largest
        self._is_ours = _same(os.fstat(descriptor), _status(path))

    def write(self, text: memoryview) -> int:
        """Writes as `os.write` does, to a new file where the old one has become too large. Raises OSError."""
        if self._is_ours:
            with contextlib.suppress(OSError):  # a log that cannot be renamed is better than none
                self._look_after(len(text))
        return os.write(self._descriptor, text)

    def _look_after(self, coming: int) -> None:
        now = os.fstat(self._descriptor)
        if not _same(now, _status(self._path)):
            self._open_anew(now)  # another of us has renamed it, or the user has removed it
        elif now.st_size and now.st_size + coming > self._largest:
            directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)  # busy: the next write tries again
                if _same(now, _status(self._path)):
                    self._rename()
                self._open_anew(now)
            finally:
                os.close(directory)

    def _rename(self) -> None:
        for number in range(KEPT, 1, -1):
            with contextlib.suppress(FileNotFoundError):
                renamed(self._path, number - 1).rename(renamed(self._path, number))
        self._path.rename(renamed(self._path, 1))

    def _open_anew(self, old: os.stat_result) -> None:
        """Puts the file at `path` in the place of stderr, and of stdout where that went to the same file."""
        fresh = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.dup2(fresh, self._descriptor)
            if _same(old, os.fstat(_STDOUT)):
                os.dup2(fresh, _STDOUT)
        finally:
            os.close(fresh)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except OSError:
        return None


def _same(one: os.stat_result, other: os.stat_result | None) -> bool:
    return other is not None and os.path.samestat(one, other)

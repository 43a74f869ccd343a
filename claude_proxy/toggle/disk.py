"""Files changed as a whole: old or new, never torn, whatever happens in between.

A change is written beside its file, made durable and renamed over it, through symbolic links; mode, group and
extended attributes stay. Every system call goes through `Disk.call`, so that a test can fail or end the process at
each of them.
"""

import contextlib
import errno
import fcntl
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, ParamSpec, TypeVar

from claude_proxy.toggle.refusals import FileRefused

P = ParamSpec("P")
T = TypeVar("T")

_PRIVATE_FILE, _PRIVATE_DIRECTORY = 0o600, 0o700
_LARGEST = 16 << 20  # bytes
_BESIDE = ".{name}.claude-proxy-new"


class Found(NamedTuple):
    """A file as it was read: its bytes, and the status by which it is known again."""

    data: bytes
    status: os.stat_result

    @property
    def identity(self) -> tuple[int, ...]:
        status = self.status
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


class Busy(FileRefused):
    """Another of us is at work."""


class Disk:
    """Reads and changes files. Raises FileRefused with cause and remedy; the file is then the old one or the new."""

    def call(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """One system call."""
        return function(*arguments, **named)

    def target(self, path: Path) -> Path:
        """Where a path leads through all symbolic links; the file itself need not exist."""
        try:
            return Path(self.call(os.path.realpath, path))
        except OSError as error:
            raise _refused(path, "cannot be followed", error) from None

    def read(self, path: Path) -> Found | None:
        """A regular file of the user's own with one name, or None where there is none. Follows no link."""
        try:
            # Not blocking: a FIFO in its place must not hold us.
            descriptor = self.call(os.open, path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _refused(path, "cannot be read", error) from None
        try:
            status = self.call(os.fstat, descriptor)
            _check(path, status)
            with open(descriptor, "rb", closefd=False) as file:
                data = self.call(file.read, _LARGEST + 1)
        except OSError as error:
            raise _refused(path, "cannot be read", error) from None
        finally:
            os.close(descriptor)
        if len(data) > _LARGEST:
            raise FileRefused(f"{path} is larger than {_LARGEST >> 20} MiB, which no settings are; nothing was changed")
        return Found(data, status)

    def write(self, path: Path, data: bytes, before: Found | None) -> None:
        """Puts `data` in the place of what was read before, or makes the file where there was none."""
        beside = _beside(path)
        try:
            self.sweep(path)
            how = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = self.call(os.open, beside, how, _PRIVATE_FILE)
            try:
                left = memoryview(data)
                while left:
                    left = left[self.call(os.write, descriptor, left) :]
                self._take_after(descriptor, path, before)
                self.call(os.fsync, descriptor)
            finally:
                os.close(descriptor)
            self._check_unchanged(path, before)
            self.call(os.rename, beside, path)
            self._sync_directory(path.parent)
        except OSError as error:
            with contextlib.suppress(OSError):
                self.call(os.unlink, beside)
            raise _refused(path, "cannot be written", error) from None
        except FileRefused:
            with contextlib.suppress(OSError):
                self.call(os.unlink, beside)
            raise
        back = self.read(path)
        if back is None or back.data != data:
            raise FileRefused(f"{path} was changed by another program just after it was written; look at it")

    def remove(self, path: Path, before: Found) -> None:
        """Removes the file that was read before."""
        try:
            self._check_unchanged(path, before)
            self.call(os.unlink, path)
            self._sync_directory(path.parent)
        except OSError as error:
            raise _refused(path, "cannot be removed", error) from None

    def sweep(self, path: Path) -> None:
        """Removes what an interrupted write has left beside a file."""
        try:
            self.call(os.unlink, _beside(path))
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            raise _refused(_beside(path), "cannot be removed", error) from None

    def missing_directories(self, path: Path) -> list[Path]:
        """The directories that a file needs and that are not there, outermost first."""
        missing: list[Path] = []
        parent = path.parent
        while not parent.exists() and parent != parent.parent:
            missing.insert(0, parent)
            parent = parent.parent
        return missing

    def make_directories(self, directories: list[Path]) -> None:
        for directory in directories:
            try:
                self.call(os.mkdir, directory, _PRIVATE_DIRECTORY)
            except FileExistsError:
                continue
            except OSError as error:
                raise _refused(directory, "cannot be made", error) from None

    def remove_directories(self, directories: list[Path]) -> None:
        """Removes those of these that are empty, innermost first."""
        for directory in reversed(directories):
            try:
                self.call(os.rmdir, directory)
            except OSError as error:
                if error.errno not in {errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
                    raise _refused(directory, "cannot be removed", error) from None

    @contextlib.contextmanager
    def locked(self, directory: Path) -> Iterator[None]:
        """Holds a directory of our own against others of us; makes it, private, where it is missing."""
        descriptor = -1
        try:
            if missing := self.missing_directories(directory / "any"):
                # With sudo it would be root's, and in the user's way for ever after.
                _check_owner(missing[0].parent, self.call(os.stat, missing[0].parent))
                self.make_directories(missing)
            descriptor = self.call(os.open, directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            _check_owner(directory, self.call(os.fstat, descriptor))
            self.call(fcntl.flock, descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            _close(descriptor)
            if error.errno == errno.EWOULDBLOCK:
                raise Busy("another proxy-toggle is at work; try again when it has ended") from None
            raise _refused(directory, "cannot be used", error) from None
        except FileRefused:
            _close(descriptor)
            raise
        try:
            yield
        finally:
            _close(descriptor)

    def _take_after(self, descriptor: int, path: Path, before: Found | None) -> None:
        """Gives the new file the mode, group and attributes of the old one."""
        if before is None:
            _check_owner(path.parent, self.call(os.stat, path.parent))
            return
        if self.call(os.fstat, descriptor).st_gid != before.status.st_gid:
            self.call(os.fchown, descriptor, -1, before.status.st_gid)
        self.call(os.fchmod, descriptor, stat.S_IMODE(before.status.st_mode))
        if sys.platform == "linux":
            for name in self.call(os.listxattr, path):
                if name.startswith(("user.", "system.posix_acl_")):
                    self.call(os.setxattr, descriptor, name, self.call(os.getxattr, path, name))

    def _check_unchanged(self, path: Path, before: Found | None) -> None:
        """Claude Code writes its settings too: what it has just written must not be lost."""
        try:
            status = self.call(os.lstat, path)
        except FileNotFoundError:
            now = None
        else:
            now = Found(b"", status).identity
        if now != (before.identity if before else None):
            raise FileRefused(f"{path} was changed by another program in this moment; try again")

    def _sync_directory(self, directory: Path) -> None:
        descriptor = self.call(os.open, directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.call(os.fsync, descriptor)
        finally:
            os.close(descriptor)


def glance(path: Path) -> bytes | None:
    """A file as any program reads it, whoever owns it and through links, or None; nothing may be decided on it but
    whether it is worth a look."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123 - a FIFO must not hold us
            return file.read(_LARGEST)
    except OSError:
        return None


def _close(descriptor: int) -> None:
    if descriptor >= 0:
        os.close(descriptor)


def _beside(path: Path) -> Path:
    return path.with_name(_BESIDE.format(name=path.name))


def _check(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise FileRefused(f"{path} is not a regular file; nothing was changed")
    _check_owner(path, status)
    if status.st_nlink > 1:
        raise FileRefused(
            f"{path} has {status.st_nlink} names (hard links), of which only one would change; nothing was changed. "
            f"Make it a file of its own: cp -p {path} {path}.new && mv {path}.new {path}"
        )


def _check_owner(path: Path, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        raise FileRefused(
            f"{path} belongs to another user (uid {status.st_uid}); nothing was changed. "
            "Run this as that user, without sudo, or make it yours"
        )


def _refused(path: Path, what: str, error: OSError) -> FileRefused:
    return FileRefused(f"{path} {what}: {error.strerror or error}")

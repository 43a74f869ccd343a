"""The files of this proxy's own keys: one for each name, mode 0600, in a directory of mode 0700.

Such a file holds the key where the machine has no keychain. Where it has one, the key lies there and the file is
empty: a note of the name, since no keychain can be asked for the names that it holds. So whichever was stored last
is what the file tells.
"""

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from claude_proxy.credentials.regular_file import FileRefused
from claude_proxy.directories import our_data

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def keys_directory(environment: Mapping[str, str]) -> Path:
    """Where they lie: ~/.local/share/claude-proxy/keys, on macOS too; an absolute XDG_DATA_HOME is honoured."""
    return our_data(environment) / "keys"


def is_key_name(name: str) -> bool:
    """Whether a name may be that of a key, and so of a file: no path, nothing hidden."""
    return _NAME.fullmatch(name) is not None


def key_names(directory: Path) -> list[str]:
    """The names of all keys that were stored, in alphabetical order. Raises OSError."""
    try:
        return sorted(path.name for path in directory.iterdir() if is_key_name(path.name))
    except (FileNotFoundError, NotADirectoryError):
        return []


def write_key_file(directory: Path, name: str, text: str) -> Path:
    """Writes a file whole or not at all, in the place of whatever lies there; no link is followed.

    Returns its path. Raises FileRefused, OSError.
    """
    directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=0o700)
    with _opened(directory) as inside:
        unfinished = f".{name}.{os.urandom(4).hex()}"
        how = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(unfinished, how, 0o600, dir_fd=inside)
        try:
            with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - within a directory held open
                os.fchmod(descriptor, 0o600)
                file.write(text)
                file.flush()
                os.fsync(descriptor)
            os.rename(unfinished, name, src_dir_fd=inside, dst_dir_fd=inside)
        except OSError:
            os.unlink(unfinished, dir_fd=inside)
            raise
        os.fsync(inside)
    return directory / name


def remove_key_file(directory: Path, name: str) -> bool:
    """Whether there was one. Raises FileRefused, OSError."""
    try:
        with _opened(directory) as inside:
            os.unlink(name, dir_fd=inside)
    except FileNotFoundError:
        return False
    return True


@contextlib.contextmanager
def _opened(directory: Path) -> Iterator[int]:
    """The directory held open, so that nobody puts another in its place; made private where it is not."""
    try:
        inside = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in {errno.ENOTDIR, errno.ELOOP}:  # so systems call a link here
            raise FileRefused(f"{directory} is not a directory of its own; remove it") from None
        raise
    try:
        status = os.fstat(inside)
        if status.st_uid != os.getuid():
            raise FileRefused(f"{directory} belongs to another user; remove it")
        if stat.S_IMODE(status.st_mode) != 0o700:
            os.fchmod(inside, 0o700)
        yield inside
    finally:
        os.close(inside)

"""A small regular file, read whole: no FIFO that waits for ever, and nothing that others may read or have planted."""

import errno
import os
import stat
from pathlib import Path

_LARGEST = 1 << 20  # bytes; a login is a few hundred


class FileRefused(Exception):
    """What lies there is not read; the text names the path, the reason and the remedy."""


def read_regular(path: Path, *, private: bool = False, planted: bool = True, largest: int = _LARGEST) -> str | None:
    """Its text, or None where there is no such file. At most `largest` bytes are read.

    `private` refuses a file that others may read; `planted` False also one of another user's and a symbolic link.
    Raises FileRefused, OSError, UnicodeDecodeError.
    """
    # Not blocking: a FIFO in its place must not hold the thread.
    how = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if planted else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, how)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ELOOP and not planted:
            raise FileRefused(f"{path} is a symbolic link, which is not followed; remove it") from None
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise FileRefused(f"{path} is not a regular file")
        if private and status.st_mode & 0o077:
            raise FileRefused(f"{path} can be read by others; make it private: chmod 600 {path}")
        if not planted and status.st_uid != os.getuid():
            raise FileRefused(f"{path} belongs to another user; remove it")
        return os.read(descriptor, largest).decode()
    finally:
        os.close(descriptor)

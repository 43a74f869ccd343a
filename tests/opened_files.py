"""Whether a file is opened by anybody, from the kernel (inotify): the proof that nobody has read it."""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

_IN_OPEN = 0x20  # linux/inotify.h


class Watch:
    """A file under watch."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def opened(self) -> bool:
        """Whether it has been opened since the last look."""
        try:
            return bool(os.read(self._descriptor, 1 << 16))
        except BlockingIOError:
            return False


@contextlib.contextmanager
def watched(path: Path) -> Iterator[Watch]:
    """Watches a file that exists."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "inotify_init1")
    try:
        if libc.inotify_add_watch(descriptor, os.fsencode(path), _IN_OPEN) < 0:
            raise OSError(ctypes.get_errno(), "inotify_add_watch", str(path))
        yield Watch(descriptor)
    finally:
        os.close(descriptor)

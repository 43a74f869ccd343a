"""A log in files, read from the oldest line on, and followed through every renaming."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from claude_proxy.logfile import KEPT, renamed

_LONGEST = 1 << 20  # bytes of one line; a longer one is cut in two
_EVERY = 0.2  # seconds between two looks at whether there is more


def read(path: Path, *, follow: bool = False) -> Iterator[str | None]:
    """Every line of the file and of those that were renamed before it; then None, and, with `follow`, those that come.

    Raises OSError where there is a file and it cannot be read.
    """
    with contextlib.ExitStack() as opened:
        files = _open_all(path, opened)
        for file in files:
            while line := file.readline(_LONGEST):
                if not line.endswith(b"\n") and len(line) < _LONGEST and file is files[-1]:
                    file.seek(-len(line), os.SEEK_CUR)  # still being written
                    break
                yield _text(line)
        yield None
        if follow:
            yield from _follow(path, files[-1] if files else None)


def _open_all(path: Path, opened: contextlib.ExitStack) -> list[BinaryIO]:
    """The files, the oldest first: opened before any is read, the newest before the others, so that a renaming in
    between shows one of them twice, and none not at all."""
    files: list[BinaryIO] = []
    seen: set[int] = set()
    for place in (path, *(renamed(path, number) for number in range(1, KEPT + 1))):
        with contextlib.suppress(FileNotFoundError):
            file = opened.enter_context(place.open("rb"))
            inode = os.fstat(file.fileno()).st_ino
            if inode not in seen:
                seen.add(inode)
                files.insert(0, file)
    return files


def _follow(path: Path, file: BinaryIO | None) -> Iterator[str]:
    begun = b""
    with contextlib.ExitStack() as opened:
        while True:
            line = file.readline(_LONGEST) if file else b""
            if file and line:
                begun += line
                if begun.endswith(b"\n") or len(begun) >= _LONGEST:
                    yield _text(begun)
                    begun = b""
                continue
            another = _reopened(path, file)
            if another is None:
                time.sleep(_EVERY)
                continue
            if begun:
                yield _text(begun)
                begun = b""
            opened.close()
            file = opened.enter_context(another)


def _reopened(path: Path, file: BinaryIO | None) -> BinaryIO | None:
    """The file that lies there now, where that is another one, or has been emptied. None: nothing has changed."""
    try:
        now = path.stat()
        if file:
            its = os.fstat(file.fileno())
            if os.path.samestat(its, now) and its.st_size >= file.tell():
                return None
        return path.open("rb")
    except FileNotFoundError:
        return None


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r\n")

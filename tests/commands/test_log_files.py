"""A log in files: all of it in order, and followed through renamings."""

import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import pytest

from claude_proxy.commands.log_files import read
from claude_proxy.logfile import renamed


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "it.log"


def test_the_oldest_comes_first_and_the_end_is_told(path: Path) -> None:
    renamed(path, 2).write_text("one\n")
    renamed(path, 1).write_text("two\nthree\n")
    path.write_bytes(b"four \xff\nunfinished")
    assert list(read(path)) == ["one", "two", "three", "four �", None]


def test_an_old_file_whose_last_line_has_no_end_is_told_whole(path: Path) -> None:
    renamed(path, 1).write_text("cut")
    path.write_text("next\n")
    assert list(read(path)) == ["cut", "next", None]


def test_no_file_is_no_line(path: Path) -> None:
    assert list(read(path)) == [None]


def test_a_file_renamed_in_this_moment_is_read_once(path: Path) -> None:
    path.write_text("one\n")
    renamed(path, 1).hardlink_to(path)
    assert list(read(path)) == ["one", None]


def test_a_file_that_may_not_be_read_is_said(path: Path) -> None:
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        list(read(path))


class Followed:
    """The lines that are read on a thread, as they come."""

    def __init__(self, path: Path) -> None:
        self._lines: Queue[str | None] = Queue()
        self._followed: Iterator[str | None] = read(path, follow=True)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._followed:
            self._lines.put(line)

    def next(self) -> str | None:
        return self._lines.get(timeout=20)


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_what_comes_is_followed_through_a_renaming_and_an_emptying(path: Path) -> None:
    path.write_text("before\nbeg")
    followed = Followed(path)
    assert [followed.next(), followed.next()] == ["before", None]
    append(path, "un\n")
    assert followed.next() == "begun"
    append(path, "last of the old")
    path.rename(renamed(path, 1))
    append(path, "first of the new\n")
    assert [followed.next(), followed.next()] == ["last of the old", "first of the new"]
    path.write_text("")  # emptied, as `: > it.log` does
    append(path, "anew\n")
    assert followed.next() == "anew"
    path.unlink()
    append(path, "made again\n")
    assert followed.next() == "made again"


def test_a_file_that_is_not_there_yet_is_waited_for(path: Path) -> None:
    followed = Followed(path)
    assert followed.next() is None
    append(path, "here\n")
    assert followed.next() == "here"

"""The log that launchd has opened for the daemon: renamed when it has grown, by whichever process comes first."""

import asyncio
import fcntl
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from claude_proxy.logfile import KEPT, LARGEST, LogFile, launchd_log, renamed
from tests.running import clean_environment, eventually

APPENDING = os.O_WRONLY | os.O_APPEND | os.O_CREAT


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "it.log"


@pytest.fixture
def descriptor(path: Path) -> Iterator[int]:
    """As launchd opens it."""
    opened = os.open(path, APPENDING, 0o644)
    yield opened
    os.close(opened)


def write(log: LogFile, text: str) -> None:
    data = memoryview(text.encode())
    assert log.write(data) == len(data)


def test_it_grows_until_the_next_line_would_be_too_much(path: Path, descriptor: int) -> None:
    log = LogFile(path, descriptor, largest=10)
    write(log, "12345")
    write(log, "67890")
    assert path.read_text() == "1234567890"
    write(log, "x")
    assert (path.read_text(), renamed(path, 1).read_text()) == ("x", "1234567890")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_only_so_many_are_kept(path: Path, descriptor: int) -> None:
    log = LogFile(path, descriptor, largest=1)
    for number in range(6):
        write(log, f"line {number}")
    assert path.read_text() == "line 5"
    assert [renamed(path, number).read_text() for number in range(1, KEPT + 1)] == ["line 4", "line 3", "line 2"]
    assert len(list(path.parent.iterdir())) == 1 + KEPT


def test_a_line_longer_than_a_file_is_written_all_the_same(path: Path, descriptor: int) -> None:
    write(LogFile(path, descriptor, largest=1), "a long line")
    assert path.read_text() == "a long line"
    assert not renamed(path, 1).exists()


def test_another_process_goes_after_the_first_and_no_line_is_lost(path: Path, descriptor: int) -> None:
    """The version that stands in during an upgrade has a descriptor of its own on the same file."""
    other = os.open(path, APPENDING)
    try:
        first, second = LogFile(path, descriptor, largest=10), LogFile(path, other, largest=10)
        write(first, "first....\n")
        write(first, "renames..\n")
        write(second, "second...\n")
        write(first, "again....\n")
    finally:
        os.close(other)
    texts = [path.read_text(), *(renamed(path, number).read_text() for number in (1, 2))]
    assert texts == ["again....\n", "renames..\nsecond...\n", "first....\n"]


def test_one_that_comes_second_at_the_same_moment_renames_nothing(
    path: Path, descriptor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other has renamed the file after we had looked and before we held the directory."""

    def flock(directory: int, how: int) -> None:
        before(directory, how)
        path.rename(renamed(path, 1))
        path.write_text("the other's\n")

    before = fcntl.flock
    log = LogFile(path, descriptor, largest=10)
    write(log, "old.......")
    monkeypatch.setattr(fcntl, "flock", flock)
    write(log, "ours\n")
    assert (path.read_text(), renamed(path, 1).read_text()) == ("the other's\nours\n", "old.......")
    assert not renamed(path, 2).exists()


def test_a_file_that_the_user_removed_is_made_again(path: Path, descriptor: int) -> None:
    log = LogFile(path, descriptor, largest=100)
    path.unlink()
    write(log, "still here")
    assert path.read_text() == "still here"


def test_output_that_goes_elsewhere_is_left_alone(tmp_path: Path, path: Path) -> None:
    path.write_text("not this one")
    elsewhere = tmp_path / "elsewhere"
    opened = os.open(elsewhere, APPENDING, 0o600)
    try:
        log = LogFile(path, opened, largest=1)
        write(log, "one")
        write(log, "two")
    finally:
        os.close(opened)
    assert elsewhere.read_text() == "onetwo"
    assert path.read_text() == "not this one"
    assert sorted(found.name for found in tmp_path.iterdir()) == ["elsewhere", "it.log"]


def test_a_link_in_its_place_is_not_followed(tmp_path: Path, path: Path, descriptor: int) -> None:
    log = LogFile(path, descriptor, largest=100)
    path.unlink()
    path.symlink_to(tmp_path / "target")
    write(log, "to the old one")
    assert not (tmp_path / "target").exists()


def test_a_log_that_cannot_be_renamed_is_written_on(path: Path, descriptor: int) -> None:
    log = LogFile(path, descriptor, largest=1)
    write(log, "one")
    renamed(path, KEPT - 1).touch()
    renamed(path, KEPT).mkdir()
    (renamed(path, KEPT) / "in the way").touch()
    write(log, "two")
    assert path.read_text() == "onetwo"


async def test_the_daemon_keeps_its_log_small(tmp_path: Path) -> None:
    """Started as launchd does it: stdout and stderr appended to one file, which has grown."""
    log = launchd_log(tmp_path)
    log.parent.mkdir(parents=True)
    log.write_bytes(b"x" * LARGEST)
    config = tmp_path / "config.yaml"
    config.write_text("listen: {port: 0}")
    with log.open("ab") as out, log.open("ab") as err:
        daemon = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "claude_proxy", "serve", "--config", str(config)),
            env=clean_environment(tmp_path),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
    try:
        await eventually(lambda: log.read_bytes().startswith(b"ts=") and b"event=listening" in log.read_bytes(), 30)
        if sys.platform == "linux":  # nothing keeps the old one on the disk once it is removed
            opened = {Path(f"/proc/{daemon.pid}/fd/{number}").readlink() for number in (1, 2)}
            assert opened == {log}
    finally:
        daemon.terminate()
        await daemon.wait()
    assert renamed(log, 1).read_bytes() == b"x" * LARGEST
    assert b"event=listening" in log.read_bytes()

"""Files are changed whole: through links, with mode, group and attributes kept, and not where they must not be."""

import os
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest

from claude_proxy.toggle.disk import Busy, Disk, Found, glance
from claude_proxy.toggle.refusals import FileRefused
from tests.toggle.user import is_root

P = ParamSpec("P")
T = TypeVar("T")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "settings.json"
    path.write_bytes(b"old")
    return path


def change(path: Path, data: bytes = b"new") -> None:
    disk = Disk()
    target = disk.target(path)
    disk.write(target, data, disk.read(target))


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def test_a_file_is_written_and_nothing_lies_beside_it(file: Path) -> None:
    change(file)
    assert file.read_bytes() == b"new"
    assert names(file.parent) == ["settings.json"]


def test_a_new_file_is_private(tmp_path: Path) -> None:
    change(tmp_path / "new")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o644, 0o600, 0o400, 0o444, 0o755, 0o660])
def test_the_mode_stays_also_where_nobody_may_write(file: Path, mode: int) -> None:
    file.chmod(mode)
    change(file)
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"new", mode)


@is_root
def test_the_group_stays(file: Path) -> None:
    os.chown(file, -1, 4711)
    change(file)
    assert file.stat().st_gid == 4711


@pytest.mark.skipif(sys.platform != "linux", reason="Python knows extended attributes on Linux only")
def test_extended_attributes_stay(file: Path) -> None:
    os.setxattr(file, "user.note", b"mine")
    change(file)
    assert os.getxattr(file, "user.note") == b"mine"


def test_links_are_followed_and_stay(file: Path, tmp_path: Path) -> None:
    (tmp_path / "dotfiles").symlink_to(tmp_path)
    link = tmp_path / "link.json"
    link.symlink_to("dotfiles/settings.json")
    change(link)
    assert file.read_bytes() == b"new"
    assert link.readlink() == Path("dotfiles/settings.json")
    assert not file.is_symlink()


def test_a_link_to_nothing_yet_gets_its_file(tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to("later.json")
    change(link)
    assert (tmp_path / "later.json").read_bytes() == b"new"
    assert link.is_symlink()


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(FileRefused, match="cannot be read: Too many levels of symbolic links"):
        change(tmp_path / "a")


def test_a_second_name_of_a_file_is_a_reason_to_refuse(file: Path, tmp_path: Path) -> None:
    (tmp_path / "second").hardlink_to(file)
    with pytest.raises(FileRefused, match=r"has 2 names \(hard links\).*cp -p"):
        change(file)
    assert file.read_bytes() == b"old"


@is_root
def test_a_file_of_somebody_else_is_refused(file: Path) -> None:
    os.chown(file, 4711, -1)
    with pytest.raises(FileRefused, match=r"belongs to another user \(uid 4711\).*without sudo"):
        change(file)
    assert file.read_bytes() == b"old"


@is_root
def test_no_file_is_made_in_a_directory_of_somebody_else(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 4711, -1)
    with pytest.raises(FileRefused, match="belongs to another user"):
        change(theirs / "new")
    with pytest.raises(FileRefused, match="belongs to another user"), Disk().locked(theirs / "state" / "ours"):
        pass
    assert names(theirs) == []


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "directory").mkdir()
    for name in ("fifo", "directory"):
        with pytest.raises(FileRefused, match="is not a regular file"):
            change(tmp_path / name)


def test_what_is_far_too_large_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "large"
    with file.open("wb") as opened:
        opened.truncate((16 << 20) + 1)
    with pytest.raises(FileRefused, match="is larger than 16 MiB"):
        change(file)


def test_what_another_has_written_meanwhile_is_not_lost(file: Path) -> None:
    disk = Disk()
    before = disk.read(file)
    file.write_bytes(b"theirs")
    with pytest.raises(FileRefused, match="was changed by another program in this moment; try again"):
        disk.write(file, b"ours", before)
    assert before is not None
    with pytest.raises(FileRefused, match="was changed by another program"):
        disk.remove(file, before)
    with pytest.raises(FileRefused, match="was changed by another program"):
        disk.write(file, b"ours", None)
    assert file.read_bytes() == b"theirs"
    assert names(file.parent) == ["settings.json"]


class ThatWrites(Disk):
    """Somebody writes the file just after it was renamed into its place."""

    def call(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        result = function(*arguments, **named)
        if function is os.rename:
            Path(str(arguments[1])).write_bytes(b"theirs")
        return result


def test_what_was_written_is_read_back(file: Path) -> None:
    disk = ThatWrites()
    with pytest.raises(FileRefused, match="just after it was written"):
        disk.write(file, b"new", disk.read(file))


def test_what_an_interrupted_write_has_left_is_in_nobody_s_way(file: Path) -> None:
    beside = file.with_name(".settings.json.claude-proxy-new")
    beside.symlink_to(file.parent / "planted")
    change(file)
    assert names(file.parent) == ["settings.json"]
    beside.write_bytes(b"torn")
    Disk().sweep(file)
    assert not beside.exists()


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FileRefused, match="cannot be read: Not a directory"):
        change(tmp_path / "file" / "settings.json")
    with pytest.raises(FileRefused, match="cannot be written: No such file or directory"):
        change(tmp_path / "missing" / "settings.json")


def test_directories_are_made_private_and_go_when_they_are_empty(tmp_path: Path) -> None:
    disk = Disk()
    made = disk.missing_directories(tmp_path / "a" / "b" / "file")
    assert made == [tmp_path / "a", tmp_path / "a" / "b"]
    disk.make_directories(made)
    disk.make_directories(made)
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    (tmp_path / "a" / "theirs").touch()
    disk.remove_directories(made)
    disk.remove_directories(made)
    assert names(tmp_path / "a") == ["theirs"]


def test_two_do_not_work_at_once(tmp_path: Path) -> None:
    state = tmp_path / "state" / "claude-proxy"
    with Disk().locked(state):
        assert stat.S_IMODE(state.stat().st_mode) == 0o700
        with pytest.raises(Busy, match="another proxy-toggle is at work"), Disk().locked(state):
            pass
    with Disk().locked(state):
        pass


def test_a_glance_is_held_by_nothing(tmp_path: Path, file: Path) -> None:
    assert glance(file) == b"old"
    assert glance(tmp_path / "missing") is None
    os.mkfifo(tmp_path / "fifo")
    done: list[bytes | None] = []
    looking = threading.Thread(target=lambda: done.append(glance(tmp_path / "fifo")), daemon=True)
    looking.start()
    looking.join(20)
    assert done == [b""]


def test_a_file_is_known_again_by_more_than_its_name(file: Path) -> None:
    disk = Disk()
    first = disk.read(file)
    file.unlink()
    file.write_bytes(b"old")
    second = disk.read(file)
    assert isinstance(first, Found)
    assert isinstance(second, Found)
    assert first.identity != second.identity

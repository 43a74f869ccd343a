"""A small regular file is read whole; what is none, or what others may have put there, is refused."""

import os
from pathlib import Path

import pytest

from claude_proxy.credentials.regular_file import FileRefused, read_regular


def written(path: Path, text: str = "text\n", mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_its_text_is_read(tmp_path: Path) -> None:
    assert read_regular(written(tmp_path / "file"), private=True, planted=False) == "text\n"


@pytest.mark.parametrize("name", ["missing", "missing/below", "file/below"])
def test_a_file_that_is_not_there_is_none(tmp_path: Path, name: str) -> None:
    written(tmp_path / "file")
    assert read_regular(tmp_path / name) is None


def test_no_more_than_the_limit_is_read(tmp_path: Path) -> None:
    assert read_regular(written(tmp_path / "file", "0123456789"), largest=4) == "0123"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_may_read_is_refused_where_it_must_be_private(tmp_path: Path, mode: int) -> None:
    path = written(tmp_path / "file", mode=mode)
    assert read_regular(path) == "text\n"
    with pytest.raises(FileRefused, match=f"make it private: chmod 600 {path}"):
        read_regular(path, private=True)


def test_a_link_is_followed_only_where_nobody_can_have_planted_it(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(written(tmp_path / "file"))
    assert read_regular(link) == "text\n"
    with pytest.raises(FileRefused, match="link is a symbolic link, which is not followed; remove it"):
        read_regular(link, planted=False)


def test_a_loop_of_links_is_the_systems_own_error(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(link)
    with pytest.raises(OSError, match="symbolic links"):
        read_regular(link)


def test_a_file_of_another_user_is_refused_where_it_must_be_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "file")
    monkeypatch.setattr("os.getuid", lambda: path.stat().st_uid + 1)
    assert read_regular(path, private=True) == "text\n"
    with pytest.raises(FileRefused, match="belongs to another user"):
        read_regular(path, private=True, planted=False)


def test_a_fifo_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(FileRefused, match="is not a regular file"):
        read_regular(tmp_path / "fifo")

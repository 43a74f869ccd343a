"""The private files of our own keys: where they lie, how they are written, what is never followed."""

import os
import stat
import threading
from pathlib import Path

import pytest

from claude_proxy.credentials.key_file import (
    is_key_name,
    key_names,
    keys_directory,
    remove_key_file,
    write_key_file,
)
from claude_proxy.credentials.regular_file import FileRefused

KEY = "FAKE-key"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "share" / "claude-proxy" / "keys"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("environment", "directory"),
    [
        ({"HOME": "/home/u"}, "/home/u/.local/share/claude-proxy/keys"),
        ({"HOME": "/home/u", "XDG_DATA_HOME": "/data"}, "/data/claude-proxy/keys"),
        ({"HOME": "/home/u", "XDG_DATA_HOME": ""}, "/home/u/.local/share/claude-proxy/keys"),
        ({"HOME": "/home/u", "XDG_DATA_HOME": "relative"}, "/home/u/.local/share/claude-proxy/keys"),
    ],
)
def test_they_lie_among_the_users_own_data(environment: dict[str, str], directory: str) -> None:
    assert keys_directory(environment) == Path(directory)


@pytest.mark.parametrize("name", ["minimax", "setup-token", "a.b_c-9", "A" * 64])
def test_a_plain_word_is_a_name(name: str) -> None:
    assert is_key_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "-x", "a/b", "../x", "a b", "a\n", "é", "a\0", "A" * 65])
def test_a_path_or_something_hidden_is_no_name(name: str) -> None:
    assert not is_key_name(name)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_file_and_directory_are_the_users_alone(keys: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        path = write_key_file(keys, "minimax", KEY)
    finally:
        os.umask(before)
    assert path == keys / "minimax"
    assert path.read_text() == KEY
    assert (mode(path), mode(keys), mode(keys.parent)) == (0o600, 0o700, 0o700 & ~umask)


def test_nothing_unfinished_stays_behind(keys: Path) -> None:
    write_key_file(keys, "minimax", KEY)
    write_key_file(keys, "minimax", f"{KEY}-2")
    assert [path.name for path in keys.iterdir()] == ["minimax"]
    assert (keys / "minimax").read_text() == f"{KEY}-2"


def test_who_reads_meanwhile_sees_the_old_key_or_the_new_one(keys: Path) -> None:
    wholes = {"a" * 50_000, "b" * 50_000}
    write_key_file(keys, "minimax", "a" * 50_000)
    seen: set[str] = set()
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            seen.add((keys / "minimax").read_text())

    reader = threading.Thread(target=look)
    reader.start()
    for number in range(100):
        write_key_file(keys, "minimax", "ab"[number % 2] * 50_000)
    ended.set()
    reader.join()
    assert seen
    assert seen <= wholes


def test_a_link_in_its_place_is_replaced_and_not_followed(keys: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    keys.mkdir(parents=True)
    (keys / "minimax").symlink_to(precious)
    write_key_file(keys, "minimax", KEY)
    assert precious.read_text() == "precious"
    assert not (keys / "minimax").is_symlink()
    assert mode(keys / "minimax") == 0o600


def test_a_loose_file_in_its_place_becomes_private(keys: Path) -> None:
    keys.mkdir(parents=True)
    (keys / "minimax").write_text("old")
    (keys / "minimax").chmod(0o644)
    write_key_file(keys, "minimax", KEY)
    assert mode(keys / "minimax") == 0o600


def test_a_loose_directory_becomes_private(keys: Path) -> None:
    keys.mkdir(parents=True)
    keys.chmod(0o755)
    write_key_file(keys, "minimax", KEY)
    assert mode(keys) == 0o700


def test_a_link_in_the_directorys_place_is_refused(keys: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    keys.parent.mkdir(parents=True)
    keys.symlink_to(elsewhere)
    with pytest.raises(FileRefused, match=f"{keys} is not a directory of its own; remove it"):
        write_key_file(keys, "minimax", KEY)
    with pytest.raises(FileRefused):
        remove_key_file(keys, "minimax")
    assert list(elsewhere.iterdir()) == []


def test_a_directory_of_another_user_is_refused(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys.mkdir(parents=True)
    monkeypatch.setattr("os.getuid", lambda: keys.stat().st_uid + 1)
    with pytest.raises(FileRefused, match="belongs to another user"):
        write_key_file(keys, "minimax", KEY)
    assert list(keys.iterdir()) == []


def test_what_cannot_take_its_place_leaves_nothing_behind(keys: Path) -> None:
    (keys / "minimax").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        write_key_file(keys, "minimax", KEY)
    assert [path.name for path in keys.iterdir()] == ["minimax"]


def test_a_removed_key_is_gone_and_one_that_was_not_there_is_told(keys: Path) -> None:
    assert not remove_key_file(keys, "minimax")
    write_key_file(keys, "minimax", KEY)
    assert remove_key_file(keys, "minimax")
    assert not remove_key_file(keys, "minimax")
    assert key_names(keys) == []


def test_the_names_are_those_of_keys_in_order(keys: Path) -> None:
    assert key_names(keys) == []
    for name in ("zai", "minimax"):
        write_key_file(keys, name, KEY)
    (keys / ".minimax.1234").write_text("unfinished")
    assert key_names(keys) == ["minimax", "zai"]

"""A credential from a file."""

import os
import socket
from pathlib import Path

import pytest

from claude_proxy.credentials.credential import Credential, CredentialSource, CredentialUnavailable
from claude_proxy.credentials.file import FileSource
from claude_proxy.credentials.login import read_login
from tests.claude_request import stored_login
from tests.credentials.fakes import KEY, LOGIN, key_at


def source_at(path: Path, *, private: bool = False) -> FileSource:
    return FileSource("file", path, key_at, timeout=20, private=private)


async def read(path: Path, *, private: bool = False) -> Credential | None:
    return await source_at(path, private=private).read()


async def test_a_login_is_read_from_claude_codes_own_file(tmp_path: Path) -> None:
    path = tmp_path / ".credentials.json"
    path.write_text(stored_login(LOGIN))
    found = await FileSource("file", path, read_login, timeout=20).read()
    assert found is not None
    assert found.secret == LOGIN


async def test_the_credential_names_the_source_as_the_configuration_does(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(KEY)
    found = await read(path)
    assert found is not None
    assert found.source == "file"


async def test_each_read_looks_anew_and_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "key"
    source = source_at(path)
    assert source.present() is None
    assert await source.read() is None
    path.write_text(KEY)
    found = await source.read()
    assert found is not None
    assert found.secret == KEY
    assert source.reads == 2


@pytest.mark.parametrize("name", ["missing", "missing/directory", "file/below"])
async def test_a_file_that_is_not_there_holds_none(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("no directory")
    assert await read(tmp_path / name) is None


async def test_a_fifo_in_its_place_does_not_hold_the_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "key")
    with pytest.raises(CredentialUnavailable, match="key is not a regular file"):
        await read(tmp_path / "key")


async def test_a_socket_in_its_place_is_a_complaint() -> None:
    path = Path(f"/tmp/claude-proxy-test-{os.getpid()}")  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        try:
            with pytest.raises(CredentialUnavailable, match="could not be read"):
                await read(path)
        finally:
            path.unlink()


async def test_a_directory_in_its_place_is_a_complaint_and_costs_no_descriptor(tmp_path: Path) -> None:
    def next_descriptor() -> int:
        descriptor = os.open(tmp_path, os.O_RDONLY)
        os.close(descriptor)
        return descriptor

    before = next_descriptor()
    for _ in range(3):
        with pytest.raises(CredentialUnavailable):
            await read(tmp_path)
    assert next_descriptor() == before


async def test_bytes_that_are_no_text_are_a_complaint_that_shows_none_of_them(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"FAKE-secret-\xff")
    with pytest.raises(CredentialUnavailable, match="is not UTF-8 text") as complaint:
        await read(tmp_path / "key")
    assert "FAKE" not in str(complaint.value)


async def test_a_system_error_is_told_in_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "key").symlink_to(tmp_path / "key")
    with pytest.raises(CredentialUnavailable, match="could not be read: Too many levels of symbolic links"):
        await read(tmp_path / "key")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o777])
async def test_a_private_file_that_others_may_use_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    path.write_text(KEY)
    path.chmod(mode)
    with pytest.raises(CredentialUnavailable, match="chmod 600"):
        await read(path, private=True)
    assert await read(path) is not None


async def test_a_private_file_of_the_user_alone_is_read(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(KEY)
    path.chmod(0o600)
    assert await read(path, private=True) is not None


async def test_no_more_is_read_than_any_credential_needs(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with path.open("wb") as file:
        file.truncate(3 << 20)
    lengths: list[int] = []

    def measure(text: str, source: CredentialSource) -> Credential | None:
        lengths.append(len(text))
        return None

    await FileSource("file", path, measure, timeout=20).read()
    assert lengths == [1 << 20]


async def test_a_file_on_a_mount_that_hangs_is_a_complaint_after_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()

    def hang(path: object, *_: object) -> int:
        os.read(reading, 1)
        raise FileNotFoundError(str(path))

    source = FileSource("file", tmp_path / "key", lambda *_: None, timeout=0.02)
    try:
        with monkeypatch.context() as patched:
            patched.setattr("claude_proxy.credentials.regular_file.os.open", hang)
            with pytest.raises(CredentialUnavailable, match=r"key could not be read: no answer within 0\.02 s"):
                await source.read()
    finally:
        os.write(writing, b".")
        os.close(writing)
        os.close(reading)

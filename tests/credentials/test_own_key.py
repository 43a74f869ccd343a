"""A key of our own: its file goes first, the keychain is asked where the file does not hold it."""

from pathlib import Path

import pytest

from claude_proxy.credentials.credential import CredentialUnavailable
from claude_proxy.credentials.key_file import write_key_file
from claude_proxy.credentials.keychain import OWN_SERVICE
from claude_proxy.credentials.own_key import OwnKeySource
from tests.credentials.fakes import KEY, key_at
from tests.memory_keyring import MemoryKeyring

ITEM = (OWN_SERVICE, "minimax")
OTHER = "sk-ant-api03-FAKE-other"


def own(directory: Path, entry: str = "minimax", *, noted_only: bool = False) -> OwnKeySource:
    return OwnKeySource(f"keyring:{entry}", entry, key_at, directory, timeout=20, noted_only=noted_only)


async def secret_of(source: OwnKeySource) -> str | None:
    found = await source.read()
    assert found is None or found.source == source.name
    return found.secret if found else None


async def test_without_a_file_the_keychain_is_asked(tmp_path: Path, memory_keyring: MemoryKeyring) -> None:
    memory_keyring.items[ITEM] = KEY
    source = own(tmp_path)
    assert source.present() is None
    assert await secret_of(source) == KEY
    assert memory_keyring.asked == [ITEM]
    assert source.reads == 1


async def test_a_key_in_its_file_is_taken_and_no_keychain_is_asked(
    tmp_path: Path, memory_keyring: MemoryKeyring
) -> None:
    memory_keyring.items[ITEM] = OTHER
    write_key_file(tmp_path / "keys", "minimax", f"{KEY}\n")
    assert await secret_of(own(tmp_path / "keys")) == KEY
    assert memory_keyring.asked == []


async def test_an_empty_file_says_that_it_lies_in_the_keychain(tmp_path: Path, memory_keyring: MemoryKeyring) -> None:
    memory_keyring.items[ITEM] = KEY
    write_key_file(tmp_path, "minimax", "")
    assert await secret_of(own(tmp_path)) == KEY


async def test_where_neither_holds_one_there_is_none(tmp_path: Path, memory_keyring: MemoryKeyring) -> None:
    assert await secret_of(own(tmp_path)) is None


async def test_without_a_keychain_the_file_serves(tmp_path: Path, no_keyring: None) -> None:
    source = own(tmp_path)
    assert await secret_of(source) is None
    write_key_file(tmp_path, "minimax", KEY)
    assert await secret_of(source) == KEY


async def test_what_only_a_note_leads_to_is_not_asked_for_without_it(
    tmp_path: Path, memory_keyring: MemoryKeyring
) -> None:
    memory_keyring.items[ITEM] = KEY
    source = own(tmp_path, noted_only=True)
    assert await secret_of(source) is None
    assert memory_keyring.asked == []
    write_key_file(tmp_path, "minimax", "")
    assert await secret_of(source) == KEY
    (tmp_path / "minimax").unlink()
    assert await secret_of(source) is None


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.chmod(0o640), "chmod 600"),
        (lambda path: path.rename(path.with_name("x")).with_name("minimax").symlink_to("x"), "symbolic link"),
    ],
    ids=["readable by others", "a link"],
)
async def test_a_file_that_is_not_private_is_a_complaint_and_no_keychain_stands_in(
    tmp_path: Path, memory_keyring: MemoryKeyring, spoil: object, words: str
) -> None:
    assert callable(spoil)
    spoil(write_key_file(tmp_path, "minimax", KEY))
    with pytest.raises(CredentialUnavailable, match=words):
        await own(tmp_path).read()
    assert memory_keyring.asked == []


async def test_an_entry_whose_name_is_no_files_is_the_keychains_alone(
    tmp_path: Path, memory_keyring: MemoryKeyring
) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "outside").write_text(OTHER)
    (tmp_path / "outside").chmod(0o600)
    memory_keyring.items[OWN_SERVICE, "../outside"] = KEY
    source = own(tmp_path / "keys", "../outside")
    assert await secret_of(source) == KEY
    assert source.reads == 1
    assert str(tmp_path) not in source.place


def test_its_place_names_both(tmp_path: Path) -> None:
    place = own(tmp_path).place
    assert place == f"the keychain item 'claude-proxy' (account 'minimax') or {tmp_path / 'minimax'}"

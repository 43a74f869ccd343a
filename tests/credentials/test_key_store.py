"""Our own keys are kept in the keychain, or in private files where there is none; the last that was stored counts."""

import asyncio
import threading
from pathlib import Path

import keyring
import keyring.errors
import pytest
from keyring.backends.null import Keyring as NullKeyring

from claude_proxy.credentials.key_store import KeyNotStored, KeyStore, Place
from claude_proxy.credentials.keychain import OWN_SERVICE
from claude_proxy.credentials.own_key import OwnKeySource
from tests.credentials.fakes import KEY, key_at
from tests.memory_keyring import MemoryKeyring, raising

ITEM = (OWN_SERVICE, "minimax")
OTHER = "sk-ant-api03-FAKE-other"


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "keys")


def used(store: KeyStore) -> str | None:
    """What the daemon would use."""
    source = OwnKeySource("keyring:minimax", "minimax", key_at, store.directory, timeout=20)
    found = asyncio.run(source.read())
    return found.secret if found else None


def test_a_key_goes_into_the_keychain_and_only_its_name_into_a_file(
    store: KeyStore, memory_keyring: MemoryKeyring
) -> None:
    assert store.put("minimax", KEY) is Place.KEYCHAIN
    assert memory_keyring.items == {ITEM: KEY}
    assert (store.directory / "minimax").read_text() == ""
    assert (store.names(), store.find("minimax"), used(store)) == (["minimax"], Place.KEYCHAIN, KEY)


def test_without_a_keychain_it_goes_into_a_private_file(store: KeyStore, no_keyring: None) -> None:
    assert store.put("minimax", KEY) is Place.FILE
    assert (store.directory / "minimax").read_text() == f"{KEY}\n"
    assert (store.names(), store.find("minimax"), used(store)) == (["minimax"], Place.FILE, KEY)


def test_a_keychain_that_keeps_nothing_counts_as_none(store: KeyStore) -> None:
    before = keyring.get_keyring()
    keyring.set_keyring(NullKeyring())  # type: ignore[no-untyped-call]  # keyring has no types there
    try:
        assert store.put("minimax", KEY) is Place.FILE
    finally:
        keyring.set_keyring(before)


def test_the_key_that_was_stored_last_is_used_wherever_it_went(store: KeyStore, memory_keyring: MemoryKeyring) -> None:
    store.put("minimax", KEY)
    memory_keyring.outcome = raising(keyring.errors.NoKeyringError())
    assert store.put("minimax", OTHER) is Place.FILE
    memory_keyring.outcome = None
    assert used(store) == OTHER
    assert store.put("minimax", KEY) is Place.KEYCHAIN
    assert used(store) == KEY
    assert OTHER not in (store.directory / "minimax").read_text()


def test_what_is_removed_is_gone_from_both(store: KeyStore, memory_keyring: MemoryKeyring) -> None:
    memory_keyring.outcome = raising(keyring.errors.NoKeyringError())
    store.put("minimax", OTHER)
    memory_keyring.outcome = None
    memory_keyring.items[ITEM] = KEY
    assert store.remove("minimax") == {Place.FILE, Place.KEYCHAIN}
    assert (store.names(), store.find("minimax"), memory_keyring.items) == ([], None, {})
    assert store.remove("minimax") == set()


def test_a_note_alone_is_removed_and_counts_for_nothing(store: KeyStore, memory_keyring: MemoryKeyring) -> None:
    store.put("minimax", KEY)
    memory_keyring.items.clear()
    assert store.find("minimax") is None
    assert store.remove("minimax") == set()
    assert store.names() == []


def test_a_file_that_may_not_be_read_is_removed_all_the_same(store: KeyStore, no_keyring: None) -> None:
    store.put("minimax", KEY)
    (store.directory / "minimax").chmod(0o644)
    with pytest.raises(KeyNotStored, match="chmod 600"):
        store.find("minimax")
    assert store.remove("minimax") == {Place.FILE}
    assert store.names() == []


def test_without_a_keychain_nothing_is_removed_from_it(store: KeyStore, no_keyring: None) -> None:
    assert store.remove("minimax") == set()


def test_a_locked_keychain_is_told_and_no_file_stands_in(store: KeyStore, memory_keyring: MemoryKeyring) -> None:
    memory_keyring.outcome = raising(keyring.errors.KeyringLocked("Failed to unlock the collection!"))
    for act in (lambda: store.put("minimax", KEY), lambda: store.find("minimax"), lambda: store.remove("minimax")):
        with pytest.raises(KeyNotStored, match="the keychain is locked; unlock it"):
            act()
    assert not store.directory.exists()


@pytest.mark.parametrize(
    "error",
    [
        OSError(2, "No such file or directory"),
        TimeoutError("timed out"),
        RuntimeError("no session bus"),
        keyring.errors.PasswordSetError(f"cannot keep {KEY}"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_the_keychain_raises_is_told_without_the_key(
    store: KeyStore, memory_keyring: MemoryKeyring, error: Exception
) -> None:
    memory_keyring.outcome = raising(error)
    with pytest.raises(KeyNotStored, match=f"the keychain refused: {type(error).__name__}") as told:
        store.put("minimax", KEY)
    assert "FAKE" not in str(told.value)


def test_a_keychain_that_asks_and_is_not_answered_is_told(tmp_path: Path, memory_keyring: MemoryKeyring) -> None:
    gate = threading.Event()

    def wait() -> None:
        assert gate.wait(60)

    memory_keyring.outcome = wait
    try:
        with pytest.raises(KeyNotStored, match=r"no answer within 0\.02 s; it may be asking a question"):
            KeyStore(tmp_path, patience=0.02).find("minimax")
    finally:
        gate.set()


def test_a_place_where_nothing_can_be_written_is_told_with_its_path(tmp_path: Path, no_keyring: None) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KeyNotStored, match=f"{tmp_path / 'file'}"):
        KeyStore(tmp_path / "file" / "claude-proxy" / "keys").put("minimax", KEY)

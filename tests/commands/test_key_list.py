"""What is told of each key: from the configuration, from what was stored, and from the place that it lies in."""

from pathlib import Path
from typing import Any

import keyring.errors

from claude_proxy.commands.key_list import key_rows
from claude_proxy.credentials.key_file import keys_directory
from claude_proxy.credentials.key_store import KeyStore
from tests.commands.invoking import configured
from tests.memory_keyring import MemoryKeyring, raising

KEY = "FAKE-key"


def rows(home: Path, env: dict[str, str] | None = None, **settings: Any) -> dict[str, dict[str, object]]:
    environment = {"HOME": str(home), **(env or {})}
    return {str(row["name"]): row for row in key_rows(Path(configured(home, **settings)), environment)}


def store(home: Path) -> KeyStore:
    return KeyStore(keys_directory({"HOME": str(home)}))


def test_names_come_from_the_configuration_and_from_what_was_stored(home: Path, memory_keyring: MemoryKeyring) -> None:
    store(home).put("stored", KEY)
    credentials = {"zai": {"sources": ["keyring:zai"]}, "odd": {"sources": ["keyring:../odd", "env:X"]}}
    assert list(rows(home, credentials=credentials)) == ["minimax", "setup-token", "stored", "zai"]


def test_every_credential_that_uses_a_key_is_named(home: Path, no_keyring: None) -> None:
    credentials = {name: {"sources": ["keyring:shared"]} for name in ("one", "two")}
    assert rows(home, credentials=credentials)["shared"]["used_by"] == ["one", "two"]


def test_only_a_variable_that_is_set_and_stands_before_it_goes_before_it(home: Path, no_keyring: None) -> None:
    credentials = {"x": {"sources": ["env:BEFORE", "env:EMPTY", "env:UNSET", "keyring:x", "env:BEHIND"]}}
    env = {"BEFORE": KEY, "EMPTY": " ", "BEHIND": KEY}
    assert rows(home, env, credentials=credentials)["x"]["shadowed_by"] == ["BEFORE"]


def test_a_keychain_that_refuses_is_the_problem_of_its_keys_and_hides_no_file(
    home: Path, memory_keyring: MemoryKeyring
) -> None:
    memory_keyring.outcome = raising(keyring.errors.NoKeyringError())
    store(home).put("filed", KEY)
    memory_keyring.outcome = raising(keyring.errors.KeyringLocked("locked"))
    told = rows(home)
    assert (told["filed"]["place"], told["filed"]["problem"]) == ("file", None)
    assert told["filed"]["path"] == str(keys_directory({"HOME": str(home)}) / "filed")
    assert told["minimax"]["place"] is None
    assert "locked" in str(told["minimax"]["problem"])


def test_a_directory_that_cannot_be_looked_into_is_a_problem_and_no_crash(
    home: Path, memory_keyring: MemoryKeyring
) -> None:
    memory_keyring.items["claude-proxy", "minimax"] = KEY
    directory = keys_directory({"HOME": str(home)})
    directory.parent.mkdir(parents=True)
    directory.symlink_to(directory)
    told = rows(home)
    assert "symbolic link" in str(told["minimax"]["problem"])

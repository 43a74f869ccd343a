"""Keys are stored, listed and forgotten by name; no value is ever printed."""

from pathlib import Path

import keyring.errors
import pytest

from claude_proxy.credentials.keychain import OWN_SERVICE
from tests.commands.invoking import as_json, configured, run
from tests.memory_keyring import MemoryKeyring, raising

KEY = "FAKE-key-of-minimax"
ITEM = (OWN_SERVICE, "minimax")


def keys(home: Path) -> Path:
    return home / ".local/share/claude-proxy/keys"


def test_a_key_from_stdin_is_stored_in_the_keychain(home: Path, memory_keyring: MemoryKeyring) -> None:
    result = run("key", "set", "minimax", given=f"{KEY}\n".encode())
    assert result.exit_code == 0
    assert result.stdout == "stored minimax in the keychain, under the service claude-proxy\n"
    assert "kill -HUP" in result.stderr
    assert memory_keyring.items == {ITEM: KEY}
    assert "FAKE" not in result.output


def test_without_a_keychain_it_is_stored_in_a_file_and_that_is_said(home: Path, no_keyring: None) -> None:
    result = run("key", "set", "minimax", given=KEY.encode())
    file = keys(home) / "minimax"
    assert result.exit_code == 0
    assert result.stdout == f"stored minimax in {file}: this machine has no keychain, so it lies in that file\n"
    assert file.read_text() == f"{KEY}\n"
    assert "FAKE" not in result.output


@pytest.mark.parametrize("given", ["two words", "FAKE\x07bell", "clé-FAKE", '{"FAKE":1}', "FAKE\nFAKE"])
def test_what_is_not_one_word_of_visible_ascii_is_not_stored(
    home: Path, memory_keyring: MemoryKeyring, given: str
) -> None:
    result = run("key", "set", "minimax", given=given.encode())
    assert result.exit_code == 1
    assert "what was given does not hold one key and nothing else: there is a space, a line break," in result.stderr
    assert "FAKE" not in result.output
    assert (memory_keyring.items, keys(home).exists()) == ({}, False)


def test_a_key_is_never_taken_from_the_command_line_nor_quoted_from_it(
    home: Path, memory_keyring: MemoryKeyring
) -> None:
    result = run("key", "set", "minimax", KEY, given=b"another")
    assert result.exit_code == 2
    assert "never taken from the command line" in result.stderr
    assert "FAKE" not in result.output
    assert memory_keyring.items == {}


def test_a_key_that_nothing_uses_is_stored_and_that_is_told(home: Path, memory_keyring: MemoryKeyring) -> None:
    result = run("key", "set", "minimaxx", "--config", configured(home), given=KEY.encode())
    assert result.exit_code == 0
    assert memory_keyring.items == {(OWN_SERVICE, "minimaxx"): KEY}
    assert "no credential of the configuration has the source keyring:minimaxx" in result.stderr
    assert "Those that there are: minimax, setup-token" in result.stderr


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"credentials": {"kimi": {"sources": ["env:KIMI", "keyring:mine"]}, "minimax": {"sources": ["keyring:mine"]}}},
        {"credentials": {"kimi": {"sources": "keyring:mine"}, "minimax": 1, "claude": None}},
        {"credentials": []},
    ],
    ids=["built in", "named", "faulty", "faulty altogether"],
)
def test_a_key_that_is_used_or_of_which_nothing_can_be_told_is_not_said_to_be_unused(
    home: Path, memory_keyring: MemoryKeyring, settings: dict[str, object]
) -> None:
    name = "minimax" if not settings else "mine"
    result = run("key", "set", name, "--config", configured(home, **settings), given=KEY.encode())
    assert result.exit_code == 0
    assert "Nothing uses it" not in result.stderr


@pytest.mark.parametrize("command", ["set", "delete"])
@pytest.mark.parametrize("name", ["../minimax", ".minimax", "a b", "A" * 65])
def test_a_name_that_could_be_a_path_is_an_error_of_usage(
    home: Path, memory_keyring: MemoryKeyring, command: str, name: str
) -> None:
    result = run("key", command, name, given=KEY.encode())
    assert result.exit_code == 2
    assert "expected letters, digits, dots" in result.stderr
    assert memory_keyring.asked == []


@pytest.mark.parametrize("given", ["sk-ant-api03-FAKE-key-of-api", "sk-ant-oat01-", "sk-ant-oat01-FAKE token", KEY])
def test_what_is_stored_as_a_setup_token_must_look_like_one(
    home: Path, memory_keyring: MemoryKeyring, given: str
) -> None:
    result = run("key", "set", "setup-token", given=given.encode())
    assert result.exit_code == 1
    assert "this is no setup-token" in result.stderr
    assert "FAKE" not in result.output
    assert memory_keyring.items == {}


def test_a_keychain_that_refuses_is_told_and_nothing_is_stored_elsewhere(
    home: Path, memory_keyring: MemoryKeyring
) -> None:
    memory_keyring.outcome = raising(keyring.errors.KeyringLocked("locked"))
    result = run("key", "set", "minimax", given=KEY.encode())
    assert result.exit_code == 1
    assert "minimax was not stored: the keychain is locked; unlock it" in result.stderr
    assert not keys(home).exists()


def test_the_list_shows_names_places_users_and_what_goes_before_them(
    home: Path, memory_keyring: MemoryKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("key", "set", "minimax", given=KEY.encode())
    run("key", "set", "unused", given=KEY.encode())
    monkeypatch.setenv("MINIMAX_API_KEY", "FAKE-in-the-environment")
    file = configured(home)
    result = run("key", "list", "--config", file)
    assert result.exit_code == 0
    assert [" ".join(line.split()) for line in result.stdout.splitlines()] == [
        "minimax keychain · used by minimax · MINIMAX_API_KEY goes before it",
        "setup-token not stored · used by claude",
        "unused keychain · used by no credential",
    ]
    row: dict[str, object] = {
        "name": "unused",
        "place": "keychain",
        "path": None,
        "problem": None,
        "used_by": [],
        "shadowed_by": [],
    }
    listed = run("key", "list", "--json", "--config", file)
    assert as_json(listed)["keys"][2] == row
    assert "FAKE" not in result.output + listed.output


def test_the_list_names_the_file_of_a_key_without_a_keychain(home: Path, no_keyring: None) -> None:
    run("key", "set", "minimax", given=KEY.encode())
    result = run("key", "list", "--config", configured(home))
    assert f"in {keys(home) / 'minimax'} · used by minimax" in result.stdout
    assert "FAKE" not in result.output


def test_the_list_of_a_faulty_configuration_is_refused(home: Path, no_keyring: None) -> None:
    assert run("key", "list", "--config", configured(home, drain_timeout="soon")).exit_code == 78


def test_a_forgotten_key_is_gone_and_where_it_lay_is_told(home: Path, memory_keyring: MemoryKeyring) -> None:
    run("key", "set", "minimax", given=KEY.encode())
    result = run("key", "delete", "minimax")
    assert (result.exit_code, result.stdout) == (0, "forgot minimax, which lay in the keychain\n")
    assert "kill -HUP" in result.stderr
    assert (memory_keyring.items, list(keys(home).iterdir())) == ({}, [])


def test_a_key_in_a_file_is_forgotten_as_well(home: Path, no_keyring: None) -> None:
    run("key", "set", "minimax", given=KEY.encode())
    result = run("key", "delete", "minimax")
    assert (result.exit_code, result.stdout) == (0, "forgot minimax, which lay in its file\n")
    assert list(keys(home).iterdir()) == []


def test_what_is_not_there_cannot_be_forgotten(home: Path, memory_keyring: MemoryKeyring) -> None:
    result = run("key", "delete", "minimax")
    assert result.exit_code == 4
    assert "there is no key 'minimax'" in result.stderr
    assert "kill -HUP" not in result.stderr


def test_a_key_that_could_not_be_forgotten_everywhere_is_told(home: Path, memory_keyring: MemoryKeyring) -> None:
    memory_keyring.outcome = raising(keyring.errors.KeyringLocked("locked"))
    result = run("key", "delete", "minimax")
    assert result.exit_code == 1
    assert "minimax was not forgotten everywhere: the keychain is locked" in result.stderr

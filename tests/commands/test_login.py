"""Logging in is Claude Code's affair; a setup-token is kept as any key, and only what is ours is forgotten."""

import sys
from pathlib import Path

import pytest

from claude_proxy.credentials import claude_program
from claude_proxy.credentials.keychain import OWN_SERVICE
from tests.claude_request import stored_login
from tests.commands.invoking import configured, run
from tests.memory_keyring import MemoryKeyring

TOKEN = "sk-ant-oat01-FAKE-setup-token"
ITEM = (OWN_SERVICE, "setup-token")


@pytest.fixture
def claude(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `claude` whose login writes a login file, as the real one does where there is no keychain."""
    program = home / "bin" / "claude"
    program.parent.mkdir()
    login = home / ".claude" / ".credentials.json"
    code = f"import pathlib; p = pathlib.Path({str(login)!r}); p.parent.mkdir(); p.write_text({stored_login(TOKEN)!r})"
    program.write_text(f"#!{sys.executable}\n{code}\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(program.parent))
    return login


def test_after_claude_has_logged_in_it_is_shown_how_things_stand(home: Path, claude: Path, no_keyring: None) -> None:
    result = run("login", "--config", configured(home))
    assert result.exit_code == 0
    assert claude.exists()
    assert "Login     Claude Code's own, handed on as it comes · plan max" in result.stdout
    assert "FAKE" not in result.output


def test_that_claude_is_missing_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(home))
    monkeypatch.setattr(claude_program, "USUAL_PLACES", ())  # this machine may have one
    result = run("login", "--config", configured(home))
    assert result.exit_code == 1
    assert "`claude` is not on the PATH" in result.stderr


def test_a_setup_token_is_kept_in_the_keychain_and_named_where_things_stand(
    home: Path, memory_keyring: MemoryKeyring
) -> None:
    file = configured(home, credentials={"claude": {"sources": ["keyring:setup-token"]}})
    result = run("login", "--setup-token", "--config", file, given=f"{TOKEN}\n".encode())
    assert result.exit_code == 0
    assert memory_keyring.items == {ITEM: TOKEN}
    assert result.stdout.startswith("stored setup-token in the keychain")
    assert "setup-token from keyring:setup-token · good for a year, and then nobody renews it" in result.stdout
    assert "FAKE" not in result.output


def test_with_the_built_in_sources_it_stands_behind_the_clients_own_login(
    home: Path, memory_keyring: MemoryKeyring
) -> None:
    result = run("login", "--setup-token", "--config", configured(home), given=TOKEN.encode())
    assert "handed on as it comes" in result.stdout
    assert "for clients that bring none: keyring:setup-token" in result.stdout


@pytest.mark.parametrize("given", ["sk-ant-api03-FAKE-key", "FAKE", "sk-ant-oat01-FAKE\nsk-ant-oat01-FAKE", ""])
def test_what_is_no_setup_token_is_not_kept(home: Path, memory_keyring: MemoryKeyring, given: str) -> None:
    result = run("login", "--setup-token", "--config", configured(home), given=given.encode())
    assert result.exit_code == 1
    assert memory_keyring.items == {}
    assert "FAKE" not in result.output


def test_a_setup_token_is_never_taken_from_the_command_line(home: Path, memory_keyring: MemoryKeyring) -> None:
    result = run("login", "--setup-token", TOKEN)
    assert result.exit_code == 2
    assert "never taken from the command line" in result.stderr
    assert "FAKE" not in result.output
    assert memory_keyring.items == {}


@pytest.mark.parametrize("option", ["--console", "--token=sk-ant-oat01-FAKE"])
def test_an_option_of_claude_is_told_apart_from_a_token_in_the_wrong_place(home: Path, option: str) -> None:
    result = run("login", "--setup-token", option)
    assert result.exit_code == 2
    assert "other options are for `claude auth login`, which --setup-token does not run" in result.stderr
    assert "FAKE" not in result.output


def test_logout_forgets_the_setup_token_and_nothing_of_claude_code(
    home: Path, claude: Path, memory_keyring: MemoryKeyring
) -> None:
    claude.parent.mkdir()
    claude.write_text(stored_login(TOKEN))
    memory_keyring.items["Claude Code-credentials", "tester"] = stored_login(TOKEN)
    before = dict(memory_keyring.items)
    run("key", "set", "setup-token", given=TOKEN.encode())
    result = run("logout")
    assert result.exit_code == 0
    assert result.stdout == "forgot setup-token, which lay in the keychain\n"
    assert "`claude auth logout` forgets it" in result.stderr
    assert memory_keyring.items == before
    assert "FAKE-setup-token" in claude.read_text()


def test_logout_leaves_the_keys_of_other_providers_unless_it_is_told_otherwise(
    home: Path, memory_keyring: MemoryKeyring
) -> None:
    for name, secret in (("minimax", "FAKE-key"), ("setup-token", TOKEN)):
        run("key", "set", name, given=secret.encode())
    assert run("logout").exit_code == 0
    assert memory_keyring.items == {(OWN_SERVICE, "minimax"): "FAKE-key"}
    assert run("logout", "--all").exit_code == 0
    assert memory_keyring.items == {}


def test_what_cannot_be_forgotten_is_told_and_the_rest_is_forgotten(home: Path, no_keyring: None) -> None:
    keys = home / ".local/share/claude-proxy/keys"
    for name in ("aaa", "minimax"):
        run("key", "set", name, given=b"FAKE-key")
    (keys / "aaa").unlink()
    (keys / "aaa").mkdir()
    result = run("logout", "--all")
    assert result.exit_code == 1
    assert f"aaa was not forgotten everywhere: {keys / 'aaa'}: " in result.stderr
    assert result.stdout == "forgot minimax, which lay in its file\n"
    assert [path.name for path in keys.iterdir()] == ["aaa"]


@pytest.mark.parametrize("options", [(), ("--all",)])
def test_where_nothing_is_ours_there_is_nothing_to_forget(
    home: Path, memory_keyring: MemoryKeyring, options: tuple[str, ...]
) -> None:
    result = run("logout", *options)
    assert result.exit_code == 4
    assert "nothing of claude-proxy's own to forget" in result.stderr

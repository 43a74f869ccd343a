"""The command that takes everything back: what it asks, what it keeps, what it may never touch, what resists."""

from pathlib import Path

import pytest
from keyring.errors import KeyringLocked

from claude_proxy.credentials.keychain import CLAUDE_SERVICE, OWN_SERVICE
from claude_proxy.toggle.settings_text import BASE_URL
from tests.closed_port import refusing_url
from tests.commands.invoking import run
from tests.memory_keyring import MemoryKeyring, raising
from tests.service.programs import Programs
from tests.terminal import at_terminal
from tests.toggle.user import User

SECRET = "FAKE-secret-of-the-keychain"


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> User:
    """Somebody whose routing is on, with nothing that runs; this process is theirs."""
    user = User(tmp_path / "home")
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "CLAUDE_CONFIG_DIR", "CLAUDE_PROXY_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(user.home))
    with refusing_url() as url:
        monkeypatch.setenv("CLAUDE_PROXY_LISTEN__PORT", url.rpartition(":")[2])
        user.enable(url=url)
    user.write(".config/claude-proxy/config.yaml", "log: {level: debug}\n")
    return user


def test_without_a_terminal_it_takes_yes_and_changes_nothing_else(user: User, no_keyring: None) -> None:
    before = user.tree()
    result = run("uninstall", "--purge")
    assert result.exit_code == 2
    assert "look with --dry-run, then say --yes" in result.stderr
    assert user.tree() == before
    assert user.places.receipt.exists()


def test_the_rehearsal_says_it_all_and_changes_nothing(user: User, no_keyring: None) -> None:
    before = user.tree()
    result = run("uninstall", "--dry-run")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"would be: ~/.claude/settings.json  env.{BASE_URL} removed")
    assert "would remove ~/.local/state/claude-proxy/receipt.json" in lines
    assert "would keep ~/.config/claude-proxy/config.yaml" in lines
    assert lines[-1].startswith("The program itself: ")
    purged = run("uninstall", "--dry-run", "--purge").stdout.splitlines()
    assert "would remove ~/.config/claude-proxy/config.yaml" in purged
    assert not [line for line in purged if line.startswith("would keep")]
    assert user.tree() == before
    assert user.places.receipt.exists()


def test_only_entries_of_our_own_leave_the_keychain(user: User, memory_keyring: MemoryKeyring) -> None:
    others = [(CLAUDE_SERVICE, "tester"), (f"{CLAUDE_SERVICE}-12345678", "tester"), ("other", "minimax")]
    for service, account in (*others, (OWN_SERVICE, "minimax"), (OWN_SERVICE, "setup-token"), (OWN_SERVICE, "mine")):
        memory_keyring.set_password(service, account, SECRET)
    user.write(".local/share/claude-proxy/keys/mine", "", 0o600)  # so `key set` notes what lies in the keychain
    would = run("uninstall", "--purge", "--dry-run")
    done = run("uninstall", "--purge", "--yes")
    assert (would.exit_code, done.exit_code) == (0, 0)
    for name in ("minimax", "mine", "setup-token"):
        assert f"would forget the key {name}, which lies in the keychain" in would.stdout
        assert f"✓ forgot the key {name}\n" in done.stdout
        assert memory_keyring.get_password(OWN_SERVICE, name) is None
    for service, account in others:
        assert memory_keyring.get_password(service, account) == SECRET
    assert SECRET not in would.output + done.output


def test_without_purge_the_keychain_is_not_even_asked(user: User, memory_keyring: MemoryKeyring) -> None:
    memory_keyring.set_password(OWN_SERVICE, "minimax", SECRET)
    assert run("uninstall", "--yes").exit_code == 0
    assert memory_keyring.items == {(OWN_SERVICE, "minimax"): SECRET}
    assert memory_keyring.asked == [(OWN_SERVICE, "minimax")]  # when it was put there


def test_a_locked_keychain_is_told_and_the_rest_goes_on(user: User, memory_keyring: MemoryKeyring) -> None:
    memory_keyring.outcome = raising(KeyringLocked("FAKE"))
    user.write(".local/share/claude-proxy/keys/loose", "FAKE-key-that-all-may-read", 0o644)
    result = run("uninstall", "--purge", "--yes")
    assert result.exit_code == 1
    assert "could not forget the key minimax, if there is one (the keychain is locked; unlock it" in result.stderr
    assert not (user.home / ".local").exists()
    assert not user.places.configuration.exists()
    memory_keyring.outcome = None
    assert run("uninstall", "--purge", "--yes").exit_code == 0


def test_settings_that_resist_are_told_and_the_receipt_stays_until_they_are_mended(
    user: User, no_keyring: None
) -> None:
    routed = user.settings.read_text()
    user.settings.write_text("{broken")
    result = run("uninstall", "--purge", "--yes")
    assert result.exit_code == 1
    assert "settings.json" in result.stderr
    assert user.places.receipt.exists()
    assert not user.places.configuration.exists()
    user.settings.write_text(routed)
    assert run("uninstall", "--purge", "--yes").exit_code == 0
    assert not user.settings.exists()
    assert not user.places.receipt.exists()


def test_a_manager_that_does_not_answer_has_nothing_running_and_the_files_go(
    user: User, no_keyring: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = user.write(".config/systemd/user/claude-proxy.service", "")
    programs = Programs(user.home.parent)
    programs.put("systemctl", "echo no >&2; exit 1")
    monkeypatch.setenv("PATH", str(programs.directory))
    assert run("uninstall", "--yes").exit_code == 0
    assert not unit.exists()


def test_a_faulty_configuration_is_no_obstacle(user: User, no_keyring: None) -> None:
    user.write(".config/claude-proxy/config.yaml", "listen: [")
    assert run("uninstall", "--purge", "--yes").exit_code == 0
    assert not (user.home / ".config").exists()


def test_what_lies_elsewhere_and_a_status_line_are_the_users(user: User, no_keyring: None) -> None:
    ledger = user.write("my.db", "")
    elsewhere = user.write("my.yaml", f"ledger: {{url: 'sqlite://{ledger}'}}")
    user.settings.write_text('{"statusLine": {"type": "command", "command": "claude-proxy statusline"}}')
    result = run("uninstall", "--purge", "--yes", "--config", str(elsewhere))
    assert result.exit_code == 0
    for path in (elsewhere, ledger):
        assert path.exists()
        assert f"kept ~/{path.name}, a place that you have chosen\n" in result.stdout
    assert "! ~/.claude/settings.json has claude-proxy as statusLine: take that out yourself\n" in result.stderr


@pytest.mark.parametrize(("typed", "code"), [("n", 1), ("y", 0)])
def test_at_a_terminal_it_shows_what_it_would_do_and_asks(user: User, typed: str, code: int) -> None:
    env = Programs(user.home).environment({"CLAUDE_PROXY_LISTEN__PORT": "1"})
    with at_terminal(user.home, env, "uninstall") as terminal:
        terminal.shows("would remove ~/.local/state/claude-proxy/receipt.json")
        terminal.shows("Do it? [y/N]")
        assert user.places.receipt.exists()
        terminal.types(f"{typed}\n")
        assert terminal.ends() == code
    assert user.places.receipt.exists() is (typed == "n")
    assert ("Nothing was changed." in terminal.screen) is (typed == "n")
    if typed == "y":
        with at_terminal(user.home, env, "uninstall") as terminal:
            assert terminal.ends() == 0  # nothing to do, and so nothing to ask
        assert "Do it?" not in terminal.screen

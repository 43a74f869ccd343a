"""What of ours lies in a home: what goes, what stays, and that nothing else is ever named."""

import json
import sys
from pathlib import Path

import pytest

from claude_proxy.commands.belongings import Belongings, holds_program, remove, remove_empty, status_line_left


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a file of every kind, ours and others'."""
    for name in (
        ".config/claude-proxy/config.yaml",
        ".config/other/config.yaml",
        ".local/share/claude-proxy/keys/minimax",
        ".local/state/claude-proxy/receipt.json",
        ".local/share/claude-proxy/ledger.db",
        ".local/share/claude-proxy/ledger.db-wal",
        ".local/share/claude-proxy/ledger.db.lock",
        "Library/Logs/claude-proxy/claude-proxy.log",
        "Library/Logs/claude-proxy/claude-proxy.log.1",
        "Library/Logs/claude-proxy-sync-credentials.log",
        "Library/Logs/other.log",
        ".claude/.credentials.json",
        ".claude/settings.json",
        ".claude/claude-credentials.json",
        ".claude.json",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "CLAUDE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def names(paths: list[Path], home: Path) -> set[str]:
    return {str(path.relative_to(home)) for path in paths}


def test_what_goes_and_what_stays(home: Path) -> None:
    ours = Belongings.of({"HOME": str(home)})
    assert names(ours.passing(), home) == {
        ".local/state/claude-proxy/receipt.json",
        ".local/share/claude-proxy/ledger.db.lock",
        "Library/Logs/claude-proxy/claude-proxy.log",
        "Library/Logs/claude-proxy/claude-proxy.log.1",
        "Library/Logs/claude-proxy-sync-credentials.log",
    }
    assert names(ours.personal(), home) == {
        ".config/claude-proxy/config.yaml",
        ".local/share/claude-proxy/keys",
        ".local/share/claude-proxy/ledger.db",
        ".local/share/claude-proxy/ledger.db-wal",
        ".claude/claude-credentials.json",
    }


def test_when_all_of_it_is_removed_only_others_things_are_left(home: Path) -> None:
    ours = Belongings.of({"HOME": str(home)})
    for path in [*ours.passing(), *ours.personal()]:
        remove(path)
    remove_empty(ours.emptied())
    assert names([path for path in home.rglob("*") if path.is_file()], home) == {
        ".config/other/config.yaml",
        "Library/Logs/other.log",
        ".claude/.credentials.json",
        ".claude/settings.json",
        ".claude.json",
    }
    assert not (home / ".local").exists()
    assert Belongings.of({"HOME": str(home)}).passing() == Belongings.of({"HOME": str(home)}).personal() == []


def test_a_home_without_any_of_it_has_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    ours = Belongings.of({"HOME": str(tmp_path)})
    assert (ours.passing(), ours.personal()) == ([], [])
    remove_empty(ours.emptied())
    assert tmp_path.is_dir()


def test_a_link_goes_and_what_it_leads_to_stays(home: Path) -> None:
    dotfiles = home / "dotfiles"
    (home / ".config/claude-proxy").rename(dotfiles)
    (home / ".config/claude-proxy").symlink_to(dotfiles)
    ours = Belongings.of({"HOME": str(home)})
    assert home / ".config/claude-proxy" in ours.personal()
    for path in ours.personal():
        remove(path)
    assert (dotfiles / "config.yaml").exists()
    assert not (home / ".config/claude-proxy").is_symlink()


def test_links_within_a_directory_are_not_followed(home: Path) -> None:
    keys = home / ".local/share/claude-proxy/keys"
    (keys / "linked").symlink_to(home / ".claude")
    remove(keys)
    assert (home / ".claude/.credentials.json").exists()
    remove(keys)  # again


def test_the_program_that_runs_is_not_removed_with_a_directory(tmp_path: Path) -> None:
    assert holds_program(Path(sys.prefix).parent)
    assert not holds_program(tmp_path)


@pytest.mark.parametrize(
    ("settings", "left"),
    [
        ({"statusLine": {"type": "command", "command": "claude-proxy statusline"}}, True),
        ({"statusLine": {"type": "command", "command": "my-line"}}, False),
        ({"statusLine": "claude-proxy"}, False),
        ({}, False),
        ([], False),
    ],
)
def test_a_status_line_of_ours_in_claude_codes_settings_is_seen(
    tmp_path: Path, settings: object, *, left: bool
) -> None:
    path = tmp_path / "settings.json"
    assert not status_line_left(path)
    path.write_text(json.dumps(settings))
    assert status_line_left(path) is left
    path.write_text("{broken")
    assert not status_line_left(path)

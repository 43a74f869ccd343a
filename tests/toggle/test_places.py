"""Where things lie: by the environment, and for the shells that are used."""

import os
from pathlib import Path

import pytest

from claude_proxy.config.load import default_path
from claude_proxy.toggle.places import Places
from tests.toggle.user import User


def shell_files(user: User) -> list[str]:
    return [user.places.shown(file.path) for file in user.places.shell_files()]


def test_without_any_variable(tmp_path: Path) -> None:
    places = User(tmp_path).places
    assert places.settings == tmp_path / ".claude" / "settings.json"
    assert places.receipt == tmp_path / ".local" / "state" / "claude-proxy" / "receipt.json"
    assert places.flag == tmp_path / ".local" / "state" / "claude-proxy" / "routing-on"
    assert places.configuration == tmp_path / ".config" / "claude-proxy" / "config.yaml"


def test_with_variables(tmp_path: Path) -> None:
    more = {"CLAUDE_CONFIG_DIR": "~/work", "XDG_STATE_HOME": f"{tmp_path}/s", "XDG_CONFIG_HOME": f"{tmp_path}/c"}
    user = User(tmp_path / "home", "fish", more)
    assert user.places.state == tmp_path / "s" / "claude-proxy"
    assert [file.path for file in user.places.shell_files()] == [tmp_path / "c/fish/conf.d/claude-proxy.fish"]


def test_the_configuration_is_the_daemon_s(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in (None, str(tmp_path / "config")):
        if variable:
            monkeypatch.setenv("XDG_CONFIG_HOME", variable)
        assert Places.of(os.environ).configuration == default_path()


def test_paths_are_shown_as_a_person_writes_them(tmp_path: Path) -> None:
    places = User(tmp_path / "home").places
    assert places.shown(tmp_path / "home" / "a" / "b") == "~/a/b"
    assert places.shown(tmp_path / "homes") == str(tmp_path / "homes")


@pytest.mark.parametrize(
    ("shell", "there", "expected"),
    [
        ("zsh", [], ["~/.zshenv"]),
        ("", [".zshrc"], ["~/.zshenv"]),
        ("bash", [], ["~/.bashrc", "~/.bash_profile"]),
        ("bash", [".profile"], ["~/.bashrc", "~/.profile"]),
        ("bash", [".profile", ".bash_login"], ["~/.bashrc", "~/.bash_login"]),
        ("bash", [".profile", ".bash_login", ".bash_profile"], ["~/.bashrc", "~/.bash_profile"]),
        ("", [".bash_profile"], ["~/.bashrc", "~/.bash_profile"]),
        ("zsh", [".profile"], ["~/.zshenv"]),
        ("fish", [], ["~/.config/fish/conf.d/claude-proxy.fish"]),
        (
            "zsh",
            [".bashrc", ".config/fish/config.fish"],
            ["~/.zshenv", "~/.bashrc", "~/.bash_profile", "~/.config/fish/conf.d/claude-proxy.fish"],
        ),
        ("tcsh", [], []),
    ],
)
def test_the_files_of_the_shells_that_are_used(
    shell: str, there: list[str], expected: list[str], tmp_path: Path
) -> None:
    user = User(tmp_path, shell)
    for name in there:
        user.write(name, "")
    assert shell_files(user) == expected
    everywhere = {file.path for file in user.places.all_shell_files()}
    assert {file.path for file in user.places.shell_files()} <= everywhere


def test_zsh_may_have_a_home_of_its_own(tmp_path: Path) -> None:
    user = User(tmp_path, "zsh", {"ZDOTDIR": str(tmp_path / "z")})
    assert shell_files(user) == ["~/z/.zshenv"]
    # The one at home is read first, by a login shell: it is where ZDOTDIR is usually set.
    user.write(".zshenv", "")
    assert shell_files(user) == ["~/.zshenv"]
    assert tmp_path / "z" / ".zshenv" in {file.path for file in user.places.all_shell_files()}

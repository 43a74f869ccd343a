"""Users of the switch."""

from pathlib import Path

import pytest

from tests.toggle.user import SETTINGS, User


@pytest.fixture
def user(tmp_path: Path) -> User:
    """Somebody who has nothing yet."""
    return User(tmp_path / "home")


@pytest.fixture
def everything(tmp_path: Path) -> User:
    """A user of all shells."""
    user = User(tmp_path / "home", "zsh")
    user.write(".zshrc", "# mine\n")
    user.write(".bashrc", "alias l=ls")
    user.write(".profile", "umask 022\n")
    user.write(".config/fish/config.fish", "")
    user.write(".claude/settings.json", SETTINGS)
    return user

"""An edit is planned in memory: what it would change is told, and nothing is written."""

from pathlib import Path

import pytest

from claude_proxy.toggle.disk import Disk
from claude_proxy.toggle.edits import Editor
from claude_proxy.toggle.places import ShellFile
from claude_proxy.toggle.settings_text import BASE_URL
from claude_proxy.toggle.shell_block import POSIX, put
from tests.toggle.user import URL, User


@pytest.fixture
def user(tmp_path: Path) -> User:
    return User(tmp_path / "home", "zsh")


def editor(user: User) -> Editor:
    return Editor(user.places, Disk())


def is_ours(url: str) -> bool:
    return url == URL


def test_a_plan_writes_nothing(user: User) -> None:
    edit = editor(user).settings(user.settings, {BASE_URL: f'"{URL}"'}, None, is_ours, take_over=False)
    assert (edit.before, edit.changes) == (None, True)
    assert edit.record is not None
    assert (edit.record.existed, edit.record.directories) == (False, (str(user.home / ".claude"),))
    assert user.tree() == {}


def test_a_plan_knows_where_a_link_leads(user: User) -> None:
    target = user.write("dotfiles/zshenv", "a\n")
    link = user.home / ".zshenv"
    link.symlink_to(target)
    file = ShellFile(link, POSIX)
    edit = editor(user).shell(file, b"block", None, take_over=False)
    assert (edit.path, edit.target) == (link, target)
    assert edit.after == put(b"a\n", b"block", "n")


def test_what_is_as_it_should_be_changes_nothing(user: User) -> None:
    user.write(".claude/settings.json", f'{{"env": {{"{BASE_URL}": "{URL}"}}}}')
    edit = editor(user).settings(user.settings, {BASE_URL: f'"{URL}"'}, None, is_ours, take_over=False)
    assert not edit.changes
    assert [line.note for line in edit.lines] == ["as before"]


def test_a_file_that_is_gone_has_nothing_to_undo(user: User) -> None:
    edit = editor(user).undo(user.settings, None, is_ours)
    assert (edit.changes, edit.after, edit.lines) == (False, None, ())

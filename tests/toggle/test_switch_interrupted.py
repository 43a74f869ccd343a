"""Whatever interrupts the switch, at whichever system call: each file is the old or the new one, and the next turn
mends the rest."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from claude_proxy.toggle.disk import Disk
from claude_proxy.toggle.switch import Via
from tests.toggle.faulty_disk import Fault, FaultyDisk, was_hit
from tests.toggle.user import OTHER_PORT, URL, Tree, User

SETTINGS = '{\n  "model": "opus",\n  "env": {\n    "ANTHROPIC_BASE_URL": "https://gateway.example"\n  }\n}'

Step = Callable[[User, Disk], object]


def on(via: Via = Via.SETTINGS, url: str = URL) -> Step:
    def step(user: User, disk: Disk) -> object:
        user.enable(via, url, disk=disk, take_over=True)
        return False

    return step


def off(user: User, disk: Disk) -> object:
    return user.disable(disk=disk).failures


@dataclass(frozen=True)
class Story:
    """What was done before, what is interrupted, and with which files."""

    before: tuple[Step, ...]
    interrupted: Step
    settings: str | None = None
    shells: bool = False

    def user(self, home: Path) -> User:
        """A user who has done what was done before; what lies there from another time is removed."""
        shutil.rmtree(home, ignore_errors=True)
        user = User(home, "fish" if self.shells else "")
        if self.settings is not None:
            user.write(".dotfiles/settings.json", self.settings)
            user.settings.parent.mkdir()
            user.settings.symlink_to("../.dotfiles/settings.json")
        if self.shells:
            user.write(".zshenv", "alias l=ls")
        return user

    def told(self, home: Path) -> tuple[User, Tree]:
        """The user just before the interruption, and all files as they were before anything was done."""
        user = self.user(home)
        untouched = user.tree()
        for step in self.before:
            step(user, Disk())
        return user, untouched


STORIES = {
    "on": Story((), on(), SETTINGS),
    "on, with nothing there": Story((), on()),
    "on for the shells": Story((), on(Via.SHELL), shells=True),
    "on at another address": Story((on(),), on(url=OTHER_PORT), SETTINGS),
    "on for the shells at another address": Story((on(Via.SHELL),), on(Via.SHELL, OTHER_PORT), shells=True),
    "from the settings to the shells": Story((on(),), on(Via.SHELL), '{"model": "opus"}', shells=True),
    "from the shells to the settings": Story((on(Via.SHELL),), on(), shells=True),
    "off": Story((on(),), off, SETTINGS),
    "off, with nothing there before": Story((on(),), off),
    "off for the shells": Story((on(Via.SHELL),), off, shells=True),
}


def check_whole(now: Tree, old: Tree, new: Tree, number: int) -> None:
    """Every file is the old or the new one; what is being written beside them counts for none."""
    for name, (_, content) in now.items():
        if not name.endswith(".claude-proxy-new"):
            either = [tree[name][1] for tree in (old, new) if name in tree]
            assert content in either, f"{name} is torn at call {number}"
    assert old.keys() & new.keys() <= now.keys(), f"something is gone at call {number}"


def check_mended(user: User, untouched: Tree) -> None:
    assert user.disable().failures == ()
    assert user.tree() == untouched
    assert not user.places.state.exists() or list(user.places.state.iterdir()) == []


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("name", STORIES)
def test_every_file_is_the_old_or_the_new_one_and_the_next_turn_mends_the_rest(
    name: str, fault: Fault, tmp_path: Path
) -> None:
    story, home, kept = STORIES[name], tmp_path / "home", tmp_path / "kept"
    user, _ = story.told(home)
    old = user.tree()
    story.interrupted(user, Disk())
    new = user.tree()

    number, hit = 0, True
    while hit:
        user, untouched = story.told(home)
        hit = was_hit(partial(story.interrupted, user), FaultyDisk(number, fault))
        check_whole(user.tree(), old, new, number)
        shutil.copytree(home, kept, symlinks=True)
        check_mended(user, untouched)
        shutil.rmtree(home)
        kept.rename(home)
        assert not story.interrupted(user, Disk())
        assert user.tree() == new, f"what call {number} left is not mended"
        check_mended(user, untouched)
        number += 1
    assert number > 10, "there was hardly a call to interrupt"

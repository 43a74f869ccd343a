"""Routing off wherever it is on; what the user has done in between is kept and told, and what is not safe refused."""

import json
import os

import pytest

from claude_proxy.toggle.disk import Disk
from claude_proxy.toggle.refusals import FileRefused, InvalidText
from claude_proxy.toggle.settings_text import BASE_URL, TOOL_SEARCH
from claude_proxy.toggle.switch import Via
from tests.toggle.user import GATEWAY, OTHER_PORT, SETTINGS, URL, User, is_root, texts

# --- off -----------------------------------------------------------------------------------------------


def test_off_a_second_time_is_a_success(user: User) -> None:
    user.write(".claude/settings.json", SETTINGS)
    user.enable()
    assert user.disable().changed
    again = user.disable()
    assert (again.changed, again.lines, again.failures) == (False, (), ())
    assert user.settings.read_text() == SETTINGS
    assert list(user.places.state.iterdir()) == []


def test_off_where_nothing_ever_was(user: User) -> None:
    outcome = user.disable()
    assert (outcome.changed, outcome.failures) == (False, ())
    assert user.tree() == {}
    assert not user.places.state.exists()


def test_what_was_not_there_is_not_there_again(user: User) -> None:
    user.enable()
    assert user.settings.exists()
    user.disable()
    assert user.tree() == {}


def test_a_directory_that_the_user_has_filled_since_stays(user: User) -> None:
    user.enable()
    user.write(".claude/history", "")
    user.disable()
    assert [name for name in user.tree() if name.endswith("history")]
    assert not user.settings.exists()


def test_a_file_of_ours_that_the_user_has_filled_since_stays(user: User) -> None:
    user.enable()
    user.settings.write_text(json.dumps({**json.loads(user.settings.read_text()), "model": "opus"}, indent=2))
    user.disable()
    assert user.settings.read_text() == '{\n  "model": "opus"\n}'


def test_a_key_that_the_user_has_changed_is_kept_and_told(user: User) -> None:
    user.write(".claude/settings.json", SETTINGS)
    user.enable()
    user.settings.write_text(user.settings.read_text().replace('"true"', '"auto"'))
    assert texts(user.disable().lines) == [
        f"✓ ~/.claude/settings.json  env.{BASE_URL} removed",
        f"· ~/.claude/settings.json  env.{TOOL_SEARCH} = auto (changed by you, kept)",
    ]
    assert user.env == {"A": "b", TOOL_SEARCH: "auto"}


def test_a_block_that_the_user_has_changed_is_kept_and_told(everything: User) -> None:
    everything.enable(Via.SHELL)
    file = everything.home / ".bashrc"
    changed = file.read_bytes().replace(b"fi\n", b"  export MINE=1\nfi\n")
    file.write_bytes(changed)
    assert "· ~/.bashrc  block of claude-proxy (changed by you, kept)" in texts(everything.disable().lines)
    assert file.read_bytes() == changed
    with pytest.raises(InvalidText, match=r"\.bashrc:2: the block of claude-proxy was changed by hand"):
        everything.enable(Via.SHELL)
    assert not everything.places.flag.exists()


def test_what_came_back_with_an_old_copy_of_the_file_goes_too(user: User) -> None:
    """Claude Code's /rewind, or a backup: the settings of a time in which routing was on."""
    user.write(".claude/settings.json", SETTINGS)
    user.enable()
    copy = user.settings.read_bytes()
    user.disable()
    user.settings.write_bytes(copy)
    assert user.disable().changed
    assert BASE_URL not in user.env


@pytest.mark.parametrize("receipt", [None, b"", b"{}", b"torn", b'{"version": 1, "files": [1]}', b"[" * 100_000])
def test_without_a_receipt_only_our_own_address_goes(user: User, receipt: bytes | None) -> None:
    user.write(".claude/settings.json", SETTINGS)
    user.enable()
    user.places.receipt.unlink()
    if receipt is not None:
        user.places.receipt.write_bytes(receipt)
    outcome = user.disable()
    assert user.env == {"A": "b", TOOL_SEARCH: "true"}
    assert texts(outcome.lines) == [
        f"✓ ~/.claude/settings.json  env.{BASE_URL} removed",
        f"· ~/.claude/settings.json  env.{TOOL_SEARCH} = true (left: without a receipt nobody knows whose it is)",
    ]
    assert list(user.places.state.iterdir()) == []


def test_without_a_receipt_an_unknown_address_is_left(user: User) -> None:
    user.enable(url=OTHER_PORT)
    user.places.receipt.unlink()
    assert user.disable().lines == ()
    assert user.env[BASE_URL] == OTHER_PORT
    assert user.disable(OTHER_PORT).changed
    assert BASE_URL not in user.env


def test_without_a_receipt_blocks_go_that_stand_as_we_write_them(everything: User) -> None:
    before = everything.tree()
    everything.enable(Via.SHELL, OTHER_PORT)
    everything.places.receipt.unlink()
    everything.disable()
    left = everything.tree()
    made = {name: value for name, value in left.items() if name not in before}
    assert {name: value for name, value in left.items() if name in before} == before
    # Whether they were there before, only the receipt knew.
    assert all(content == b"" for _, content in made.values())


def test_one_file_that_resists_keeps_no_other_from_being_restored(everything: User) -> None:
    before = everything.tree()
    everything.enable(Via.SHELL)
    bashrc = everything.home / ".bashrc"
    second = everything.home / "second"
    second.hardlink_to(bashrc)
    outcome = everything.disable()
    assert len(outcome.failures) == 1
    assert ".bashrc has 2 names" in outcome.failures[0]
    assert not (everything.home / ".zshenv").exists()
    second.unlink()
    assert everything.disable().failures == ()
    assert everything.tree() == before


def test_settings_that_cannot_be_read_are_told_and_the_receipt_is_kept(user: User) -> None:
    user.write(".claude/settings.json", SETTINGS)
    user.enable()
    good = user.settings.read_text()
    user.settings.write_text(good.replace('"b",', '"b"'))
    outcome = user.disable()
    assert outcome.failures[0].startswith(f"{user.settings}:5:5: expecting ',' delimiter; nothing was changed")
    user.settings.write_text(good)
    user.disable()
    assert user.settings.read_text() == SETTINGS


def test_what_is_not_ours_may_be_as_broken_as_it_likes(user: User) -> None:
    user.write(".claude/settings.json", "no JSON")
    user.write(".bashrc", "x")
    (user.home / "second").hardlink_to(user.home / ".bashrc")
    assert user.disable().failures == ()


# --- refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ['{"env": {}', '{"env": 5}', "{'env': {}}"])
def test_broken_settings_are_refused_and_stay(user: User, text: str) -> None:
    user.write(".claude/settings.json", text)
    with pytest.raises(InvalidText, match=r"settings\.json:1:\d+: "):
        user.enable()
    assert user.settings.read_text() == text
    assert not user.places.receipt.exists()


@is_root
def test_nothing_is_written_where_one_of_several_files_is_refused(everything: User) -> None:
    os.chown(everything.home / ".profile", 4711, -1)
    before = everything.tree()
    with pytest.raises(FileRefused, match="belongs to another user"):
        everything.enable(Via.SHELL)
    assert everything.tree() == before
    assert not everything.places.receipt.exists()


@is_root
def test_a_receipt_that_cannot_be_read_is_not_passed_over(user: User) -> None:
    """What it knows of another gateway would be lost."""
    user.write(".claude/settings.json", f'{{"env": {{"{BASE_URL}": "{GATEWAY}"}}}}')
    before = user.tree()
    user.enable(take_over=True)
    os.chown(user.places.receipt, 4711, -1)
    with pytest.raises(FileRefused, match=r"belongs to another user.*to have it so: rm .*/receipt\.json"):
        user.disable()
    assert user.env[BASE_URL] == URL
    os.chown(user.places.receipt, os.geteuid(), -1)
    user.disable()
    assert user.tree() == before


def test_a_receipt_that_is_a_link_is_not_followed(user: User) -> None:
    user.places.state.mkdir(parents=True)
    user.places.receipt.symlink_to(user.write("precious", "mine"))
    with pytest.raises(FileRefused):
        user.enable()
    assert (user.home / "precious").read_text() == "mine"


def test_two_do_not_turn_it_at_once(user: User) -> None:
    with Disk().locked(user.places.state):
        with pytest.raises(FileRefused, match="another proxy-toggle is at work"):
            user.enable()
        with pytest.raises(FileRefused, match="another proxy-toggle is at work"):
            user.disable()

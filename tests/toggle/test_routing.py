"""Whether routing is on is read off what stands there, whatever a receipt says."""

from pathlib import Path

import pytest

from claude_proxy.toggle import routing
from claude_proxy.toggle.disk import Disk
from claude_proxy.toggle.routing import THIS_SHELL, Routing
from claude_proxy.toggle.settings_text import BASE_URL, TOOL_SEARCH
from claude_proxy.toggle.switch import Via
from tests.toggle.user import GATEWAY, OTHER_PORT, URL, User


@pytest.fixture
def user(tmp_path: Path) -> User:
    return User(tmp_path / "home", "zsh")


def found(user: User, configured: str = URL, **environment: str) -> Routing:
    return routing.find(user.places, Disk(), environment, configured)


def test_off(user: User) -> None:
    now = found(user)
    assert (now.on, now.url, now.elsewhere, now.troubles, now.notes, now.since) == (False, URL, "", (), (), None)


def test_on_in_the_settings(user: User) -> None:
    user.enable()
    now = found(user)
    assert (now.via, now.url, now.troubles, now.notes) == (("~/.claude/settings.json",), URL, (), ())
    assert now.since is not None
    assert now.effective(TOOL_SEARCH, {}) == "true"


def test_on_by_the_user_s_own_hand(user: User) -> None:
    user.write(".claude/settings.json", f'{{"env": {{"{BASE_URL}": "http://localhost:8082/"}}}}')
    now = found(user)
    assert (now.via, now.url, now.since) == (("~/.claude/settings.json",), "http://localhost:8082/", None)


def test_on_in_the_shells(user: User) -> None:
    user.write(".config/fish/config.fish", "")
    user.enable(Via.SHELL)
    now = found(user)
    assert now.via == ("~/.zshenv", "~/.config/fish/conf.d/claude-proxy.fish")
    assert now.notes == ("this shell was opened before routing was on: open a new one",)
    assert now.effective(TOOL_SEARCH, {TOOL_SEARCH: "false"}) == "true"
    assert found(user, **{BASE_URL: URL}).notes == ()


def test_a_block_without_the_flag_exports_nothing(user: User) -> None:
    user.enable(Via.SHELL)
    user.places.flag.unlink()
    assert not found(user).on


def test_on_in_this_shell_alone(user: User) -> None:
    now = found(user, **{BASE_URL: "http://localhost:8082"})
    assert (now.via, now.url, now.since) == ((THIS_SHELL,), "http://localhost:8082", None)


def test_the_settings_win_over_the_shell(user: User) -> None:
    user.enable()
    now = found(user, **{BASE_URL: GATEWAY})
    assert now.on
    assert now.notes == (f"{THIS_SHELL} = {GATEWAY} has no effect: ~/.claude/settings.json wins over the shell",)
    user.settings.write_text(user.settings.read_text().replace(URL, GATEWAY))
    now = found(user, **{BASE_URL: URL})
    assert (now.on, now.elsewhere, now.elsewhere_by) == (False, GATEWAY, "~/.claude/settings.json")


def test_the_shell_may_lead_elsewhere(user: User) -> None:
    now = found(user, **{BASE_URL: "https://me:secret@gateway.example"})
    assert (now.on, now.elsewhere, now.elsewhere_by) == (False, "https://…@gateway.example", THIS_SHELL)


@pytest.mark.parametrize("url", ["https://api.anthropic.com", ""])
def test_anthropic_s_own_address_is_no_other_place(user: User, url: str) -> None:
    user.write(".claude/settings.json", f'{{"env": {{"{BASE_URL}": "{url}"}}}}')
    assert found(user, **{BASE_URL: url}).elsewhere == ""


def test_what_another_hand_has_undone_is_told(user: User) -> None:
    user.enable()
    user.settings.write_text("{}")
    now = found(user)
    assert not now.on
    assert now.troubles == (
        (
            "routing was switched on, but nothing of it is left in ~/.claude/settings.json or your shell's files: "
            "proxy-toggle enable"
        ),
    )
    user.settings.write_text(f'{{"env": {{"{BASE_URL}": "{GATEWAY}"}}}}')
    assert "changed by another hand" in found(user).troubles[0]


def test_an_address_that_the_configuration_does_not_name_any_more(user: User) -> None:
    user.enable(url=OTHER_PORT)
    now = found(user)
    assert (now.on, now.url) == (True, OTHER_PORT)
    assert now.notes == (f"the configuration has the daemon on {URL}; to use that: proxy-toggle enable",)


def test_settings_that_cannot_be_read_are_a_trouble(user: User) -> None:
    user.write(".claude/settings.json", "{")
    now = found(user)
    assert now.settings is None
    assert "settings.json:1:2: " in now.troubles[0]


def test_files_of_any_owner_and_with_any_names_are_looked_at(user: User) -> None:
    user.enable()
    (user.home / "second").hardlink_to(user.settings)
    assert found(user).on

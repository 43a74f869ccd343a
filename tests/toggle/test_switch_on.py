"""Routing on, in one place at a time, and not in another gateway's place unasked."""

import stat
from pathlib import Path

import pytest

from claude_proxy.toggle.refusals import OtherGateway, ToggleRefused
from claude_proxy.toggle.settings_text import BASE_URL, HAIKU_MODEL, TOOL_SEARCH
from claude_proxy.toggle.shell_block import BEGIN
from claude_proxy.toggle.switch import Via, Wish
from tests.toggle.user import GATEWAY, OTHER_PORT, SETTINGS, URL, User, texts

# --- on ------------------------------------------------------------------------------------------------


def test_on_in_claude_code_s_settings(user: User) -> None:
    user.write(".claude/settings.json", SETTINGS)
    outcome = user.enable()
    assert user.env == {"A": "b", BASE_URL: URL, TOOL_SEARCH: "true"}
    assert texts(outcome.lines) == [
        f"✓ ~/.claude/settings.json  env.{BASE_URL} = {URL} (was: not set)",
        f"✓ ~/.claude/settings.json  env.{TOOL_SEARCH} = true (was: not set)",
    ]
    assert outcome.changed


def test_what_is_remembered_is_private(user: User) -> None:
    user.enable()
    assert stat.S_IMODE(user.places.state.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in user.places.state.iterdir()} == {
        "receipt.json": 0o600,
        "routing-on": 0o600,
    }


def test_claude_config_dir_and_xdg_state_home_are_honoured(tmp_path: Path) -> None:
    more = {"CLAUDE_CONFIG_DIR": str(tmp_path / "elsewhere"), "XDG_STATE_HOME": str(tmp_path / "state")}
    user = User(tmp_path / "home", more=more)
    user.enable()
    assert BASE_URL in (tmp_path / "elsewhere" / "settings.json").read_text()
    assert (tmp_path / "state" / "claude-proxy" / "routing-on").exists()
    assert user.tree() == {}
    user.disable()
    assert not (tmp_path / "elsewhere").exists()


def test_two_configuration_directories_are_both_switched_off(tmp_path: Path) -> None:
    first = User(tmp_path / "home")
    second = User(tmp_path / "home", more={"CLAUDE_CONFIG_DIR": str(tmp_path / "home" / "work")})
    first.write(".claude/settings.json", SETTINGS)
    second.write("work/settings.json", SETTINGS)
    before = first.tree()
    first.enable()
    second.enable()
    assert BASE_URL in first.settings.read_text()
    first.disable()
    assert first.tree() == before


def test_on_a_second_time_changes_nothing(everything: User) -> None:
    for via in (Via.SETTINGS, Via.SHELL):
        everything.enable(via)
        before = everything.tree(), everything.places.receipt.read_bytes()
        outcome = everything.enable(via)
        assert not outcome.changed
        assert (everything.tree(), everything.places.receipt.read_bytes()) == before


def test_on_with_another_address_takes_the_place_of_the_first(everything: User) -> None:
    before = everything.tree()
    for via in (Via.SETTINGS, Via.SHELL):
        everything.enable(via)
        outcome = everything.enable(via, OTHER_PORT)
        assert outcome.changed
        where = everything.settings if via is Via.SETTINGS else everything.home / ".bashrc"
        assert OTHER_PORT in where.read_text()
        assert URL not in where.read_text()
        everything.disable()
        assert everything.tree() == before


def test_on_in_the_files_of_the_shells(everything: User) -> None:
    outcome = everything.enable(Via.SHELL)
    home = everything.home
    files = [".zshenv", ".bashrc", ".profile", ".config/fish/conf.d/claude-proxy.fish"]
    assert all(BEGIN in (home / name).read_bytes() for name in files)
    assert not (home / ".bash_profile").exists(), "it would hide .profile from bash"
    assert everything.env == {"A": "b"}
    exports = f"exports {BASE_URL} = {URL}, {TOOL_SEARCH} = true"
    assert texts(outcome.lines) == [f"✓ ~/{name}  {exports}" for name in files]


def test_two_names_of_one_file_get_one_block(tmp_path: Path) -> None:
    user = User(tmp_path / "home", "bash")
    bashrc = user.write(".bashrc", "alias l=ls\n")
    (user.home / ".bash_profile").symlink_to(".bashrc")
    before = user.tree()
    for after in (user.disable, user.enable):
        user.enable(Via.SHELL)
        assert bashrc.read_bytes().count(BEGIN) == 1
        after()
        assert BEGIN not in bashrc.read_bytes()
    user.disable()
    assert user.tree() == before
    # Also where nobody remembers which of the two it was.
    user.enable(Via.SHELL)
    user.places.receipt.unlink()
    user.enable()
    user.disable()
    assert user.tree() == before


def test_never_two_places_at_once(everything: User) -> None:
    before = everything.tree()
    everything.enable(Via.SETTINGS)
    moved = everything.enable(Via.SHELL)
    assert everything.settings.read_text() == SETTINGS
    assert texts(moved.lines)[0] == f"✓ ~/.claude/settings.json  env.{BASE_URL} removed"
    everything.enable(Via.SETTINGS)
    assert BEGIN not in (everything.home / ".bashrc").read_bytes()
    everything.disable()
    assert everything.tree() == before


def test_never_two_places_at_once_even_where_the_receipt_was_lost(everything: User) -> None:
    everything.enable(Via.SHELL)
    everything.places.receipt.unlink()
    everything.enable(Via.SETTINGS)
    assert BEGIN not in (everything.home / ".bashrc").read_bytes()
    everything.places.receipt.unlink()
    everything.enable(Via.SHELL)
    assert BASE_URL not in everything.env


def test_without_a_shell_there_is_no_file_for_one(user: User) -> None:
    with pytest.raises(ToggleRefused, match="no zsh, bash or fish is used here"):
        user.enable(Via.SHELL)


def test_haiku_s_model_is_written_where_it_is_wished_for(user: User) -> None:
    user.write(".claude/settings.json", SETTINGS)
    user.enable(haiku=True)
    assert user.env[HAIKU_MODEL] == "haiku"
    user.enable()
    assert HAIKU_MODEL not in user.env
    user.disable()
    assert user.settings.read_text() == SETTINGS


@pytest.mark.parametrize("via", [Via.SETTINGS, Via.SHELL])
def test_haiku_s_model_stays_where_nobody_knows_about_it(everything: User, via: Via) -> None:
    everything.enable(via, haiku=True)
    before = everything.tree()
    wish = Wish(via, URL, {BASE_URL: URL, TOOL_SEARCH: "true"}, haiku_unknown=True)
    everything.switch().enable(wish)
    assert everything.tree() == before


def test_haiku_s_model_is_not_written_beside_an_older_setting_for_it(user: User) -> None:
    user.write(".claude/settings.json", '{"env": {"ANTHROPIC_SMALL_FAST_MODEL": "mine"}}')
    user.enable(haiku=True)
    assert HAIKU_MODEL not in user.env


def test_a_trial_changes_nothing(everything: User) -> None:
    before = everything.tree()
    switch = everything.switch()
    outcome = switch.enable(Wish(Via.SETTINGS, URL, {BASE_URL: URL}), dry_run=True)
    assert outcome.changed
    assert everything.tree() == before
    assert not everything.places.state.exists()
    everything.enable()
    before = everything.tree()
    assert switch.disable(URL, dry_run=True).changed
    assert everything.tree() == before
    assert everything.places.flag.exists()


# --- another gateway -----------------------------------------------------------------------------------


def test_another_gateway_is_not_replaced_unasked(user: User) -> None:
    user.write(".claude/settings.json", f'{{"env": {{"{BASE_URL}": "https://me:secret@gw.example/x?key=secret"}}}}')
    before = user.tree()
    with pytest.raises(OtherGateway) as caught:
        user.enable()
    assert "sends Claude Code to https://…@gw.example/x?… already" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert user.tree() == before
    assert not user.places.receipt.exists()


def test_another_gateway_comes_back(user: User) -> None:
    user.write(".claude/settings.json", f'{{"env": {{"{BASE_URL}" :"{GATEWAY}"}}}}')
    before = user.tree()
    outcome = user.enable(take_over=True)
    assert user.env[BASE_URL] == URL
    assert texts(outcome.lines)[0].endswith(f"{BASE_URL} = {URL} (was: {GATEWAY})")
    assert texts(user.disable().lines)[0].endswith(f"{BASE_URL} = {GATEWAY} (as before)")
    assert user.tree() == before


def test_a_gateway_set_since_is_another_one_too(user: User) -> None:
    user.enable()
    user.settings.write_text(user.settings.read_text().replace(URL, GATEWAY))
    with pytest.raises(OtherGateway):
        user.enable()
    assert texts(user.disable().lines)[0] == (
        f"· ~/.claude/settings.json  env.{BASE_URL} = {GATEWAY} (changed by you, kept)"
    )
    assert user.env == {BASE_URL: GATEWAY}


def test_anthropic_s_own_address_is_no_gateway(user: User) -> None:
    user.write(".claude/settings.json", f'{{"env": {{"{BASE_URL}": "https://api.anthropic.com"}}}}')
    before = user.tree()
    user.enable()
    assert user.env[BASE_URL] == URL
    user.disable()
    assert user.tree() == before


def test_a_gateway_that_would_come_back_to_the_settings_wins_over_the_shells_too(everything: User) -> None:
    everything.write(".claude/settings.json", f'{{"env": {{"{BASE_URL}": "{GATEWAY}"}}}}')
    everything.enable(Via.SETTINGS, take_over=True)
    with pytest.raises(OtherGateway, match="and wins over the shell"):
        everything.enable(Via.SHELL, take_over=True)
    assert everything.env[BASE_URL] == URL


def test_a_gateway_in_the_settings_wins_over_the_shells(everything: User) -> None:
    everything.write(".claude/settings.json", f'{{"env": {{"{BASE_URL}": "{GATEWAY}"}}}}')
    for take_over in (False, True):
        with pytest.raises(OtherGateway, match="and wins over the shell"):
            everything.enable(Via.SHELL, take_over=take_over)


def test_a_gateway_of_this_shell_is_not_replaced_unasked(tmp_path: Path) -> None:
    user = User(tmp_path / "home", "zsh", {BASE_URL: GATEWAY})
    for via in (Via.SHELL, Via.NONE):
        with pytest.raises(OtherGateway, match=r"this shell sends Claude Code to https://gateway\.example"):
            user.switch().check_others(Wish(via, URL, {}))
    user.enable(Via.SHELL, take_over=True)
    assert (user.home / ".zshenv").exists()


def test_a_gateway_in_a_shell_s_file_is_not_replaced_unasked(tmp_path: Path) -> None:
    user = User(tmp_path / "home", "zsh")
    user.write(".zshenv", f"export {BASE_URL}={GATEWAY}\n")
    before = user.tree()
    with pytest.raises(OtherGateway, match=rf"\.zshenv sets {BASE_URL} itself"):
        user.enable(Via.SHELL)
    user.enable(Via.SHELL, take_over=True)
    user.disable()
    assert user.tree() == before

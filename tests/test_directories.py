"""Where files of ours lie: by the XDG specification, and as platformdirs would have it."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from claude_proxy.directories import config_home, home, our_config, our_data, our_state

Find = Callable[[Mapping[str, str]], Path]
PLACES = [
    (config_home, "XDG_CONFIG_HOME", ".config", ""),
    (our_config, "XDG_CONFIG_HOME", ".config", "claude-proxy"),
    (our_data, "XDG_DATA_HOME", ".local/share", "claude-proxy"),
    (our_state, "XDG_STATE_HOME", ".local/state", "claude-proxy"),
]


@pytest.mark.parametrize(("find", "variable", "default", "ours"), PLACES)
def test_a_variable_moves_them_if_it_is_an_absolute_path(find: Find, variable: str, default: str, ours: str) -> None:
    assert find({"HOME": "/u"}) == Path("/u") / default / ours
    assert find({"HOME": "/u", variable: " /x "}) == Path("/x") / ours
    for nothing in ("", " ", "x", "./x", "~/x"):
        assert find({"HOME": "/u", variable: nothing}) == find({"HOME": "/u"})


def test_without_a_variable_the_home_is_the_user_s(monkeypatch: pytest.MonkeyPatch) -> None:
    assert home({}) == Path.home()
    monkeypatch.setenv("HOME", "/from/the/environment")
    assert home() == Path("/from/the/environment")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert our_state() == Path("/state/claude-proxy")

"""The wiring: which variables lead to the daemon, and what is said where they would lead nowhere."""

import subprocess
from collections.abc import Mapping
from typing import Any

import pytest

from claude_proxy.toggle.haiku import HAIKU
from claude_proxy.toggle.health import Health, Silence
from claude_proxy.toggle.refusals import AddressUnknown, NotAnswering
from claude_proxy.toggle.settings_text import BASE_URL, HAIKU_MODEL, TOOL_SEARCH
from claude_proxy.toggle.wiring import daemon_url, hangs, must_answer, spoilers, wire
from tests.closed_port import refusing_url
from tests.toggle.user import URL, User

SILENT, TAKEN = Silence("connection refused"), Silence("something else answers there", taken=True)
ROUTES = [{"model": "claude-haiku-*", "to": [{"upstream": "minimax"}]}, {"to": [{"upstream": "claude"}]}]


def health(state: str = "present", routes: Any = ROUTES, source: str = "env:KEY") -> Health:
    upstreams = {name: {"credential": name} for name in ("claude", "minimax")}
    credentials = {"claude": {"state": "pass-through"}, "minimax": {"state": state, "sources": [source]}}
    return Health({"status": "healthy", "routes": routes, "upstreams": upstreams, "credentials": credentials}, 0.0)


@pytest.mark.parametrize(
    ("found", "environment", "haiku", "unknown"),
    [
        (health(), {}, HAIKU, False),
        (health(), {HAIKU_MODEL: "mine"}, None, False),
        (health(), {"ANTHROPIC_SMALL_FAST_MODEL": "mine"}, None, False),
        (health("absent"), {}, None, False),
        (health(routes=None), {}, None, True),
        (SILENT, {}, None, True),
    ],
)
def test_haiku_is_named_where_a_route_takes_it_elsewhere(
    found: Health | Silence, environment: Mapping[str, str], haiku: str | None, *, unknown: bool
) -> None:
    wiring = wire(URL, found, environment)
    assert wiring.variables == {BASE_URL: URL, TOOL_SEARCH: "true", **({HAIKU_MODEL: haiku} if haiku else {})}
    assert wiring.haiku_unknown is unknown


def test_it_is_known_where_a_key_was_looked_for(user: User) -> None:
    found = health("not read", source=f"file:{user.home}/key")
    assert wire(URL, found, {}).looked_for == (f"file:{user.home}/key",)
    assert wire(URL, health(), {}).looked_for == ()


def test_no_keychain_is_asked_where_that_would_take_too_long(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(user.home))
    asked: list[list[str]] = []

    def no_key(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(subprocess, "run", no_key)
    waiting = health("not read", source="keyring:minimax")
    assert HAIKU_MODEL not in wire(URL, waiting, {}).variables
    assert len(asked) == 1
    assert HAIKU_MODEL not in wire(URL, waiting, {}, ask_keychain=False).variables
    assert len(asked) == 1
    noted = user.home / "claude-proxy/keys/minimax"
    noted.parent.mkdir(parents=True)
    noted.touch()
    assert HAIKU_MODEL in wire(URL, waiting, {}, ask_keychain=False).variables


def test_an_address_that_is_given_needs_no_configuration(user: User) -> None:
    user.write(".config/claude-proxy/config.yaml", "listen: [\n")
    assert daemon_url(f"{URL}/", user.places, None, {}, otherwise="") == URL
    with pytest.raises(AddressUnknown, match=r"config\.yaml:.*; nothing was done\. Mend it, or .* --url"):
        daemon_url(None, user.places, None, {}, otherwise="nothing was done")
    with pytest.raises(AddressUnknown, match="not an address of a daemon on this machine"):
        daemon_url("https://example.com", user.places, None, {}, otherwise="")


@pytest.mark.parametrize(
    ("silence", "said"),
    [(SILENT, "nothing answers there (connection refused)"), (TAKEN, "something else answers there")],
)
def test_silence_is_told_with_cause_and_remedy(silence: Silence, said: str) -> None:
    with pytest.raises(NotAnswering) as refused:
        must_answer(URL, silence, otherwise="nothing was done", force="do it")
    assert str(refused.value) == (
        f"{URL}: {said}. Claude Code would hang; nothing was done. "
        "Start the daemon: claude-proxy service start · or do it all the same: --force"
    )
    assert hangs(URL, silence) == f"{URL}: {said}. Until the daemon runs, claude will hang"
    assert must_answer(URL, health(), otherwise="", force="") == health()


def test_settings_that_cannot_be_read_spoil_nothing(user: User) -> None:
    user.write(".claude/settings.json", "{")
    with refusing_url() as url:
        assert spoilers(url, health(), user.places, {}, user.home / "project") == []


def test_a_project_that_is_the_home_is_told_once(user: User) -> None:
    user.write(".claude/settings.json", f'{{"env": {{"{BASE_URL}": "https://api.anthropic.com"}}}}')
    with refusing_url() as url:
        [told] = spoilers(url, health(), user.places, {}, user.home)
    assert "~/.claude/settings.json has ANTHROPIC_BASE_URL = https://api.anthropic.com, which wins" in told

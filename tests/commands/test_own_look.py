"""Where no daemon tells, the stores are looked into in the order of the configuration."""

from pathlib import Path
from typing import Any

import pytest

from claude_proxy.commands.own_look import look_at, look_at_all, look_closely
from claude_proxy.commands.standing import CredentialStanding
from claude_proxy.config.settings import CredentialSettings
from tests.claude_request import stored_login
from tests.commands.invoking import configured
from tests.memory_keyring import MemoryKeyring
from tests.paths.logins import write_login_file

TOKEN = "sk-ant-oat01-FAKE-login"
AGO = 1_600_000_000_000


def look(home: Path, *sources: str, **env: str) -> CredentialStanding:
    return look_at("claude", sources, {"HOME": str(home), "USER": "tester", **env})


def test_the_first_place_that_holds_one_is_told(home: Path, memory_keyring: MemoryKeyring) -> None:
    write_login_file(home / ".claude", stored_login(TOKEN, expiresAt=4_000_000_000_000))
    found = look(home, "env:UNSET", "keychain", "file", "env:X", X="FAKE")
    assert found == CredentialStanding("claude", "present", "file", None, 4_000_000_000.0, "store")
    assert look(home, "env:X", "file", X="FAKE").source == "env:X"
    assert "FAKE" not in repr(found)


def test_what_the_client_brings_goes_before_what_stands_behind_it(home: Path, memory_keyring: MemoryKeyring) -> None:
    found = look(home, "env:UNSET", "client", "keychain")
    assert (found.state, found.source) == ("pass-through", "client")
    assert memory_keyring.asked == []


def test_a_login_that_has_expired_is_given_as_well(home: Path, no_keyring: None) -> None:
    write_login_file(home / ".claude", stored_login(TOKEN, expiresAt=AGO))
    settings = CredentialSettings("claude", ("env:X", "keychain", "file"), 0.0, 5.0)
    standing, expired = look_closely(settings, {"HOME": str(home), "USER": "tester"})
    assert (standing.state, expired and expired.source) == ("unusable", "file")
    assert look_closely(settings, {"HOME": str(home), "USER": "tester", "X": "FAKE"})[1] is None


def test_nothing_anywhere_is_absent(home: Path, no_keyring: None) -> None:
    found = look(home, "env:UNSET", "keychain", "file")
    assert (found.state, found.source, found.detail) == ("absent", None, "nothing in env:UNSET, keychain, file")


def test_what_cannot_be_used_says_why_while_nothing_else_can(home: Path, no_keyring: None) -> None:
    write_login_file(home / ".claude", "{")
    found = look(home, "file")
    assert found.state == "unusable"
    assert "valid JSON" in str(found.detail)
    assert look(home, "file", "env:X", X="FAKE").state == "present"


def test_an_expired_login_is_unusable(home: Path, no_keyring: None) -> None:
    write_login_file(home / ".claude", stored_login(TOKEN, expiresAt=AGO))
    found = look(home, "file")
    assert found.state == "unusable"
    assert "has expired or is about to; run `claude`" in str(found.detail)


def test_each_credential_that_an_upstream_uses_is_looked_at_with_its_sources(home: Path, no_keyring: None) -> None:
    more: dict[str, Any] = {
        "credentials": {"unused": {"sources": ["env:X"]}, "claude": {"sources": ["file"]}},
        "upstreams": {"local": {"preset": "ollama"}},
    }
    found = look_at_all(Path(configured(home, **more)), {"HOME": str(home), "MINIMAX_API_KEY": "FAKE"})
    assert [(one.credential, one.state, sources) for one, sources in found] == [
        ("claude", "absent", ("file",)),
        ("minimax", "present", ("env:HAIKU_PROVIDER_API_KEY", "env:MINIMAX_API_KEY", "keyring:minimax")),
    ]


def test_a_faulty_configuration_ends_it(home: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        look_at_all(Path(configured(home, drain_timeout="soon")), {})
    assert ended.value.code == 78

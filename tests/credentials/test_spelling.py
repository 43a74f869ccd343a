"""Which spellings of a source mean a Claude login."""

import pytest

from claude_proxy.credentials.spelling import (
    LOGIN_SOURCES,
    SETUP_TOKEN_SOURCES,
    is_login_file,
    is_login_source,
)


def test_the_sources_of_a_claude_login_are_these() -> None:
    setup_tokens = {"env:CLAUDE_CODE_OAUTH_TOKEN", "keyring:setup-token"}
    assert setup_tokens == SETUP_TOKEN_SOURCES
    assert {"client", "keychain", "file", *setup_tokens} == LOGIN_SOURCES


@pytest.mark.parametrize(
    ("source", "login"),
    [
        ("file:~/.claude/.credentials.json", True),
        ("file:/run/secrets/claude-credentials.json", True),
        ("file:~/key", False),
        ("file:~/claude-credentials.json.key", False),
        ("env:claude-credentials.json", False),
    ],
)
def test_a_file_of_a_login_is_known_by_its_name(source: str, login: bool) -> None:
    assert is_login_file(source) is login
    assert is_login_source(source) is login


@pytest.mark.parametrize("source", ["env:REAL_ANTHROPIC_API_KEY", "keyring:minimax", "keyring:anthropic", ""])
def test_keys_are_no_logins(source: str) -> None:
    assert not is_login_source(source)


@pytest.mark.parametrize("source", sorted(LOGIN_SOURCES))
def test_each_login_source_is_one(source: str) -> None:
    assert is_login_source(source)

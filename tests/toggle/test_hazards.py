"""What spoils the routing is told with its place and its remedy, and never with its value."""

import pytest

from claude_proxy.toggle.hazards import find_hazards, hazards, lacks_token, token_wanted
from claude_proxy.toggle.settings_text import SettingsText

SECRET = "sk-ant-api03-FAKE-secret"


def told(text: str, environment: dict[str, str] | None = None) -> list[str]:
    found = list(hazards(SettingsText(text.encode(), "s"), "~/.claude/settings.json", environment or {}))
    assert all(SECRET not in sentence for sentence in found)
    return found


@pytest.mark.parametrize("name", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"])
def test_a_credential_that_replaces_the_login(name: str) -> None:
    (in_settings,) = told(f'{{"env": {{"{name}": "{SECRET}"}}}}')
    assert in_settings.startswith(f"{name} is set in ~/.claude/settings.json: Claude Code sends it instead of")
    (in_shell,) = told("{}", {name: SECRET})
    assert in_shell.startswith(f"{name} is set in this shell: ")
    assert told(f'{{"env": {{"{name}": ""}}}}', {name: ""}) == []


def test_a_helper_for_keys() -> None:
    (sentence,) = told(f'{{"apiKeyHelper": "echo {SECRET}"}}')
    assert sentence.startswith("apiKeyHelper is set in ~/.claude/settings.json")


@pytest.mark.parametrize("name", ["CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY"])
def test_another_provider(name: str) -> None:
    assert told("{}", {name: "1"}) == told(f'{{"env": {{"{name}": "true"}}}}')
    assert told("{}", {name: "1"})[0].startswith(f"{name} is set")
    assert told("{}", {name: "0"}) == []


def test_each_tells_its_file_and_whether_the_proxy_is_asked_at_all() -> None:
    settings = SettingsText(b'{"env": {"ANTHROPIC_API_KEY": "FAKE", "CLAUDE_CODE_USE_VERTEX": "1"}}', "s")
    found = [(one.name, one.file, one.astray) for one in find_hazards(settings, "~/s", {"ANTHROPIC_API_KEY": "FAKE"})]
    assert found == [
        ("ANTHROPIC_API_KEY", "~/s", False),
        ("ANTHROPIC_API_KEY", "", False),
        ("CLAUDE_CODE_USE_VERTEX", "~/s", True),
    ]


def test_settings_that_cannot_be_read_keep_nothing_of_the_shell_back() -> None:
    assert len(list(hazards(None, "~/x", {"ANTHROPIC_API_KEY": SECRET}))) == 1


def test_whether_the_access_token_is_sent() -> None:
    with_token = '{"env": {"ANTHROPIC_CUSTOM_HEADERS": "A: b\\nX-Claude-Proxy-Token: t"}}'
    assert not lacks_token(SettingsText(with_token.encode(), "s"), {})
    assert not lacks_token(None, {"ANTHROPIC_CUSTOM_HEADERS": "x-claude-proxy-token: t"})
    assert lacks_token(SettingsText(b"{}", "s"), {"ANTHROPIC_CUSTOM_HEADERS": "A: b"})
    assert '"ANTHROPIC_CUSTOM_HEADERS": "x-claude-proxy-token: …" in env of ~/x' in token_wanted("~/x")

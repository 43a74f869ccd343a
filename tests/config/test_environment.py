"""Settings from environment variables: each has one by its path, and the names of older proxies are understood."""

import re
from pathlib import Path

import pytest
import yaml

from claude_proxy.config.environment import OLDER_NAMES, overlay
from claude_proxy.config.load import default_text
from claude_proxy.config.tree import Complaint, Node
from claude_proxy.wire.messages import Background
from tests.config.loading import faults, loaded

KEY = "FAKE-key"


def test_a_variable_sets_what_its_name_says(tmp_path: Path) -> None:
    env = {
        "CLAUDE_PROXY_LISTEN__PORT": "9000",
        "CLAUDE_PROXY_DRAIN_TIMEOUT": "3m",
        "CLAUDE_PROXY_UPSTREAMS__CLAUDE__HEADER_TIMEOUT": " 5s ",
        "CLAUDE_PROXY_ACCESS__TRUST_PROXY": "true",
        "CLAUDE_PROXY_LIMITS__MAX_BODY": "1MiB",
        "CLAUDE_PROXY_SENTINELS": "[placeholder, other]",
        "CLAUDE_PROXY_ROUTES": "[{background: title, to: [{upstream: minimax}]}, {to: [{upstream: claude}]}]",
    }
    settings = loaded(tmp_path, "", env)
    assert settings.listen.port == 9000
    assert settings.drain_timeout == 180
    assert settings.upstreams["claude"].transport.header_timeout == 5
    assert settings.upstreams["minimax"].transport.header_timeout == 300
    assert settings.access.trust_proxy is True
    assert settings.limits.max_body == 1 << 20
    assert settings.sentinels == {"placeholder", "other"}
    assert [route.match.background for route in settings.routes] == [Background.TITLE, None]


def test_a_variable_makes_an_upstream_that_no_file_names(tmp_path: Path) -> None:
    env = {"CLAUDE_PROXY_UPSTREAMS__LOCAL": "{ preset: ollama }"}
    assert loaded(tmp_path, "", env).upstreams["local"].base_url == "http://127.0.0.1:11434"


def test_a_null_in_a_variable_removes_an_upstream(tmp_path: Path) -> None:
    env = {"CLAUDE_PROXY_UPSTREAMS": "{ minimax: null }", "CLAUDE_PROXY_ROUTES": "[{to: [{upstream: claude}]}]"}
    assert set(loaded(tmp_path, "", env).upstreams) == {"claude"}


def test_variables_of_others_say_nothing(tmp_path: Path) -> None:
    env = {"CLAUDE_PROXY_CONFIG": "/elsewhere", "CLAUDE_CODE_X": "1", "PATH": "/bin", "ANTHROPIC_BASE_URL": "x"}
    assert loaded(tmp_path, "", env) == loaded(tmp_path, "", {})


@pytest.mark.parametrize("variable", ["CLAUDE_PROXY_LISTEN__PORT", "CLAUDE_PROXY_LISTEN", "PORT", "SERVER_HOST"])
@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_variable_says_nothing(tmp_path: Path, variable: str, text: str) -> None:
    assert loaded(tmp_path, "", {variable: text}) == loaded(tmp_path, "", {})


def test_an_unknown_variable_is_a_fault_that_names_the_nearest_setting(tmp_path: Path) -> None:
    assert faults(tmp_path, "", {"CLAUDE_PROXY_LISTEN__PROT": "1"}) == [
        "variable CLAUDE_PROXY_LISTEN__PROT listen.prot: unknown setting; did you mean 'port'?"
    ]


def test_a_variable_that_is_no_yaml_is_a_fault(tmp_path: Path) -> None:
    assert faults(tmp_path, "", {"CLAUDE_PROXY_ROUTES": "[{to: "}) == [
        "variable CLAUDE_PROXY_ROUTES routes: expected a plain value or YAML"
    ]


def test_a_variable_that_is_no_value_of_its_own_kind_is_a_fault(tmp_path: Path) -> None:
    assert faults(tmp_path, "", {"CLAUDE_PROXY_DRAIN_TIMEOUT": "2001-99-99"}) == [
        "variable CLAUDE_PROXY_DRAIN_TIMEOUT drain_timeout: expected a plain value or YAML"
    ]


@pytest.mark.parametrize(
    "text", ["0", "7", "8083", "007", "08", "+7", "-7", "1_000", "1:30", "0x1F", "7.0", "1e3", "\u0667"]
)
def test_a_number_is_what_yaml_says_of_it(text: str) -> None:
    found = overlay({"PORT": text}, []).value["listen"].value["port"].value
    expected = yaml.safe_load(text)
    assert (found, type(found)) == (expected, type(expected))


def test_a_fault_within_a_variables_yaml_names_the_variable(tmp_path: Path) -> None:
    (told,) = faults(tmp_path, "", {"CLAUDE_PROXY_ROUTES": "[{to: [{upstream: nobody}]}]"})
    assert told.startswith("variable CLAUDE_PROXY_ROUTES routes[0].to[0].upstream: there is no upstream 'nobody'")


OLDER = {
    "ANTHROPIC_DEMOTE_NONSTREAMING": "1",
    "ANTHROPIC_FORWARD_URL": "http://127.0.0.1:9/x",
    "ANTHROPIC_MAX_RETRIES": "7",
    "ANTHROPIC_RESPONSE_HEADER_TIMEOUT": "11s",
    "AUTH_ALLOW_LOCALHOST_BYPASS": "true",
    "AUTH_API_KEY_HEADER": "x-other-key",
    "AUTH_ENABLED": "false",
    "HAIKU_PROVIDER_BASE_URL": "http://127.0.0.1:9/y",
    "MAX_CONCURRENT_REQUESTS": "3",
    "PORT": "9001",
    "PROXY_PUBLIC_URL": "https://proxy.example",
    "SERVER_HOST": "127.0.0.2",
    "TRUST_PROXY": "true",
}


def test_the_names_of_older_proxies_are_understood(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "", OLDER)
    assert settings.upstreams["claude"].base_url == "http://127.0.0.1:9/x"
    assert settings.upstreams["minimax"].base_url == "http://127.0.0.1:9/y"
    assert settings.upstreams["claude"].transport.header_timeout == 11
    assert settings.upstreams["claude"].transport.demote_nonstreaming is True
    assert settings.retry.max_retries == 7
    assert settings.upstreams["minimax"].slots.max_concurrency == 3
    assert (settings.listen.host, settings.listen.port) == ("127.0.0.2", 9001)
    access = settings.access
    assert (access.enabled, access.localhost_bypass, access.trust_proxy) == (False, True, True)
    assert access.header == "x-other-key"
    assert "proxy.example" in access.allowed_hosts
    assert set(OLDER) == set(OLDER_NAMES)


def test_the_secrets_of_older_proxies_are_looked_for_where_they_were(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "", {"AUTH_TOKEN": KEY})
    assert settings.access.token == KEY
    assert settings.credentials["claude"].sources[0] == "env:REAL_ANTHROPIC_API_KEY"
    assert settings.credentials["minimax"].sources[0] == "env:HAIKU_PROVIDER_API_KEY"


@pytest.mark.parametrize(("text", "value"), [("1", True), ("0", False), ("Yes", True), ("no", False), ("ON", True)])
def test_true_and_false_are_also_understood_as_others_write_them(tmp_path: Path, text: str, value: bool) -> None:
    assert loaded(tmp_path, "", {"AUTH_ENABLED": text}).access.enabled is value
    assert loaded(tmp_path, "", {"CLAUDE_PROXY_ACCESS__ENABLED": text}).access.enabled is value


def test_its_own_name_goes_before_an_older_one(tmp_path: Path) -> None:
    assert loaded(tmp_path, "", {"PORT": "1", "CLAUDE_PROXY_LISTEN__PORT": "2"}).listen.port == 2


def test_an_older_name_with_a_wrong_value_is_told_by_that_name(tmp_path: Path) -> None:
    assert faults(tmp_path, "", {"PORT": "http"}) == [
        "variable PORT listen.port: expected a whole number from 0 to 65535, found 'http'"
    ]


def test_every_older_name_leads_to_a_setting_of_the_manual() -> None:
    document = yaml.safe_load(default_text())
    for path in OLDER_NAMES.values():
        section, *_, key = path.split(".")
        named_for_upstreams = re.search(rf"^#.*\b{key}\b", default_text(), re.MULTILINE) is not None
        assert key in document[section] or named_for_upstreams or key in document[section].get("claude", {}), path


def test_an_environment_that_says_nothing_makes_an_empty_tree() -> None:
    complaints: list[Complaint] = []
    assert overlay({"HOME": "/x"}, complaints) == Node({}, "the environment")
    assert complaints == []

"""A configuration is loaded: the built-in one, the user's file over it, the environment over both."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from claude_proxy.config.load import default_path, default_text, load
from claude_proxy.config.settings import Settings
from claude_proxy.config.tree import ConfigurationError
from claude_proxy.credentials.credential import Scheme
from claude_proxy.upstreams.breaker import BreakerSettings
from claude_proxy.upstreams.transport import TransportSettings
from claude_proxy.upstreams.upstream import CountTokens
from claude_proxy.web.guard import AccessSettings
from claude_proxy.web.protocol import LimitSettings
from tests.config.loading import faults, loaded

SECRET = "sk-ant-api03-FAKE-secret"


@pytest.fixture(autouse=True)
def no_file_of_the_developer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


def built_in() -> Settings:
    return load(None, {})


def same_but_for_the_file(one: Settings, other: Settings) -> bool:
    names = [name for name in Settings.__struct_fields__ if name != "file"]
    return all(getattr(one, name) == getattr(other, name) for name in names)


def test_without_a_file_the_built_in_configuration_holds() -> None:
    settings = built_in()
    assert settings.file is None
    assert (settings.listen.host, settings.listen.port) == ("127.0.0.1", 8082)
    assert (settings.log.level, settings.log.format) == ("info", "key-value")
    assert settings.drain_timeout == 32 * 60
    assert settings.access == AccessSettings()
    assert settings.limits == LimitSettings()
    assert settings.breaker == BreakerSettings()
    assert settings.sentinels == {"proxy-managed"}
    assert {name: upstream.transport for name, upstream in settings.upstreams.items()} == {
        "claude": TransportSettings(),
        "minimax": TransportSettings(),
    }


def test_the_built_in_configuration_sends_haiku_to_minimax_and_everything_else_to_claude() -> None:
    haiku, rest = built_in().routes
    assert haiku.match.model == "claude-haiku-*"
    assert [target.upstream for target in haiku.targets] == ["minimax", "claude"]
    assert str(rest.match) == "everything"
    assert [target.upstream for target in rest.targets] == ["claude"]


def test_the_whole_default_file_as_the_users_own_changes_nothing(tmp_path: Path) -> None:
    settings = loaded(tmp_path, default_text())
    assert settings.file == tmp_path / "config.yaml"
    assert same_but_for_the_file(settings, built_in())


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert same_but_for_the_file(loaded(tmp_path, "# nothing yet\n"), built_in())


def test_the_users_file_lies_in_the_configuration_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert default_path() == tmp_path / "home/.config/claude-proxy/config.yaml"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "elsewhere"))
    assert default_path() == tmp_path / "elsewhere/claude-proxy/config.yaml"


def test_the_users_file_is_read_where_it_lies() -> None:
    file = default_path()
    file.parent.mkdir(parents=True)
    file.write_text("listen: { port: 9 }\n")
    settings = built_in()
    assert (settings.file, settings.listen.port) == (file, 9)


def test_the_users_file_is_laid_over_the_built_in_one(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        """
listen: { port: 9 }
upstreams:
  claude: { header_timeout: 7s }
  kimi: { preset: kimi, credential: kimi }
credentials:
  kimi: { sources: [env:KIMI_API_KEY] }
routes:
  - { model: kimi-*, to: [{ upstream: kimi }] }
  - { to: [{ upstream: claude }] }
""",
    )
    assert (settings.listen.host, settings.listen.port) == ("127.0.0.1", 9)
    assert set(settings.upstreams) == {"claude", "minimax", "kimi"}
    assert settings.upstreams["claude"].base_url == "https://api.anthropic.com"
    assert settings.upstreams["claude"].transport == TransportSettings(header_timeout=7.0)
    assert settings.upstreams["minimax"].transport == TransportSettings()
    assert [route.match.model for route in settings.routes] == ["kimi-*", None]


def test_null_removes_an_upstream(tmp_path: Path) -> None:
    text = "upstreams: { minimax: null }\ncredentials: { minimax: null }\nroutes: [{ to: [{ upstream: claude }] }]\n"
    settings = loaded(tmp_path, text)
    assert set(settings.upstreams) == set(settings.credentials) == {"claude"}


def test_what_still_leads_to_a_removed_upstream_is_told(tmp_path: Path) -> None:
    (told,) = faults(tmp_path, "upstreams: { minimax: null }\n")
    assert re.match(r"default\.yaml:\d+:\d+ ", told)
    assert "routes[0].to[0].upstream: there is no upstream 'minimax'; known: claude" in told


def test_environment_goes_before_file_and_command_line_before_both(tmp_path: Path) -> None:
    text, env = "listen: { port: 1 }\n", {"CLAUDE_PROXY_LISTEN__PORT": "2"}
    assert loaded(tmp_path, text).listen.port == 1
    assert loaded(tmp_path, text, env).listen.port == 2
    assert loaded(tmp_path, text, env, {"listen.port": 3}).listen.port == 3


def test_a_fault_of_the_environment_or_the_command_line_names_where_it_came_from(tmp_path: Path) -> None:
    (told,) = faults(tmp_path, "", {"CLAUDE_PROXY_LISTEN__PORT": "many"})
    assert (
        told == "variable CLAUDE_PROXY_LISTEN__PORT listen.port: expected a whole number from 0 to 65535, found 'many'"
    )
    (told,) = faults(tmp_path, "", overrides={"listen.port": 70000})
    assert told == "the command line listen.port: expected a whole number from 0 to 65535, found 70000"


def test_five_faults_are_five_lines_each_with_its_place_its_path_and_what_was_expected(tmp_path: Path) -> None:
    text = """\
listen:
  port: many
transport:
  header_timeout: soon
  conect_timeout: 5s
routes:
  - { to: [{ upstream: cluade }] }
upstreams:
  claude: { dialect: antropic }
"""
    assert sorted(faults(tmp_path, text)) == [
        "config.yaml:2:9 listen.port: expected a whole number from 0 to 65535, found 'many'",
        "config.yaml:4:19 transport.header_timeout: expected a duration such as 500ms, 10s or 5m, found 'soon'",
        "config.yaml:5:3 transport.conect_timeout: unknown setting; did you mean 'connect_timeout'?",
        "config.yaml:7:24 routes[0].to[0].upstream: there is no upstream 'cluade'; known: claude, minimax",
        (
            "config.yaml:9:22 upstreams.claude.dialect: expected one of anthropic, compatible, minimax, "
            "found 'antropic'; did you mean 'anthropic'?"
        ),
    ]


def test_a_key_that_stands_twice_is_a_fault(tmp_path: Path) -> None:
    (told,) = faults(tmp_path, "listen: { port: 1 }\nlisten: { port: 2 }\n")
    assert told == "config.yaml:2:1 listen: stands twice in this mapping; keep one of them"


@pytest.mark.parametrize("key", ["lisen", "drain_timout", "route", "upstream"])
def test_an_unknown_key_at_the_top_names_its_nearest_neighbour(tmp_path: Path, key: str) -> None:
    nearest = {"lisen": "listen", "drain_timout": "drain_timeout", "route": "routes", "upstream": "upstreams"}[key]
    (told,) = faults(tmp_path, f"{key}: 1\n")
    assert told == f"config.yaml:1:1 {key}: unknown setting; did you mean {nearest!r}?"


SECRETS = {
    "in an upstream": f"upstreams: {{ claude: {{ api_key: {SECRET} }} }}",
    "as a credential": f"upstreams: {{ claude: {{ credential: {SECRET} }} }}",
    "as a source": f"credentials: {{ claude: {{ sources: [client, {SECRET}] }} }}",
    "behind env": f"credentials: {{ claude: {{ sources: ['env:{SECRET}'] }} }}",
    "as the token": f"access: {{ token: {SECRET} }}",
    "as the token's variable": f"access: {{ token: {{ env: {SECRET} }} }}",
    "as a dialect": f"upstreams: {{ claude: {{ dialect: {SECRET} }} }}",
    "as a target": f"routes: [{{ to: [{{ upstream: {SECRET} }}] }}]",
    "as a network": f"access: {{ trusted_networks: [{SECRET}] }}",
    "as the host": f"listen: {{ host: {SECRET} }}",
    "as a header": f"access: {{ header: {SECRET} }}",
    "as a sentinel": f"sentinels: [{SECRET}]",
    "as a model": f"models: {{ claude: {SECRET} }}",
    "in a URL": f"upstreams: {{ claude: {{ base_url: 'https://x.example/{SECRET}' }} }}",
    "as a setting": f"{SECRET}: 1",
}


@pytest.mark.parametrize("where", SECRETS)
def test_a_secret_is_refused_and_never_quoted(tmp_path: Path, where: str) -> None:
    told = "\n".join(faults(tmp_path, SECRETS[where] + "\n"))
    assert "FAKE" not in told
    assert "config.yaml:1:" in told
    if where != "as a setting":
        assert "this looks like a secret, which must not stand in the file" in told


VARIABLES = [
    "UPSTREAMS__CLAUDE__DIALECT",
    "UPSTREAMS__CLAUDE__CREDENTIAL",
    "LISTEN__HOST",
    "LOG__LEVEL",
    "LISTEN__PORT",
]


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_secret_in_a_variable_is_never_quoted(tmp_path: Path, variable: str) -> None:
    told = "\n".join(faults(tmp_path, "", {f"CLAUDE_PROXY_{variable}": SECRET}))
    assert f"variable CLAUDE_PROXY_{variable}" in told
    assert "FAKE" not in told


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(tmp_path / "nowhere.yaml", {})
    assert str(refused.value) == f"{tmp_path}/nowhere.yaml does not exist; `claude-proxy init` writes one"


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        load(tmp_path, {})


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(b"a: \xff\n")
    with pytest.raises(ConfigurationError, match="cannot be read: it is not UTF-8 text"):
        load(file, {})


def test_a_file_that_is_no_yaml_is_told_once_with_its_place(tmp_path: Path) -> None:
    assert faults(tmp_path, "listen: { port: 1\nlog: {\n") == [
        "config.yaml:2:4 this is not valid YAML: expected ',' or '}', but got ':'"
    ]


@pytest.mark.parametrize(
    "routes",
    ["[]", "[{ model: claude-*, to: [{ upstream: claude }] }]", "[{ agent: main, to: [{ upstream: claude }] }]"],
)
def test_the_last_route_must_match_everything(tmp_path: Path, routes: str) -> None:
    (told,) = faults(tmp_path, f"routes: {routes}\n")
    assert told.startswith("config.yaml:1:9 routes: the last route must match everything")


NO_VALUE = [
    "drain_timeout",
    "listen.port",
    "limits.head_timeout",
    "limits.max_body",
    "retry.max_retries",
    "retry.max_elapsed",
    "breaker.failures",
    "transport.header_timeout",
]


@pytest.mark.parametrize("path", NO_VALUE)
def test_a_setting_without_a_value_does_not_become_nought(tmp_path: Path, path: str) -> None:
    """It is told, or the built-in value holds; a limit of no seconds would end every connection at once."""
    section, _, key = path.rpartition(".")
    text = f"{section}: {{ {key}: null }}\n" if section else f"{key}:\n"
    try:
        settings = loaded(tmp_path, text)
    except ConfigurationError as refused:
        (complaint,) = refused.complaints
        assert complaint.path == path
    else:
        assert same_but_for_the_file(settings, built_in())


PRESETS = ["deepseek", "kimi", "llama_cpp", "lm_studio", "ollama", "openrouter", "vllm", "zai"]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_the_ground_that_an_upstreams_own_settings_lie_on(tmp_path: Path, preset: str) -> None:
    settings = loaded(
        tmp_path,
        f"upstreams: {{ x: {{ preset: {preset}, credential: minimax, context_window: 4000, header_timeout: 3s }} }}\n",
    )
    upstream = settings.upstreams["x"]
    assert upstream.dialect == "compatible"
    assert upstream.base_url.startswith(("https://", "http://127.0.0.1:"))
    assert upstream.auth in {Scheme.BEARER, Scheme.API_KEY}
    assert upstream.count_tokens is CountTokens.ESTIMATE
    assert (upstream.context_window, upstream.transport.header_timeout) == (4000, 3.0)


def test_every_preset_stands_in_the_manual(tmp_path: Path) -> None:
    manual = " ".join(default_text().replace("#", " ").split())
    assert f"{', '.join(PRESETS)}" in manual
    (told,) = faults(tmp_path, "upstreams: { x: { preset: nobody, base_url: 'http://127.0.0.1' } }\n")
    assert told == f"config.yaml:1:27 upstreams.x.preset: expected one of {', '.join(PRESETS)}, found 'nobody'"


def test_the_default_file_is_what_its_own_yaml_says() -> None:
    """Nothing of it is left out: whoever reads the file reads the settings."""
    document: dict[str, Any] = yaml.safe_load(default_text())
    assert set(document) == set(Settings.__struct_fields__) - {"file"} | {"transport"}

"""Each section of the configuration, and the faults that are particular to it."""

from pathlib import Path

import pytest

from claude_proxy.config.sections import is_loopback, takes_login
from claude_proxy.credentials.credential import Scheme
from claude_proxy.credentials.refresh import RefreshSettings
from claude_proxy.forwarding.retry import RetrySettings
from claude_proxy.upstreams.breaker import BreakerSettings
from claude_proxy.upstreams.route import Match
from claude_proxy.upstreams.upstream import CountTokens
from claude_proxy.web.protocol import LimitSettings
from claude_proxy.wire.messages import Background
from tests.config.loading import faults, loaded

TOKEN = {"AUTH_TOKEN": "FAKE-token"}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "::1", "[::1]"])
def test_loopback_is_this_machine_and_may_be_listened_on(tmp_path: Path, host: str) -> None:
    assert is_loopback(host)
    assert loaded(tmp_path, f"listen: {{ host: '{host}' }}\n").listen.host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "proxy.example", "localhost.example", "127.1", "10"])
def test_another_address_is_refused_where_nothing_keeps_others_out(tmp_path: Path, host: str) -> None:
    assert not is_loopback(host)
    (told,) = faults(tmp_path, f"listen: {{ host: '{host}' }}\n")
    assert told.startswith(f"config.yaml:1:17 listen.host: {host} can be reached from other machines")
    assert "AUTH_TOKEN" in told


def test_another_address_is_allowed_with_a_token_or_behind_a_proxy_that_keeps_others_out(tmp_path: Path) -> None:
    text = "listen: { host: 0.0.0.0 }\n"
    assert loaded(tmp_path, text, TOKEN).listen.host == "0.0.0.0"
    assert loaded(tmp_path, text + "access: { trust_proxy: true }\n").listen.host == "0.0.0.0"


def test_a_token_that_is_not_asked_for_keeps_nobody_out(tmp_path: Path) -> None:
    (told,) = faults(tmp_path, "listen: { host: 0.0.0.0 }\naccess: { enabled: false }\n", TOKEN)
    assert "listen.host" in told


def test_the_token_is_looked_for_where_it_is_said_to_be(tmp_path: Path) -> None:
    assert loaded(tmp_path, "").access.token == ""
    assert loaded(tmp_path, "", {"AUTH_TOKEN": " FAKE "}).access.token == "FAKE"
    assert loaded(tmp_path, "access: { token: { env: OTHER } }\n", {"OTHER": "FAKE"}).access.token == "FAKE"
    file = tmp_path / "token"
    file.write_text("FAKE-in-file\n")
    file.chmod(0o600)
    assert loaded(tmp_path, f"access: {{ token: {{ file: '{file}' }} }}\n").access.token == "FAKE-in-file"
    assert loaded(tmp_path, "access: { token: null }\n", TOKEN).access.token == ""


@pytest.mark.parametrize("token", ["hunter22", "7", "[x]"])
def test_a_token_that_stands_in_the_file_is_refused(tmp_path: Path, token: str) -> None:
    (told,) = faults(tmp_path, f"access: {{ token: {token} }}\n")
    assert told.startswith("config.yaml:1:18 access.token: expected a reference, { env: NAME } or { file: PATH }")
    assert "hunter22" not in told


def test_a_token_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (told,) = faults(tmp_path, "access: { token: { file: /nowhere/token } }\n")
    assert told == "config.yaml:1:26 access.token.file: could not be read: No such file or directory"
    empty = tmp_path / "empty"
    empty.write_text(" \n")
    (told,) = faults(tmp_path, f"access: {{ token: {{ file: '{empty}' }} }}\n")
    assert "access.token.file: is empty, and without a token whoever can reach the port could use it" in told
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    (told,) = faults(tmp_path, f"access: {{ token: {{ file: '{binary}' }} }}\n")
    assert told.endswith("could not be read: not text")


KEY = "Xy7-hunter2-of-a-provider"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (f"credentials: {{ minimax: {{ sources: [{KEY}] }} }}", "credentials.minimax.sources"),
        (f"credentials: {{ minimax: {{ sources: {KEY} }} }}", "credentials.minimax.sources"),
        (f"credentials: {{ minimax: {{ sources: ['env:{KEY}'] }} }}", "credentials.minimax.sources"),
        (f"access: {{ token: {{ env: {KEY} }} }}", "access.token.env"),
        (f"upstreams: {{ minimax: {{ credential: {KEY} }} }}", "upstreams.minimax.credential"),
        (f"upstreams: {{ minimax: {{ auth: {KEY} }} }}", "upstreams.minimax.auth"),
    ],
)
def test_a_key_that_stands_where_its_name_belongs_is_refused_and_not_quoted(
    tmp_path: Path, text: str, path: str
) -> None:
    (told,) = faults(tmp_path, f"{text}\n")
    assert path in told
    assert "hunter2" not in told


def test_a_public_address_is_added_to_the_hosts(tmp_path: Path) -> None:
    for public, hosts in {
        "https://proxy.example": ("proxy.example:443", "proxy.example"),
        "http://proxy.example": ("proxy.example:80", "proxy.example"),
        "https://proxy.example:8443/x": ("proxy.example:8443", "proxy.example:8443"),
    }.items():
        access = loaded(tmp_path, f"access: {{ public_url: '{public}' }}\n").access
        assert access.allowed_hosts == ("127.0.0.1", "localhost", "[::1]", *hosts)


@pytest.mark.parametrize("public", ["proxy.example", "https://", "https://[::1", "https://proxy.example:99999"])
def test_a_public_address_that_is_no_url_is_told(tmp_path: Path, public: str) -> None:
    (told,) = faults(tmp_path, f"access: {{ public_url: '{public}' }}\n")
    assert told.startswith("config.yaml:1:23 access.public_url: expected a URL such as https://proxy.example")


def test_trusted_networks_are_networks(tmp_path: Path) -> None:
    text = "access: {{ trusted_networks: [172.18.0.0/16, {}] }}\n"
    assert loaded(tmp_path, text.format("fd00::/8")).access.trusted_networks == ("172.18.0.0/16", "fd00::/8")
    (told,) = faults(tmp_path, text.format("172.18.0.1/16"))
    assert "access.trusted_networks: expected networks such as 172.18.0.0/16, found '172.18.0.1/16'" in told


def test_limits_retry_and_breaker_are_read(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        "limits: { max_body: 1MiB, max_header: 9KiB, head_timeout: 1s, body_timeout: 2s, idle_timeout: 3s }\n"
        "retry: { first_wait: 4s, max_wait: 5s, max_elapsed: 6s, max_retries: 7 }\n"
        "breaker: { failures: 8, cooldown: 9s, max_cooldown: 10s }\n"
        "log: { level: debug, format: json }\n",
    )
    assert settings.limits == LimitSettings(1 << 20, 1.0, 2.0, 9 << 10, 3.0)
    assert settings.retry == RetrySettings(4.0, 5.0, 6.0, 7)
    assert settings.breaker == BreakerSettings(8, 9.0, 10.0)
    assert (settings.log.level, settings.log.format) == ("debug", "json")


SOURCES = ["client", "keychain", "file", "env:NAME", "file:~/key", "keyring:entry"]


@pytest.mark.parametrize("source", SOURCES)
def test_a_source_is_one_of_six_kinds(tmp_path: Path, source: str) -> None:
    settings = loaded(tmp_path, f"credentials: {{ claude: {{ sources: ['{source}'], read_timeout: 1s }} }}\n")
    credential = settings.credentials["claude"]
    assert (credential.sources, credential.cache_ttl, credential.read_timeout) == ((source,), 300.0, 1.0)


@pytest.mark.parametrize("source", ["clients", "env", "env:", "keyring:", "file:", "vault:x", "", "ENV:NAME"])
def test_a_source_of_no_kind_is_told(tmp_path: Path, source: str) -> None:
    (told,) = faults(tmp_path, f"credentials: {{ claude: {{ sources: ['{source}'] }} }}\n")
    assert "credentials.claude.sources: expected client, keychain, file, env:NAME, file:PATH or keyring:NAME" in told


def test_claude_is_asked_to_renew_its_login_where_nothing_else_is_said(tmp_path: Path) -> None:
    """By the command that the manual names, and for a credential of the user's own as well."""
    settings = loaded(tmp_path, "credentials: { mine: { sources: [file] } }\n")
    assert settings.credentials["claude"].refresh == RefreshSettings()
    assert settings.credentials["mine"].refresh == RefreshSettings()
    assert RefreshSettings().delegate


def test_how_a_stored_login_is_renewed_is_read(tmp_path: Path) -> None:
    text = "refresh: never, refresh_command: [/opt/claude, -p, ''], refresh_timeout: 1m"
    settings = loaded(tmp_path, f"credentials: {{ claude: {{ {text} }} }}\n")
    assert settings.credentials["claude"].refresh == RefreshSettings(False, ("/opt/claude", "-p", ""), 60.0)
    assert settings.credentials["claude"].sources == loaded(tmp_path, "").credentials["claude"].sources


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("refresh: redeem", "refresh: expected one of delegate, never, found 'redeem'"),
        ("refresh_command: claude -p", "refresh_command: expected a list of texts"),
        ("refresh_command: []", "refresh_command: expected a program and its arguments"),
        ("refresh_command: ['', -p]", "refresh_command: expected a program and its arguments"),
        ("refresh_command: [claude, sk-ant-oat01-FAKE-in-the-file]", "looks like a secret"),
        ("refresh_timeout: long", "refresh_timeout: expected a duration"),
    ],
)
def test_what_cannot_be_how_a_login_is_renewed_is_told(tmp_path: Path, text: str, words: str) -> None:
    told = faults(tmp_path, f"credentials: {{ claude: {{ {text} }} }}\n")
    assert words in told[0]
    assert "FAKE" not in str(told)


@pytest.mark.parametrize("key", ["api_key", "auth_token", "key", "password", "secret", "token"])
@pytest.mark.parametrize("section", ["credentials", "upstreams"])
def test_a_key_for_a_secret_is_told_where_secrets_are_named(tmp_path: Path, section: str, key: str) -> None:
    (told,) = faults(tmp_path, f"{section}: {{ claude: {{ {key}: x }} }}\n")
    assert told.endswith(
        f"{section}.claude.{key}: unknown setting; secrets are named under `credentials`, as env:NAME, "
        "file:PATH or keyring:NAME"
    )


def test_an_upstream_is_read(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        "credentials: { other: { sources: [env:OTHER] } }\n"
        "upstreams: { other: { base_url: 'https://x.example/y/', credential: other, auth: x-api-key,\n"
        "  count_tokens: reject, cache_control: true, context_window: 5000, connect_timeout: 1s,\n"
        "  header_timeout: 2s, stream_idle_timeout: 3s } }\n",
    )
    upstream = settings.upstreams["other"]
    assert (upstream.name, upstream.base_url, upstream.credential) == ("other", "https://x.example/y", "other")
    assert (upstream.dialect, upstream.auth, upstream.count_tokens) == (
        "compatible",
        Scheme.API_KEY,
        CountTokens.REJECT,
    )
    assert (upstream.cache_control, upstream.context_window) == (True, 5000)
    times = upstream.transport
    assert (times.connect_timeout, times.header_timeout, times.stream_idle_timeout) == (1.0, 2.0, 3.0)


def test_whether_whole_messages_are_asked_for_as_streams_is_said_for_all_or_for_one(tmp_path: Path) -> None:
    other = "upstreams: { other: { base_url: 'http://127.0.0.1:9', dialect: anthropic%s } }\n"
    for text, expected in {
        other % "": (False, False),
        other % ", demote_nonstreaming: true": (False, True),
        "transport: { demote_nonstreaming: true }\n" + other % "": (True, True),
        "transport: { demote_nonstreaming: true }\n" + other % ", demote_nonstreaming: false": (True, False),
    }.items():
        upstreams = loaded(tmp_path, text).upstreams
        found = tuple(upstreams[name].transport.demote_nonstreaming for name in ("claude", "other"))
        assert found == expected, text
    (told,) = faults(tmp_path, "transport: { demote_nonstreaming: 1 }\n")
    assert told == "config.yaml:1:35 transport.demote_nonstreaming: expected true or false, found 1"


def test_of_another_provider_no_stream_is_asked_in_place_of_a_message(tmp_path: Path) -> None:
    (told,) = faults(tmp_path, "upstreams: { minimax: { demote_nonstreaming: true } }\n")
    assert told == (
        "config.yaml:1:46 upstreams.minimax.demote_nonstreaming: works with the dialect anthropic alone; "
        "leave it out here"
    )
    for_all = loaded(tmp_path, "transport: { demote_nonstreaming: true }\n")
    assert for_all.upstreams["minimax"].transport.demote_nonstreaming  # whom it does not concern


def test_an_upstream_needs_no_credential(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path, "upstreams: { local: { base_url: 'http://127.0.0.1:9' }, claude: { credential: null } }\n"
    )
    assert settings.upstreams["local"].credential is None
    assert settings.upstreams["claude"].credential is None


def test_who_counts_tokens_goes_by_the_dialect_where_nothing_is_said(tmp_path: Path) -> None:
    upstreams = loaded(tmp_path, "upstreams: { x: { base_url: 'http://127.0.0.1:9', dialect: anthropic } }\n").upstreams
    counts = {name: upstream.count_tokens for name, upstream in upstreams.items()}
    assert counts == {"claude": CountTokens.PASS, "x": CountTokens.PASS, "minimax": CountTokens.ESTIMATE}


def test_an_unknown_credential_is_told_with_those_that_are_known(tmp_path: Path) -> None:
    (told,) = faults(tmp_path, "upstreams: { claude: { credential: cluade } }\n")
    assert told == (
        "config.yaml:1:36 upstreams.claude.credential: there is no credential 'cluade'; known: claude, minimax"
    )


@pytest.mark.parametrize(
    "url",
    ["api.anthropic.com", "ftp://x.example", "https://", "https://x.example?a=b", "https://x.example#f", "http://[::1",
     "https://x.example:99999", "https://x.example:http", "//x.example", "https:/x.example"],
)  # fmt: skip
def test_a_base_url_that_is_none_is_told(tmp_path: Path, url: str) -> None:
    (told,) = faults(tmp_path, f"upstreams: {{ x: {{ base_url: '{url}' }} }}\n")
    assert told == (
        "config.yaml:1:29 upstreams.x.base_url: expected a URL such as https://api.example.com/anthropic, without query"
    )


def test_an_upstream_without_a_base_url_is_told(tmp_path: Path) -> None:
    (told,) = faults(tmp_path, "upstreams: { x: { dialect: compatible } }\n")
    assert "upstreams.x.base_url: expected a URL" in told


@pytest.mark.parametrize("url", ["https://user@x.example", "https://user:password@x.example"])
def test_a_base_url_with_a_user_is_refused_and_not_quoted(tmp_path: Path, url: str) -> None:
    (told,) = faults(tmp_path, f"upstreams: {{ x: {{ base_url: '{url}' }} }}\n")
    assert "upstreams.x.base_url: expected a URL without user or password" in told
    assert "user@" not in told
    assert ":password@" not in told


LOGINS = ["client", "keychain", "file", "env:CLAUDE_CODE_OAUTH_TOKEN", "keyring:setup-token"]


@pytest.mark.parametrize("source", LOGINS)
@pytest.mark.parametrize("dialect", ["compatible", "minimax"])
def test_a_login_is_refused_for_an_upstream_of_another_provider(tmp_path: Path, source: str, dialect: str) -> None:
    text = (
        f"credentials: {{ mine: {{ sources: [env:X, '{source}'] }} }}\n"
        f"upstreams: {{ x: {{ base_url: 'https://x.example', credential: mine, dialect: {dialect} }} }}\n"
    )
    (told,) = faults(tmp_path, text)
    assert told.startswith(f"config.yaml:2:62 upstreams.x.credential: 'mine' has the source {source}, a Claude login")


FOREIGN = [
    "https://x.example",
    "https://api.anthropic.com.x.example",
    "https://anthropic.com",
    "https://x.example/api.anthropic.com",
    "http://api.anthropic.com",
    "http://192.168.1.5:8080",
    "http://localhost.x.example",
]


@pytest.mark.parametrize("url", FOREIGN)
@pytest.mark.parametrize("source", LOGINS)
def test_a_login_is_refused_for_any_other_host_than_anthropics(tmp_path: Path, source: str, url: str) -> None:
    text = f"credentials: {{ claude: {{ sources: ['{source}'] }} }}\nupstreams: {{ claude: {{ base_url: '{url}' }} }}\n"
    (told,) = faults(tmp_path, text)
    assert told.startswith(f"config.yaml:2:34 upstreams.claude.base_url: 'claude' has the source {source}, a Claude")


@pytest.mark.parametrize(
    "url", ["https://api.anthropic.com", "https://API.Anthropic.com/x", "http://127.0.0.1:9", "http://[::1]:9"]
)
def test_a_login_may_go_to_anthropic_and_to_this_machine(tmp_path: Path, url: str) -> None:
    assert loaded(tmp_path, f"upstreams: {{ claude: {{ base_url: '{url}' }} }}\n").upstreams["claude"].base_url == url


@pytest.mark.parametrize("path", ["~/.claude/.credentials.json", "/run/claude-credentials.json"])
def test_the_file_of_a_login_is_refused_for_another_provider_by_its_path_too(tmp_path: Path, path: str) -> None:
    text = (
        f"credentials: {{ mine: {{ sources: ['file:{path}'] }} }}\n"
        "upstreams: { x: { base_url: 'https://x.example', credential: mine } }\n"
    )
    (told,) = faults(tmp_path, text)
    assert "a Claude login" in told


def test_a_key_of_ones_own_may_go_to_another_gateway_of_anthropics_dialect(tmp_path: Path) -> None:
    text = (
        "credentials: { gateway: { sources: [env:GATEWAY_KEY, keyring:gateway, 'file:~/key'] } }\n"
        "upstreams: { claude: { base_url: 'https://gateway.example', credential: gateway } }\n"
    )
    assert loaded(tmp_path, text).upstreams["claude"].credential == "gateway"


@pytest.mark.parametrize("name", ["a\\nb", "é", ""])
def test_a_name_that_could_not_stand_in_a_header_is_told(tmp_path: Path, name: str) -> None:
    """An upstream's name goes to the client in `x-claude-proxy-upstream`."""
    (told,) = faults(tmp_path, f'upstreams: {{ "{name}": {{ base_url: "http://127.0.0.1:9" }} }}\n')
    assert told.startswith("config.yaml:1:14 upstreams")


def test_a_route_is_read(tmp_path: Path) -> None:
    first, second = loaded(
        tmp_path,
        "routes:\n"
        "  - { model: 'claude-*', agent: sub, background: web_search, to: [{ upstream: minimax, model: M }] }\n"
        "  - { to: [{ upstream: claude }] }\n",
    ).routes
    assert first.match == Match("claude-*", "sub", Background.WEB_SEARCH)
    assert [(target.upstream, target.model) for target in first.targets] == [("minimax", "M")]
    assert second.match == Match()


@pytest.mark.parametrize(
    ("route", "said"),
    [
        ("{ to: [] }", "routes[0].to: expected at least one target"),
        ("{ to: [{ model: x }] }", "routes[0].to[0].upstream: there is no upstream ''; known: claude, minimax"),
        ("{ to: claude }", "routes[0].to: expected a list, found 'claude'"),
        ("{ to: [claude] }", "routes[0].to[0]: expected a mapping of settings"),
        ("{ to: [{ upstream: claude, modle: x }] }", "routes[0].to[0].modle: unknown setting; did you mean 'model'?"),
        ("{ to: [{ upstream: claude }], models: x }", "routes[0].models: unknown setting; did you mean 'model'?"),
        ("{ agent: both, to: [{ upstream: claude }] }", "routes[0].agent: expected one of main, sub, found 'both'"),
        ("{ background: x, to: [{ upstream: claude }] }", "routes[0].background: expected one of title, quota_probe"),
    ],
)
def test_a_faulty_route_is_told(tmp_path: Path, route: str, said: str) -> None:
    told = faults(tmp_path, f"routes: [{route}, {{ to: [{{ upstream: claude }}] }}]\n")
    assert said in told[0]


@pytest.mark.parametrize(
    ("dialect", "base_url", "taken"),
    [
        ("anthropic", "https://api.anthropic.com", True),
        ("anthropic", "http://127.0.0.1:9", True),
        ("anthropic", "http://api.anthropic.com", False),
        ("anthropic", "https://gateway.example", False),
        ("compatible", "https://api.anthropic.com", False),
    ],
)
def test_a_login_goes_to_anthropic_and_to_this_machine_alone(dialect: str, base_url: str, taken: bool) -> None:
    assert takes_login(dialect, base_url) is taken

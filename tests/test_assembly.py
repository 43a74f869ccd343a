"""The house put together: what stands in the configuration is what is built, and a reload builds it anew."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from claude_proxy.assembly import build_routes, listed_models, supply
from claude_proxy.config.settings import CredentialSettings, Settings
from claude_proxy.credentials.credential import Credential, CredentialUnavailable, Scheme, SubscriptionGuarded
from claude_proxy.credentials.key_file import keys_directory, write_key_file
from claude_proxy.demo.table import Table
from claude_proxy.dialects.anthropic import AnthropicDialect
from claude_proxy.dialects.compatible import CompatibleDialect
from claude_proxy.dialects.minimax import MiniMaxDialect
from claude_proxy.failures import Failure, FailureKind
from claude_proxy.forwarding.retry import RetrySettings
from claude_proxy.upstreams.breaker import BreakerState
from claude_proxy.wire.messages import ClientRequest
from tests.asking import ask
from tests.claude_request import stored_login
from tests.client_requests import message_request
from tests.config.loading import loaded
from tests.in_process import LOGIN, in_process
from tests.memory_keyring import MemoryKeyring
from tests.stand_in import StandIn, fails

KEY = "FAKE-key-in-environment"
STORED = "sk-ant-oat01-FAKE-stored-login"
CLIENTS = ("Authorization", "Bearer sk-ant-oat01-FAKE-login-of-the-client")
SENTINELS = frozenset({"proxy-managed"})


async def obtained(
    sources: Sequence[str],
    request: ClientRequest,
    env: Mapping[str, str] | None = None,
    learnt: list[str] | None = None,
) -> Credential | None:
    settings = CredentialSettings("x", tuple(sources), 300.0, 5.0)
    learn = (lambda _: None) if learnt is None else learnt.append
    return await supply(settings, SENTINELS, env or {}, learn).obtain(request)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where the login's file lies, as Claude Code writes it."""
    file = tmp_path / ".claude" / ".credentials.json"
    file.parent.mkdir()
    file.write_text(stored_login(STORED))
    file.chmod(0o600)
    return tmp_path


async def test_sources_are_asked_in_the_order_in_which_they_stand(home: Path) -> None:
    env = {"HOME": str(home), "X_KEY": KEY}
    request = message_request(CLIENTS)
    first = await obtained(["env:X_KEY", "client", "file"], request, env)
    assert first is not None
    assert (first.secret, first.source, first.ours) == (KEY, "env:X_KEY", True)
    second = await obtained(["client", "env:X_KEY", "file"], request, env)
    assert second is not None
    assert not second.ours
    third = await obtained(["env:NOT_SET", "file", "client"], request, env)
    assert third is not None
    assert (third.secret, third.source) == (STORED, "file")


async def test_what_stands_behind_the_client_serves_those_who_bring_nothing(home: Path) -> None:
    env = {"HOME": str(home)}
    found = await obtained(["client", "file"], message_request(("x-api-key", "proxy-managed")), env)
    assert found is not None
    assert (found.secret, found.ours, found.stored_login) == (STORED, True, True)


async def test_a_setup_token_of_the_environment_is_a_login() -> None:
    token = "FAKE-setup-token"
    found = await obtained(["env:CLAUDE_CODE_OAUTH_TOKEN"], message_request(), {"CLAUDE_CODE_OAUTH_TOKEN": token})
    assert found is not None
    assert (found.secret, found.scheme, found.is_login) == (token, Scheme.BEARER, True)


async def test_a_stored_setup_token_is_a_login_that_is_looked_for_where_it_was_noted(
    tmp_path: Path, memory_keyring: MemoryKeyring
) -> None:
    memory_keyring.items["claude-proxy", "setup-token"] = "FAKE-setup-token"
    env = {"HOME": str(tmp_path)}
    assert await obtained(["keyring:setup-token"], message_request(), env) is None
    assert memory_keyring.asked == []
    write_key_file(keys_directory(env), "setup-token", "")
    found = await obtained(["keyring:setup-token"], message_request(), env)
    assert found is not None
    assert (found.secret, found.scheme, found.source) == ("FAKE-setup-token", Scheme.BEARER, "keyring:setup-token")
    assert found.is_login
    assert found.expires_at is None


async def test_a_key_of_our_own_is_found_in_its_file_and_in_the_keychain(
    tmp_path: Path, memory_keyring: MemoryKeyring
) -> None:
    env = {"HOME": str(tmp_path)}
    memory_keyring.items["claude-proxy", "x"] = KEY
    found = await obtained(["keyring:x"], message_request(), env)
    assert found is not None
    assert (found.secret, found.scheme, found.is_login) == (KEY, Scheme.API_KEY, False)
    write_key_file(keys_directory(env), "x", "FAKE-stored-later")
    found = await obtained(["keyring:x"], message_request(), env)
    assert found is not None
    assert found.secret == "FAKE-stored-later"


async def test_a_copied_login_is_known_by_the_name_of_its_file_and_must_be_private(tmp_path: Path) -> None:
    file = tmp_path / "claude-credentials.json"
    file.write_text(stored_login("FAKE-another-shape", expiresAt=4_000_000_000_000))
    file.chmod(0o600)
    found = await obtained([f"file:{file}"], message_request())
    assert found is not None
    assert (found.secret, found.is_login, found.expires_at) == ("FAKE-another-shape", True, 4_000_000_000.0)
    other = message_request(headers=(("User-Agent", "curl/8"), ("Content-Type", "application/json")))
    with pytest.raises(SubscriptionGuarded):
        await obtained([f"file:{file}"], other)
    file.chmod(0o644)
    with pytest.raises(CredentialUnavailable, match="chmod 600"):
        await obtained([f"file:{file}"], message_request())


async def test_a_key_may_lie_in_a_private_file_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"  {KEY}\n")
    file.chmod(0o600)
    found = await obtained([f"file:{file}"], message_request())
    assert found is not None
    assert (found.secret, found.scheme) == (KEY, Scheme.API_KEY)
    file.chmod(0o644)
    with pytest.raises(CredentialUnavailable, match="can be read by others"):
        await obtained([f"file:{file}"], message_request())


async def test_an_empty_file_holds_no_key(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("\n")
    file.chmod(0o600)
    assert await obtained([f"file:{file}"], message_request()) is None


async def test_the_logins_file_is_looked_for_in_claude_codes_own_directory(home: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ".credentials.json").write_text(stored_login("sk-ant-oat01-FAKE-elsewhere"))
    env = {"HOME": str(home), "CLAUDE_CONFIG_DIR": str(elsewhere)}
    found = await obtained(["file"], message_request(), env)
    assert found is not None
    assert found.secret == "sk-ant-oat01-FAKE-elsewhere"
    # Seen with 2.1.197: secrets alone may lie elsewhere still.
    env = {"HOME": str(home), "CLAUDE_CONFIG_DIR": str(tmp_path), "CLAUDE_SECURESTORAGE_CONFIG_DIR": str(elsewhere)}
    assert await obtained(["file"], message_request(), env) == found


async def test_a_stored_login_serves_claude_code_alone(home: Path) -> None:
    other = message_request(headers=(("User-Agent", "curl/8"), ("Content-Type", "application/json")))
    with pytest.raises(SubscriptionGuarded):
        await obtained(["client", "file"], other, {"HOME": str(home)})


async def test_every_secret_that_is_read_is_learnt_so_that_no_log_shows_it(home: Path) -> None:
    learnt: list[str] = []
    await obtained(["file"], message_request(), {"HOME": str(home)}, learnt)
    await obtained(["env:X_KEY"], message_request(), {"X_KEY": KEY}, learnt)
    assert learnt == [STORED, KEY]


@pytest.mark.parametrize(
    ("sources", "refresh"),
    [(["client", "file"], "delegate"), (["keychain"], "delegate"), (["client", "env:X", "file:/key"], None)],
)
def test_only_where_a_login_is_stored_is_there_one_to_renew(sources: list[str], refresh: str | None) -> None:
    settings = CredentialSettings("x", tuple(sources), 300.0, 5.0)
    assert supply(settings, SENTINELS, {}, lambda _: None).state().refresh == refresh


async def test_without_sources_there_is_no_credential() -> None:
    assert await obtained([], message_request(CLIENTS)) is None


# --- routes --------------------------------------------------------------------------------------------


def settings_of(home: Path, text: str = "", env: Mapping[str, str] | None = None) -> Settings:
    return loaded(home, text, env)


def test_each_upstream_speaks_the_dialect_that_was_configured(tmp_path: Path) -> None:
    text = "upstreams: { other: { base_url: 'http://127.0.0.1:9', context_window: 5000 } }\n"
    upstreams = build_routes(settings_of(tmp_path, text), {}, lambda _: None).upstreams
    kinds = {name: type(upstream.dialect) for name, upstream in upstreams.items()}
    assert kinds == {"claude": AnthropicDialect, "minimax": MiniMaxDialect, "other": CompatibleDialect}
    assert {name: upstream.native for name, upstream in upstreams.items()} == {
        "claude": True,
        "minimax": False,
        "other": False,
    }


def test_only_where_the_client_is_a_source_may_its_login_pass(tmp_path: Path) -> None:
    text = "upstreams: { other: { base_url: 'http://127.0.0.1:9' } }\n"
    upstreams = build_routes(settings_of(tmp_path, text), {}, lambda _: None).upstreams
    passing = {name: (upstream.pass_through, upstream.anonymous) for name, upstream in upstreams.items()}
    assert passing == {"claude": (True, False), "minimax": (False, False), "other": (False, True)}
    assert upstreams["other"].credential == "none"
    assert (upstreams["other"].sources, upstreams["minimax"].sources[-1]) == ((), "keyring:minimax")


def test_upstreams_with_one_credential_share_its_store(tmp_path: Path) -> None:
    """So that many upstreams cause one read."""
    text = "upstreams: { again: { base_url: 'http://127.0.0.1:9', dialect: anthropic, credential: claude } }\n"
    upstreams = build_routes(settings_of(tmp_path, text), {}, lambda _: None).upstreams
    assert upstreams["again"].supply is upstreams["claude"].supply
    assert upstreams["again"].breaker is not upstreams["claude"].breaker


def test_the_access_token_counts_as_a_sentinel_and_is_never_forwarded(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "sentinels: [placeholder]\n", {"AUTH_TOKEN": "FAKE-access"})
    table = build_routes(settings, {}, lambda _: None)
    assert table.sentinels == {"placeholder", "FAKE-access"}
    assert table.upstreams["claude"].sentinels == table.sentinels


def test_models_are_those_of_the_configuration_and_those_that_routes_name(tmp_path: Path) -> None:
    text = """
models: { shown: Shown, claude-fable-5-2: null }
routes:
  - { model: exact, to: [{ upstream: claude, model: renamed }] }
  - { model: 'glob-*', to: [{ upstream: claude }] }
  - { model: shown, to: [{ upstream: claude }] }
  - { to: [{ upstream: claude }] }
"""
    models = listed_models(settings_of(tmp_path, text))
    assert models["shown"] == "Shown"
    assert (models["exact"], models["renamed"]) == ("exact", "renamed")
    assert "glob-*" not in models


# --- the whole -----------------------------------------------------------------------------------------


async def test_a_reload_keeps_each_breaker_by_its_name_and_takes_over_the_rest(tmp_path: Path) -> None:
    async with StandIn() as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}}
        async with in_process(tmp_path, config) as daemon:
            house = daemon.house
            before = house.forwarder.routes.upstreams
            for _ in range(house.settings.breaker.failures):
                before["claude"].breaker.failed(Failure(FailureKind.BROKEN_STREAM, "broken"))
            changed = dataclasses.replace(house.settings, retry=RetrySettings(max_retries=0), drain_timeout=1.0)
            house.reload(changed)
            after = house.forwarder.routes.upstreams
    assert house.settings == changed
    assert after["claude"] is not before["claude"]
    assert after["claude"].breaker is before["claude"].breaker
    assert after["claude"].slots is before["claude"].slots
    assert after["claude"].breaker.state is BreakerState.OPEN


async def test_a_reload_puts_other_retries_in_force(tmp_path: Path) -> None:
    async with StandIn(fails(529, "overloaded_error")) as upstream:
        retry = {"first_wait": "1ms", "max_wait": "1ms", "max_retries": 2}
        config = {"upstreams": {"claude": {"base_url": upstream.url}}, "retry": retry}
        async with in_process(tmp_path, config) as daemon:
            body = {"model": "claude-x", "messages": []}
            await ask(f"{daemon.url}/v1/messages", body, LOGIN)
            assert len(upstream.received) == 3
            daemon.house.reload(dataclasses.replace(daemon.house.settings, retry=RetrySettings(max_retries=0)))
            await ask(f"{daemon.url}/v1/messages", body, LOGIN)
            assert len(upstream.received) == 4


async def test_the_state_of_the_house_is_in_its_metrics(tmp_path: Path, home: Path) -> None:
    async with StandIn() as upstream:
        config = {
            "upstreams": {"claude": {"base_url": upstream.url}},
            "credentials": {"claude": {"sources": ["file"]}},
        }
        async with in_process(tmp_path, config) as daemon:
            headers = dict(message_request().headers)
            await ask(f"{daemon.url}/v1/messages", {"model": "claude-opus-4-8", "messages": []}, headers)
            metrics = (await ask(f"{daemon.url}/metrics", method="GET")).body.decode()
    lines = metrics.splitlines()
    assert 'claude_proxy_credential_reads_total{credential="claude",source="file"} 1.0' in lines
    assert 'claude_proxy_circuit_state{state="closed",upstream="claude"} 1.0' in lines
    assert 'claude_proxy_circuit_state{state="open",upstream="claude"} 0.0' in lines
    assert "claude_proxy_requests_in_flight 0.0" in lines
    assert 'model="claude-opus-4-8"' in metrics


async def test_the_access_token_is_learnt_so_that_no_log_shows_it(tmp_path: Path) -> None:
    token = "FAKE-access-token"
    async with StandIn(fails(400, "invalid_request_error", f"what is {token}?")) as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}}
        async with in_process(tmp_path, config, {"AUTH_TOKEN": token}) as daemon:
            headers = {**LOGIN, "x-claude-proxy-token": token}
            reply = await ask(f"{daemon.url}/v1/messages", {"model": "x", "messages": []}, headers)
            assert reply.status == 400
            assert daemon.logged("exchange")
            assert token not in json.dumps(daemon.records)


async def test_a_reload_keeps_who_may_come_in_and_what_is_never_forwarded(tmp_path: Path) -> None:
    """The door keeps its token until a restart, so the token must stay known as ours for as long."""
    async with StandIn() as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}}
        async with in_process(tmp_path, config) as daemon:
            access = dataclasses.replace(daemon.house.settings.access, token="another-access-token", header="x-door")
            was = daemon.house.settings.access
            daemon.house.reload(dataclasses.replace(daemon.house.settings, access=access))
            assert daemon.house.settings.access == was


async def test_a_reload_forgets_the_breaker_of_another_address(tmp_path: Path) -> None:
    async with StandIn() as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}}
        async with in_process(tmp_path, config) as daemon:
            house = daemon.house
            for _ in range(house.settings.breaker.failures):
                house.forwarder.routes.upstreams["claude"].breaker.failed(Failure(FailureKind.BROKEN_STREAM, "broken"))
            claude = dataclasses.replace(house.settings.upstreams["claude"], base_url="http://127.0.0.1:9")
            upstreams = {**house.settings.upstreams, "claude": claude}
            house.reload(dataclasses.replace(house.settings, upstreams=upstreams))
            assert house.forwarder.routes.upstreams["claude"].breaker.state is BreakerState.CLOSED


async def test_an_observer_that_is_handed_in_is_told_too_after_a_reload_as_well(tmp_path: Path) -> None:
    told: list[str] = []
    async with StandIn() as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}}
        async with in_process(tmp_path, config, observers=[Table(told.append)]) as daemon:
            for _ in range(2):
                await ask(f"{daemon.url}/v1/messages", {"model": "x", "messages": []}, LOGIN)
                daemon.house.reload(daemon.house.settings)
            assert len(daemon.logged("exchange")) == len(told) == 2


async def test_the_house_shows_no_secret_of_its_environment(tmp_path: Path) -> None:
    async with in_process(tmp_path, {}) as daemon:
        house = dataclasses.replace(daemon.house, environment={"SOME_KEY": "CANARY-KEY"})
        assert "CANARY-KEY" not in repr(house)

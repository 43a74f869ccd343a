"""The house put together: what stands in the configuration is what is built, and a reload builds it anew."""

import json
import logging
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
import trustme
from msgspec.structs import replace

from claude_proxy.assembly import build_routes, listed_models
from claude_proxy.config.settings import Settings
from claude_proxy.demo.table import Table
from claude_proxy.dialects.anthropic import AnthropicDialect
from claude_proxy.dialects.compatible import CompatibleDialect
from claude_proxy.dialects.minimax import MiniMaxDialect
from claude_proxy.failures import Failure, FailureKind
from claude_proxy.forwarding.retry import RetrySettings
from claude_proxy.logline import REDACTED, say
from claude_proxy.upstreams.breaker import BreakerState
from tests.asking import ask
from tests.claude_request import stored_login
from tests.client_requests import message_request
from tests.config.loading import loaded
from tests.imported_where import importing
from tests.in_process import LOGIN, in_process
from tests.stand_in import StandIn, fails

KEY = "FAKE-key-in-environment"
STORED = "sk-ant-oat01-FAKE-stored-login"
CLIENTS = ("Authorization", "Bearer sk-ant-oat01-FAKE-login-of-the-client")
SENTINELS = frozenset({"proxy-managed"})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where the login's file lies, as Claude Code writes it."""
    file = tmp_path / ".claude" / ".credentials.json"
    file.parent.mkdir()
    file.write_text(stored_login(STORED))
    file.chmod(0o600)
    return tmp_path


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
            changed = replace(house.settings, retry=RetrySettings(max_retries=0), drain_timeout=1.0)
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
            daemon.house.reload(replace(daemon.house.settings, retry=RetrySettings(max_retries=0)))
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


async def test_the_first_scrape_s_library_is_imported_beside_the_loop(tmp_path: Path) -> None:
    async with in_process(tmp_path, {}) as daemon:
        with importing("claude_proxy.observers.scrape") as threads:
            reply = await ask(f"{daemon.url}/metrics", method="GET")
    assert reply.status == 200
    assert len(threads) == 1
    assert threads[0] is not threading.current_thread()


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


async def test_a_way_out_is_made_ready_with_a_reload_and_its_login_is_learnt(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(bundle)
    env = {"PROXY_LOGIN": "tester:FAKE-password-of-a-proxy"}
    way = f"proxy: 'http://proxy.example:1', proxy_auth: {{ env: PROXY_LOGIN }}, ca_bundle: {bundle}"
    async with in_process(tmp_path, {}, env) as daemon:
        pool = daemon.house.transport._pool
        assert not pool._trusting  # which who serves begins
        daemon.house.read_ahead()
        assert list(pool._trusting) == [""]
        daemon.house.reload(loaded(tmp_path, f"upstreams: {{ claude: {{ {way} }} }}", env))
        egress = daemon.house.forwarder.routes.upstreams["claude"].transport.egress
        assert egress is not None
        assert set(pool._trusting) == {"", egress.authorities}
        say(logging.getLogger("claude_proxy"), logging.INFO, "told", text="FAKE-password-of-a-proxy")
        assert daemon.logged("told")[0]["text"] == REDACTED
        daemon.house.reload(loaded(tmp_path, ""))
        assert list(pool._trusting) == [""]


async def test_a_reload_keeps_who_may_come_in_and_what_is_never_forwarded(tmp_path: Path) -> None:
    """The door keeps its token until a restart, so the token must stay known as ours for as long."""
    async with StandIn() as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}}
        async with in_process(tmp_path, config) as daemon:
            access = replace(daemon.house.settings.access, token="another-access-token", header="x-door")
            was = daemon.house.settings.access
            daemon.house.reload(replace(daemon.house.settings, access=access))
            assert daemon.house.settings.access == was


async def test_a_reload_forgets_the_breaker_of_another_address(tmp_path: Path) -> None:
    async with StandIn() as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}}
        async with in_process(tmp_path, config) as daemon:
            house = daemon.house
            for _ in range(house.settings.breaker.failures):
                house.forwarder.routes.upstreams["claude"].breaker.failed(Failure(FailureKind.BROKEN_STREAM, "broken"))
            claude = replace(house.settings.upstreams["claude"], base_url="http://127.0.0.1:9")
            upstreams = {**house.settings.upstreams, "claude": claude}
            house.reload(replace(house.settings, upstreams=upstreams))
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
        house = replace(daemon.house, environment={"SOME_KEY": "CANARY-KEY"})
        assert "CANARY-KEY" not in repr(house)

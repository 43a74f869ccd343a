"""`status` asks the daemon, looks into the stores for what it does not know, and ends with a code that says it all."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from claude_proxy import __version__
from tests.asking import ask
from tests.claude_code import EMAIL
from tests.claude_request import claude_body, claude_headers, stored_login
from tests.commands.invoking import as_json, configured, run, run_beside
from tests.in_process import LOGIN, InProcess, in_process
from tests.memory_keyring import MemoryKeyring
from tests.paths.logins import write_login_file
from tests.paths.quota_headers import WARNING, headers
from tests.stand_in import StandIn, fails, replies, says

TOKEN = "sk-ant-oat01-FAKE-stored-login"
REFRESH = "sk-ant-ort01-FAKE-refresh"
EXPIRES = 4_000_000_000_000
TIER = "default_claude_max_5x"
STORED = {"sources": ["file"]}


def claudes_home(home: Path, **fields: Any) -> None:
    """What Claude Code has stored of a login and its account."""
    write_login_file(home / ".claude", stored_login(TOKEN, REFRESH, expiresAt=EXPIRES, rateLimitTier=TIER, **fields))
    account = {"emailAddress": EMAIL, "organizationName": "Testers", "accountUuid": "x"}
    (home / ".claude.json").write_text(json.dumps({"oauthAccount": account}))


def beside(daemon: InProcess, home: Path) -> str:
    return configured(home, listen={"port": daemon.port})


# --- a daemon that answers -------------------------------------------------------------------------------


async def test_the_clients_own_login_is_told_with_plan_and_account_from_claude_codes_store(home: Path) -> None:
    claudes_home(home)
    async with in_process(home, {}) as daemon:
        result = await run_beside("status", "--json", "--config", beside(daemon, home))
    told = as_json(result)
    assert (result.exit_code, told["exit_code"]) == (0, 0)
    assert result.stderr == ""
    login = told["logins"][0]
    assert (login["state"], login["source"], login["told_by"]) == ("pass-through", "client", "daemon")
    assert (login["kind"], login["refreshed_by"], login["expires_at"]) == ("claude-code", "claude-code", EXPIRES / 1000)
    assert login["plan"] == {"subscription": "max", "rate_limit_tier": TIER, "expires_at": EXPIRES / 1000}
    assert login["account"] == {"email": EMAIL, "name": None, "organization": "Testers"}
    is_daemon = told["daemon"]
    assert (is_daemon["state"], is_daemon["version"], is_daemon["url"]) == ("up", __version__, daemon.url)
    assert is_daemon["pid"] > 0
    assert "FAKE-" not in result.output


async def test_in_words_each_thing_has_its_line(home: Path) -> None:
    claudes_home(home)
    async with in_process(home, {}) as daemon:
        result = await run_beside("status", "--config", beside(daemon, home))
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["Daemon", "Login", "Quota", "Key"]
    assert f"plan max ({TIER}) · {EMAIL} · Testers" in result.stdout
    assert "Key       minimax: missing, nothing in env:FAKE_MINIMAX_KEY" in result.stdout
    assert "FAKE-" not in result.output


async def test_a_stored_login_that_the_daemon_has_read_is_told_in_its_words(home: Path) -> None:
    claudes_home(home)
    async with StandIn() as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}, "credentials": {"claude": STORED}}
        async with in_process(home, config) as daemon:
            await ask(f"{daemon.url}/v1/messages", claude_body(), claude_headers())
            result = await run_beside("status", "--json", "--config", beside(daemon, home))
    login = as_json(result)["logins"][0]
    assert (login["state"], login["source"], login["told_by"]) == ("present", "file", "daemon")
    assert login["expires_at"] == EXPIRES / 1000
    assert result.exit_code == 0


@pytest.mark.parametrize(("is_there", "state", "code"), [(True, "present", 0), (False, "absent", 4)])
async def test_what_the_daemon_has_not_read_yet_is_looked_up(
    home: Path, no_keyring: None, is_there: bool, state: str, code: int
) -> None:
    if is_there:
        claudes_home(home)
    async with in_process(home, {"credentials": {"claude": STORED}}) as daemon:
        result = await run_beside("status", "--json", "--config", beside(daemon, home))
    login = as_json(result)["logins"][0]
    assert (login["state"], login["told_by"], result.exit_code) == (state, "store", code)


async def test_an_api_key_is_named_as_what_it_is(home: Path) -> None:
    config = {"credentials": {"claude": {"sources": ["env:REAL_ANTHROPIC_API_KEY", "client"]}}}
    async with in_process(home, config, {"REAL_ANTHROPIC_API_KEY": "FAKE-api-key"}) as daemon:
        result = await run_beside("status", "--config", beside(daemon, home))
    assert "API key from env:REAL_ANTHROPIC_API_KEY · no plan" in result.stdout
    assert "FAKE-" not in result.output


async def test_an_open_breaker_is_told_with_its_reason_and_degrades(home: Path) -> None:
    async with (
        StandIn(fails(429, "rate_limit_error", "slow down", [("retry-after", "900")])) as upstream,
        in_process(home, {"upstreams": {"claude": {"base_url": upstream.url}}}) as daemon,
    ):
        await ask(f"{daemon.url}/v1/messages", claude_body(), LOGIN)
        file = beside(daemon, home)
        result = await run_beside("status", "--json", "--config", file)
        words = await run_beside("status", "--config", file)
    (breaker,) = as_json(result)["breakers"]
    assert (breaker["upstream"], breaker["state"], breaker["reason"]) == ("claude", "open", "slow down")
    assert result.exit_code == words.exit_code == 1
    assert "Breaker   claude is open for claude-sonnet-4-5: slow down; next try in" in words.stdout


async def test_a_draining_daemon_is_degraded(home: Path) -> None:
    async with in_process(home, {}) as daemon:
        daemon.house.drain.begin()
        result = await run_beside("status", "--config", beside(daemon, home))
    assert result.exit_code == 1
    assert result.stdout.startswith("Daemon    draining")


def health(**more: Any) -> bytes:
    """What a daemon of another version might say."""
    upstream = {"base_url": "x", "credential": "claude", "breaker": {"state": "closed", "parts": []}}
    credential = {"state": "present", "source": "keychain", "detail": None, "expires_at": None}
    body = {"status": "healthy", "version": "0.0.1", "upstreams": {"claude": upstream}, **more}
    return json.dumps({"credentials": {"claude": credential}, **body}).encode()


async def heard(home: Path, body: bytes, *options: str) -> Any:
    async with StandIn(replies(200, body)) as daemon:
        return await run_beside("status", *options, "--config", configured(home, listen={"port": daemon.port}))


async def test_a_daemon_of_another_version_is_told_with_the_remedy(home: Path, no_keyring: None) -> None:
    result = await heard(home, health())
    assert result.exit_code == 0
    assert f"version 0.0.1, this command of {__version__}: restart the daemon" in result.stderr
    assert "Login     Claude Code's own from keychain" in result.stdout


async def test_quota_is_shown_as_the_daemon_tells_it(home: Path, no_keyring: None) -> None:
    windows = {"5h": {"status": "allowed", "utilization": 0.42, "resets_at": None, "surpassed_threshold": None}}
    quota = {"claude": {"status": "allowed", "windows": windows, "age_seconds": 12.0, "overage": None}}
    result = await heard(home, health(quota=quota), "--json")
    assert as_json(result)["quota"] == quota
    words = await heard(home, health(quota=quota))
    assert "Quota     claude: 5h 42 % · allowed · read 12 s ago" in words.stdout


async def test_what_is_left_of_the_plan_is_told_as_the_daemon_read_it_from_an_answer(home: Path) -> None:
    async with (
        StandIn(says("hello", headers(WARNING))) as upstream,
        in_process(home, {"upstreams": {"claude": {"base_url": upstream.url}}}) as daemon,
    ):
        await ask(f"{daemon.url}/v1/messages", claude_body(), LOGIN)
        file = beside(daemon, home)
        result = await run_beside("status", "--json", "--config", file)
        words = await run_beside("status", "--config", file)
    quota = as_json(result)["quota"]["claude"]
    assert (quota["status"], quota["windows"]["5h"]["utilization"]) == ("allowed_warning", 0.92)
    (line,) = [line for line in words.stdout.splitlines() if line.startswith("Quota")]
    assert "claude: 5h 92 % (allowed_warning, resets 2100-01-01" in line
    assert "· 7d 12 % (resets 2100-01-01" in line
    assert "overage rejected, org_level_disabled · allowed_warning · read " in line
    assert result.exit_code == words.exit_code == 0


async def test_a_login_that_was_refused_for_good_is_told_by_the_exit_code(home: Path) -> None:
    claudes_home(home)
    disabled = fails(400, "invalid_request_error", "This organization has been disabled.")
    async with StandIn(disabled) as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}, "credentials": {"claude": STORED}}
        async with in_process(home, config) as daemon:
            await ask(f"{daemon.url}/v1/messages", claude_body(), claude_headers())
            result = await run_beside("status", "--config", beside(daemon, home))
    assert result.exit_code == 4
    assert "Login     Claude Code's own from file: refused" in result.stdout
    assert "has been disabled" in result.stdout


async def test_a_daemon_that_has_logins_renewed_says_so(home: Path, no_keyring: None) -> None:
    credential = {"state": "present", "source": "file", "refresh": "delegate", "last_refresh": None}
    result = await heard(home, health(credentials={"claude": credential}), "--json")
    login = as_json(result)["logins"][0]
    assert (login["refreshed_by"], login["refresh"]) == ("daemon", "delegate")


async def test_an_upstream_that_asks_for_no_credential_has_none_to_tell(home: Path) -> None:
    config = {"upstreams": {"local": {"preset": "ollama"}}}
    async with in_process(home, config) as daemon:
        result = await run_beside("status", "--json", "--config", beside(daemon, home))
    assert [key["credential"] for key in as_json(result)["keys"]] == ["minimax"]


async def test_on_macos_the_plan_of_the_clients_login_lies_in_the_keychain(
    home: Path, memory_keyring: MemoryKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = home / "security"
    (home / "item").write_text(stored_login(TOKEN, subscriptionType="team"))
    program.write_text(f"#!/bin/sh\ncat '{home / 'item'}'\n")
    program.chmod(0o700)
    monkeypatch.setattr("claude_proxy.credentials.keychain.SECURITY", str(program))
    async with in_process(home, {}) as daemon:
        file = beside(daemon, home)
        monkeypatch.setattr(sys, "platform", "darwin")
        result = await run_beside("status", "--json", "--config", file)
        program.write_text("#!/bin/sh\nexit 36\n")
        locked = await run_beside("status", "--json", "--config", file)
    assert as_json(result)["logins"][0]["plan"]["subscription"] == "team"
    login = as_json(locked)["logins"][0]
    assert login["plan"] is None
    assert "the keychain is locked" in login["detail"]
    assert memory_keyring.asked == []


# --- a daemon that does not ------------------------------------------------------------------------------


def test_without_a_daemon_the_stores_are_looked_into_and_that_is_said(home: Path, no_keyring: None) -> None:
    claudes_home(home)
    result = run("status", "--json", "--config", configured(home, credentials={"claude": STORED}))
    told = as_json(result)
    assert (result.exit_code, told["daemon"]["state"]) == (3, "down")
    login = told["logins"][0]
    assert (login["state"], login["source"], login["told_by"]) == ("present", "file", "store")
    assert login["plan"]["rate_limit_tier"] == TIER
    assert [(key["credential"], key["state"], key["told_by"]) for key in told["keys"]] == [
        ("minimax", "absent", "store")
    ]
    assert "are what this command found itself" in result.stderr
    assert "FAKE-" not in result.output


def test_a_key_of_another_provider_is_found_in_its_place(home: Path, memory_keyring: MemoryKeyring) -> None:
    memory_keyring.items["claude-proxy", "minimax"] = "FAKE-key"
    result = run("status", "--config", configured(home))
    assert "Key       minimax: present from keyring:minimax" in result.stdout
    assert "FAKE-" not in result.output


def test_a_copied_login_is_renewed_by_whoever_copies_it_and_may_be_another_account(
    home: Path, no_keyring: None
) -> None:
    claudes_home(home)
    copy = home / "claude-credentials.json"
    copy.write_text(stored_login(TOKEN, subscriptionType="pro"))
    copy.chmod(0o600)
    file = configured(home, credentials={"claude": {"sources": [f"file:{copy}"]}})
    login = as_json(run("status", "--json", "--config", file))["logins"][0]
    assert (login["state"], login["refreshed_by"], login["account"]) == ("present", "writer", None)
    assert login["plan"]["subscription"] == "pro"


async def test_another_program_on_the_port_is_no_daemon(home: Path, no_keyring: None) -> None:
    result = await heard(home, b"<html>")
    assert result.exit_code == 3
    assert "another program answers there" in result.stdout
    assert "Another program has the port of claude-proxy" in result.stderr
    assert "Nothing answers" not in result.stderr


# --- the configuration -----------------------------------------------------------------------------------


def test_a_faulty_configuration_is_told_where_no_daemon_is(home: Path) -> None:
    result = run("status", "--config", configured(home, drain_timeout="soon"))
    assert (result.exit_code, result.stdout) == (78, "")
    assert "drain_timeout: expected a duration" in result.stderr


def test_an_address_that_cannot_be_read_is_told(home: Path) -> None:
    assert run("status", "--config", configured(home, listen={"port": "many"})).exit_code == 78


def test_the_help_lists_every_exit_code(home: Path) -> None:
    shown = " ".join(run("status", "--help").stdout.split())
    for words in ("0 up", "1 degraded", "3 not running", "4 the credential for Claude", "78 faulty configuration"):
        assert words in shown

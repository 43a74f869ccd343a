"""Anthropic is asked for the profile and the usage of the login in use, and a login goes nowhere else."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import trustme

from claude_proxy import __version__
from tests.claude_request import bearer_of, stored_login
from tests.commands.invoking import as_json, configured, run, run_beside
from tests.forward_proxy import ForwardProxy
from tests.memory_keyring import MemoryKeyring
from tests.paths.logins import write_login_file
from tests.paths.test_tls import tls
from tests.stand_in import Answer, Received, StandIn, Wire, fails, replies

TOKEN = "sk-ant-oat01-FAKE-stored-login"
SETUP_TOKEN = "sk-ant-oat01-FAKE-setup-token"

PROFILE = {
    "account": {"uuid": "a", "email": "tester@mailbox.invalid", "display_name": "T", "has_claude_max": True, "x": [1]},
    "organization": {"uuid": "o", "organization_type": "claude_max", "rate_limit_tier": "default_claude_max_5x"},
    "more": "left out",
}
USAGE = {
    "five_hour": {"utilization": 42.0, "resets_at": "2100-01-01T00:00:00Z"},
    "seven_day": {"utilization": 81.0, "resets_at": None},
    "seven_day_opus": None,
    "extra_usage": {"is_enabled": False, "utilization": None},
    "limits": [{"kind": "session", "percent": 42}],
}


def anthropic(profile: Answer | None = None, usage: Answer | None = None) -> Answer:
    answers = {
        "/api/oauth/profile": profile or replies(200, json.dumps(PROFILE).encode()),
        "/api/oauth/usage": usage or replies(200, json.dumps(USAGE).encode()),
    }

    async def answer(received: Received, wire: Wire) -> None:
        await answers[received.path](received, wire)

    return answer


@pytest.fixture(autouse=True)
def nothing_else(no_keyring: None) -> None:
    """No keychain but where a test has one."""


def logged_in(home: Path, **fields: Any) -> None:
    write_login_file(home / ".claude", stored_login(TOKEN, **fields))


async def probed(home: Path, upstream: StandIn, **credential: Any) -> Any:
    """What the only login's probe says, and the exit code."""
    more = {"credentials": {"claude": credential}} if credential else {}
    file = configured(home, **more)
    result = await run_beside("status", "--json", "--probe", "--probe-url", upstream.url, "--config", file)
    assert "FAKE" not in result.output
    return as_json(result)["logins"][0]["probe"]


async def test_both_endpoints_are_asked_once_with_the_login_and_under_our_own_name(home: Path) -> None:
    logged_in(home)
    async with StandIn(anthropic()) as upstream:
        probe = await probed(home, upstream)
    assert [(request.method, request.target) for request in upstream.received] == [
        ("GET", "/api/oauth/profile"),
        ("GET", "/api/oauth/usage"),
    ]
    for request in upstream.received:
        assert bearer_of(request) == TOKEN
        assert request.header("anthropic-beta") == "oauth-2025-04-20"
        assert request.header("user-agent") == f"claude-proxy/{__version__}"
    assert probe["refused"] is False
    account = {"uuid": "a", "email": "tester@mailbox.invalid", "display_name": "T", "has_claude_max": True}
    assert probe["profile"] == {"status": 200, "account": account, "organization": PROFILE["organization"]}
    windows = {name: USAGE[name] for name in ("five_hour", "seven_day")}
    assert probe["usage"]["windows"] == windows
    assert (probe["usage"]["extra_usage"], probe["usage"]["limits"]) == (USAGE["extra_usage"], USAGE["limits"])


async def test_in_words_it_adds_what_was_answered(home: Path) -> None:
    logged_in(home)
    async with StandIn(anthropic()) as upstream:
        result = await run_beside("status", "--probe", "--probe-url", upstream.url, "--config", configured(home))
    assert "Probe     profile: tester@mailbox.invalid · T · claude_max · default_claude_max_5x" in result.stdout
    assert "Probe     usage: five_hour 42 % (resets 2" in result.stdout


async def test_without_being_told_to_nobody_is_asked(home: Path) -> None:
    logged_in(home)
    async with StandIn(anthropic()) as upstream:
        await run_beside("status", "--probe-url", upstream.url, "--config", configured(home))
    assert upstream.connections == 0


@pytest.mark.parametrize(
    "url",
    ["https://gateway.example", "http://api.anthropic.com", "https://api.anthropic.com.x.example", "http://10.0.0.1"],
)
def test_a_login_is_sent_to_anthropic_or_to_this_machine_alone(home: Path, url: str) -> None:
    logged_in(home)
    result = run("status", "--probe", "--probe-url", url, "--config", configured(home))
    assert result.exit_code == 2
    assert "only sent to https://api.anthropic.com or to this machine" in result.stderr


async def test_a_limit_is_told_with_the_time_to_wait(home: Path) -> None:
    limit = fails(429, "rate_limit_error", "Rate limited", [("retry-after", "2900")])
    logged_in(home)
    async with StandIn(anthropic(usage=limit)) as upstream:
        usage = (await probed(home, upstream))["usage"]
    assert usage == {"status": 429, "message": "HTTP 429: Rate limited", "retry_after": 2900}


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_login_is_told_as_such(home: Path, status: int) -> None:
    refused = fails(status, "authentication_error", f"no {TOKEN}")
    logged_in(home)
    async with StandIn(anthropic(refused, refused)) as upstream:
        probe = await probed(home, upstream)
    assert probe["refused"] is True
    assert probe["profile"]["message"] == f"HTTP {status}: no [redacted]"


async def test_a_setup_token_is_refused_by_usage_and_that_says_nothing_of_it(
    home: Path, memory_keyring: MemoryKeyring
) -> None:
    await run_beside("key", "set", "setup-token", given=SETUP_TOKEN.encode())
    refused = fails(403, "permission_error", "scope")
    async with StandIn(anthropic(refused, refused)) as upstream:
        probe = await probed(home, upstream, sources=["keyring:setup-token"])
    assert [bearer_of(request) for request in upstream.received] == [SETUP_TOKEN] * 2
    assert probe["refused"] is False
    assert probe["usage"]["message"] == "refused, as it is for every setup-token (HTTP 403: scope)"


async def test_a_dead_setup_token_is_a_refused_one(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAUDE_CODE_OAUTH_TOKEN", SETUP_TOKEN)
    refused = fails(401, "authentication_error", "revoked")
    async with StandIn(anthropic(refused, refused)) as upstream:
        probe = await probed(home, upstream, sources=["env:CLAUDE_CODE_OAUTH_TOKEN"])
    assert probe["refused"] is True


@pytest.mark.parametrize(
    ("source", "words"),
    [("env:REAL_ANTHROPIC_API_KEY", "an API key is in use"), ("file", "this command finds no login")],
)
async def test_where_no_login_is_in_use_nobody_is_asked(
    home: Path, monkeypatch: pytest.MonkeyPatch, source: str, words: str
) -> None:
    monkeypatch.setenv("REAL_ANTHROPIC_API_KEY", "FAKE-api-key")
    async with StandIn(anthropic()) as upstream:
        probe = await probed(home, upstream, sources=[source, "client"])
    assert words in probe["problem"]
    assert upstream.connections == 0


async def test_an_expired_login_is_left_to_claude_code(home: Path) -> None:
    logged_in(home, expiresAt=int(time.time() - 60) * 1000)
    async with StandIn(anthropic()) as upstream:
        probe = await probed(home, upstream)
    assert "has expired; run `claude` once" in probe["problem"]
    assert upstream.connections == 0


async def test_a_login_that_cannot_be_read_is_told(home: Path) -> None:
    write_login_file(home / ".claude", "{")
    async with StandIn(anthropic()) as upstream:
        probe = await probed(home, upstream)
    assert "does not hold valid JSON" in probe["problem"]
    assert upstream.connections == 0


ODD: dict[str, Answer] = {
    "no JSON": replies(200, b"<html>"),
    "a list": replies(200, b"[]"),
    "an error without a body": replies(500, b""),
    "an error that is a word": replies(500, b'{"error":"x"}'),
    "a redirect": replies(302, b"", [("Location", "https://x.example")]),
}


@pytest.mark.parametrize("name", ODD)
async def test_an_odd_answer_is_told_and_no_crash(home: Path, name: str) -> None:
    logged_in(home)
    async with StandIn(anthropic(ODD[name], ODD[name])) as upstream:
        probe = await probed(home, upstream)
    assert len(upstream.received) == 2
    for endpoint in ("profile", "usage"):
        assert probe[endpoint]["status"] != 200
        assert "without a message" in probe[endpoint]["message"]


async def test_an_upstream_that_hangs_up_is_told(home: Path) -> None:
    async def hang_up(_: Received, wire: Wire) -> None:
        wire.reset()

    logged_in(home)
    async with StandIn(anthropic(hang_up, hang_up)) as upstream:
        probe = await probed(home, upstream)
    assert probe["profile"]["status"] is None
    assert "did not answer" in probe["profile"]["message"]


async def test_it_takes_the_daemon_s_way_out_and_no_proxy_reads_the_login(home: Path) -> None:
    logged_in(home)
    authority = trustme.CA()
    bundle = home / "ca.pem"
    authority.cert_pem.write_to_path(bundle)
    async with (
        StandIn(anthropic(), tls(authority, "api.anthropic.com")) as upstream,
        ForwardProxy({"api.anthropic.com:443": upstream.port}) as proxy,
    ):
        (home / "proxy").write_text("me:FAKE")
        way = {"proxy": proxy.url, "proxy_auth": {"file": str(home / "proxy")}, "ca_bundle": str(bundle)}

        async def probe(**more: str) -> Any:
            file = configured(home, upstreams={"claude": {**way, **more}})
            return as_json(await run_beside("status", "--json", "--probe", "--config", file))["logins"][0]["probe"]

        proxy.wants = "Basic bWU6RkFLRQ=="
        assert (await probe())["profile"]["status"] == 200
        assert [bearer_of(request) for request in upstream.received] == [TOKEN] * 2
        assert not any(request.header("proxy-authorization") for request in upstream.received)
        assert TOKEN.encode() not in proxy.read
        proxy.leads = {}
        refused = (await probe())["profile"]
        says = f"api.anthropic.com did not answer through the proxy {proxy.url}: it answered CONNECT with 403"
        assert (refused["status"], refused["message"]) == (None, says)
        other = proxy.url.replace("http:", "https:")
        told = f"not asked: the proxy {other} is reached over TLS, which this command cannot do"
        assert await probe(proxy=other) == {"problem": told}

"""With --probe: one token where a key of your own pays, profile and usage with a login, and no login for more."""

import json
from pathlib import Path

import pytest

from claude_proxy import __version__
from tests.claude_request import stored_login
from tests.commands.test_probe import anthropic
from tests.doctor.patient import ROUTES, Clock, Patient, assert_well, finding, first, upstreams
from tests.paths.logins import write_login_file
from tests.running import running
from tests.stand_in import Received, StandIn, fails, says

TOKEN = "sk-ant-oat01-FAKE-stored-login"
KEY = "FAKE-key-of-minimax"
API_KEY = "sk-ant-api03-FAKE-own"
ACCESS = "FAKE-access-token"
CREDENTIALS = {
    "claude": {"sources": ["env:REAL_ANTHROPIC_API_KEY", "client", "file"]},
    "minimax": {"sources": ["env:FAKE_MINIMAX_KEY"]},
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_keyring: None) -> Path:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    monkeypatch.chdir(home)
    write_login_file(home / ".claude", stored_login(TOKEN, expiresAt=4_000_000_000_000))
    return home


def asked(upstream: StandIn) -> list[Received]:
    """What came in besides knocks."""
    return [received for received in upstream.received if received.method != "HEAD"]


async def test_a_key_pays_for_one_token_and_a_login_is_asked_for_profile_and_usage_alone(home: Path) -> None:
    async with StandIn(Clock().tells(anthropic())) as claude, StandIn(Clock().tells()) as minimax:
        asked_of = {**upstreams(claude.url, minimax.url), "minimax": {"base_url": minimax.url}}
        config = {"upstreams": asked_of, "credentials": CREDENTIALS, "routes": ROUTES}
        env = {"FAKE_MINIMAX_KEY": KEY}
        async with running(home, config, {**env, "AUTH_TOKEN": ACCESS}) as daemon:
            patient = Patient(home, {**config, "listen": {"port": daemon.port}}, {**env, "AUTH_TOKEN": ACCESS})
            await patient.run("enable")
            patient.env["ANTHROPIC_CUSTOM_HEADERS"] = f"x-claude-proxy-token: {ACCESS}"
            quiet = await patient.ask()
            assert_well(quiet)
            assert quiet["probed"] is False
            assert asked(claude) == asked(minimax) == []

            report = await patient.ask("--probe")
            assert_well(report)
            assert report["probed"] is True
            text = await patient.run("doctor", "--probe", "--all")
    sent = asked(minimax)[:2]
    assert [received.json()["max_tokens"] for received in sent] == [1, 1]
    assert sorted(received.header("authorization") or "" for received in sent) == ["", f"Bearer {KEY}"]
    assert [(received.method, received.target) for received in asked(claude)[:2]] == [
        ("GET", "/api/oauth/profile"),
        ("GET", "/api/oauth/usage"),
    ]
    assert {received.header("authorization") for received in asked(claude)} == {f"Bearer {TOKEN}"}
    assert asked(claude)[0].header("user-agent") == f"claude-proxy/{__version__}"
    says = finding(report, "probe.answered", "claude")["says"]
    assert says == "profile and usage are told; no model was asked, since your login is not lent to this command"
    assert (
        "has answered with one token, which your key pays for" in finding(report, "probe.answered", "minimax")["says"]
    )
    assert "which your key pays for" in text
    assert "FAKE-" not in json.dumps(report) + text


async def test_an_own_key_for_claude_is_asked_for_one_token(home: Path) -> None:
    async with StandIn(Clock().tells()) as claude:
        config = {"upstreams": upstreams(claude.url), "credentials": CREDENTIALS, "routes": ROUTES}
        env = {"REAL_ANTHROPIC_API_KEY": API_KEY}
        async with running(home, config, env) as daemon:
            patient = Patient(home, {**config, "listen": {"port": daemon.port}}, env)
            await patient.run("enable")
            assert_well(await patient.ask("--probe"))
    sent = next(received for received in asked(claude) if received.header("x-api-key"))
    assert (sent.header("x-api-key"), sent.json()["max_tokens"]) == (API_KEY, 1)
    assert not any(TOKEN in str(received.headers) for received in claude.received)


async def test_what_is_refused_then_is_named_and_no_login_stands_in_for_it(home: Path) -> None:
    async with (
        StandIn(Clock().tells(fails(401, "authentication_error", "revoked"))) as claude,
        StandIn(Clock().tells(fails(401, "authentication_error", "no such key"))) as minimax,
    ):
        asked_of = {**upstreams(claude.url), "minimax": {"base_url": minimax.url}}
        config = {"upstreams": asked_of, "credentials": CREDENTIALS, "routes": ROUTES[:1] + ROUTES[2:]}
        env = {"FAKE_MINIMAX_KEY": KEY}
        async with running(home, config, env) as daemon:
            patient = Patient(home, {**config, "listen": {"port": daemon.port}}, env)
            await patient.run("enable")
            report = await patient.ask("--probe")
    assert report["exit_code"] == 2
    found = first(report)
    assert (found["check"], found["of"], found["mark"]) == ("probe.answered", "minimax", "fail")
    assert "explain --model claude-haiku-4-5-20251001" in found["command"]
    login = finding(report, "probe.answered", "claude")
    assert (login["mark"], login["says"]) == ("fail", "the login is refused: HTTP 401: revoked")
    assert login["command"].endswith("claude-proxy login")
    assert {received.path for received in asked(claude)} == {"/api/oauth/profile", "/api/oauth/usage"}


async def test_without_a_daemon_nothing_is_sent(home: Path) -> None:
    async with StandIn(says()) as claude:
        patient = Patient(home, {"listen": {"port": 9}, "upstreams": upstreams(claude.url)})
        report = await patient.ask("--probe")
    assert finding(report, "probe.answered")["mark"] == "skip"
    assert asked(claude) == []

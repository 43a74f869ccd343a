"""An expired stored login: `claude` is run once for all who need it, and whatever comes of it is told."""

import asyncio
import json
import shlex
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.asking import ask
from tests.claude_request import SENTINEL, bearer_of, claude_body, claude_headers, stored_login
from tests.in_process import in_process
from tests.paths.logins import BEARER, CLIENT_TOKEN, login_file, message_of, say_hi, to, write_login_file
from tests.recording_keyring import ACCOUNT, CLAUDE_SERVICE, RecordingKeyring
from tests.running import eventually, running
from tests.scripted_claude import RENEWED, ScriptedClaude, expired_login, is_running
from tests.stand_in import StandIn, fails

PLACEHOLDER = claude_headers({"x-api-key": SENTINEL})
REFRESH = "CLAUDE_PROXY_CREDENTIALS__CLAUDE__REFRESH"
OLD_REFRESH_TOKEN = "sk-ant-ort01-FAKE-canary-refresh"


class Expired:
    """A home whose stored login has expired, and a `claude` that a test gives its lines."""

    def __init__(self, tmp_path: Path) -> None:
        self.home = tmp_path / "home"
        self.file = write_login_file(self.home / ".claude", expired_login(refresh_token=OLD_REFRESH_TOKEN))
        self.claude = ScriptedClaude(tmp_path / "bin")

    def env(self, **more: str) -> Mapping[str, str]:
        return {"PATH": self.claude.path, REFRESH: "delegate", **more}


@pytest.fixture
def expired(tmp_path: Path) -> Expired:
    return Expired(tmp_path)


async def refresh_of(url: str) -> tuple[str, Any]:
    told = (await ask(f"{url}/health", method="GET")).json()["credentials"]["claude"]
    return told["refresh"], told["last_refresh"]


# --- it works --------------------------------------------------------------------------------------------


async def test_a_login_in_the_file_is_renewed_and_the_request_goes_on(expired: Expired) -> None:
    expired.claude.renews(expired.file)
    async with StandIn() as claude, running(expired.home, to(claude), expired.env()) as daemon:
        assert await refresh_of(daemon.url) == ("delegate", None)
        before = time.time()
        assert (await say_hi(daemon, PLACEHOLDER)).status == 200
        assert bearer_of(claude.received[0]) == RENEWED
        who, last = await refresh_of(daemon.url)
        assert (who, last["outcome"]) == ("delegate", "renewed")
        assert before <= last["at"] <= time.time()
        default = ["-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"]
        assert expired.claude.arguments == [*default, "--setting-sources", "", "--strict-mcp-config"]


async def test_a_login_in_the_keychain_is_renewed_with_two_reads(tmp_path: Path, expired: Expired) -> None:
    expired.file.unlink()
    keychain = RecordingKeyring(tmp_path / "keychain")
    keychain.put(expired_login())
    item = f"{CLAUDE_SERVICE}/{ACCOUNT}"
    renewed = tmp_path / "items"
    renewed.write_text(json.dumps({item: stored_login(RENEWED)}))
    expired.claude.does(f"cp {shlex.quote(str(renewed))} {shlex.quote(str(tmp_path / 'keychain' / 'items'))}")
    env = expired.env(**keychain.environment)
    async with StandIn() as claude, running(expired.home, to(claude), env) as daemon:
        replies = await asyncio.gather(*(say_hi(daemon, PLACEHOLDER) for _ in range(20)))
        assert [reply.status for reply in replies] == [200] * 20
        assert {bearer_of(received) for received in claude.received} == {RENEWED}
        assert keychain.reads == [item, item]
        assert len(expired.claude.runs) == 1


async def test_another_command_may_be_configured(tmp_path: Path, expired: Expired) -> None:
    other = ScriptedClaude(tmp_path / "other")
    other.renews(expired.file)
    config = {"refresh_command": [str(other.program), "renew", "--quiet"]}
    async with StandIn() as claude, running(expired.home, to(claude, **config), expired.env()) as daemon:
        assert (await say_hi(daemon, PLACEHOLDER)).status == 200
        assert other.arguments == ["renew", "--quiet"]
        assert expired.claude.runs == []


async def test_a_login_in_use_is_renewed_before_a_request_needs_it(expired: Expired) -> None:
    soon = int((time.time() + 301) * 1000)
    write_login_file(expired.home / ".claude", stored_login(CLIENT_TOKEN, expiresAt=soon))
    expired.claude.renews(expired.file)
    config = {"credentials": {"claude": {"sources": ["client", "file"]}}}
    async with (
        StandIn() as claude,
        in_process(expired.home, {**to(claude), **config}, expired.env(), check_every=3.0) as daemon,
    ):
        assert (await ask(f"{daemon.url}/v1/messages", claude_body(), PLACEHOLDER)).status == 200
        await eventually(lambda: daemon.logged("login_refresh") != [], 20)
        assert daemon.logged("login_refresh")[0]["outcome"] == "renewed"
        assert len(claude.received) == 1
        assert (await ask(f"{daemon.url}/v1/messages", claude_body(), PLACEHOLDER)).status == 200
        assert bearer_of(claude.received[1]) == RENEWED
        assert len(expired.claude.runs) == 1


# --- what it is told, and what is kept from it -----------------------------------------------------------


async def test_no_secret_reaches_the_command_and_no_refresh_token_goes_anywhere(expired: Expired) -> None:
    canaries = {
        "ANTHROPIC_API_KEY": "CANARY-1",
        "ANTHROPIC_AUTH_TOKEN": "CANARY-2",
        "ANTHROPIC_BASE_URL": "http://CANARY-3.invalid",
        "CLAUDE_CODE_OAUTH_TOKEN_FILE": "CANARY-4",
        "HAIKU_PROVIDER_API_KEY": "CANARY-5",
        "MINIMAX_API_KEY": "CANARY-6",
        "AUTH_TOKEN": "CANARY-7",
        "DASHBOARD_PASSWORD": "CANARY-8",
        "KIMI_API_KEY": "CANARY-9",
    }
    expired.claude.renews(expired.file)
    async with StandIn() as claude:
        options = ("--log-level", "debug")
        async with running(expired.home, to(claude), expired.env(**canaries), *options) as daemon:
            reply = await say_hi(daemon, {**PLACEHOLDER, "x-claude-proxy-token": "CANARY-7"})
            assert reply.status == 200
            health = (await ask(f"{daemon.url}/health", method="GET")).body.decode()
            command = f"{dict(expired.claude.environment)} {expired.claude.arguments}"
            assert "CANARY" not in command
            assert "sk-ant-" not in command
            assert expired.claude.environment["HOME"] == str(expired.home)
            for text in (daemon.log, health, str(reply.headers), str(claude.received)):
                assert OLD_REFRESH_TOKEN not in text
                assert "sk-ant-ort" not in text
            assert RENEWED not in daemon.log + health


# --- it does not work ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "config", "words"),
    [
        ("exit 1", {}, "it ended with exit code 1"),
        ("exit 0", {}, "it ended without having renewed it"),
        ("sleep 300", {"refresh_timeout": "300ms"}, "it did not end within 0.3 s"),
        ("", {"refresh_command": ["claude-that-nobody-has"]}, "claude-that-nobody-has was not found on PATH, nor in"),
        ("", {"refresh_command": ["/nowhere/claude"]}, "/nowhere/claude was not found"),
    ],
    ids=["fails", "does nothing", "hangs", "missing", "missing at its place"],
)
async def test_what_went_wrong_is_told_with_what_to_do(
    expired: Expired, script: str, config: dict[str, Any], words: str
) -> None:
    expired.claude.does(script)
    async with (
        StandIn() as claude,
        running(expired.home, to(claude, **{"refresh": "delegate", **config}), expired.env()) as daemon,
    ):
        replies = await asyncio.gather(*(say_hi(daemon, PLACEHOLDER) for _ in range(5)))
        for reply in replies:
            assert (reply.status, reply.headers["x-claude-proxy-error"]) == (403, "no_credential")
            assert words in message_of(reply)
            assert f"the login in {expired.file} has expired or is about to; run `claude` once" in message_of(reply)
        assert claude.received == []
        assert len(expired.claude.runs) <= 1
        assert not any(is_running(pid) for pid in expired.claude.runs)
        _, last = await refresh_of(daemon.url)
        assert words in last["outcome"]
        await daemon.logged("event=login_refresh")


async def test_a_reload_does_not_make_claude_run_sooner_again(expired: Expired) -> None:
    async with StandIn() as claude, running(expired.home, to(claude), expired.env()) as daemon:
        assert (await say_hi(daemon, PLACEHOLDER)).status == 403
        daemon.signal(signal.SIGHUP)
        await daemon.logged("event=reloaded")
        reply = await say_hi(daemon, PLACEHOLDER)
        assert reply.status == 403
        assert "is not asked again for" in message_of(reply)
        assert len(expired.claude.runs) == 1


async def test_with_refresh_never_claude_is_not_run_and_the_user_told_to(expired: Expired) -> None:
    expired.claude.renews(expired.file)
    async with (
        StandIn() as claude,
        running(expired.home, to(claude, refresh="never"), expired.env(**{REFRESH: ""})) as daemon,
    ):
        reply = await say_hi(daemon, PLACEHOLDER)
        assert (reply.status, reply.headers["x-claude-proxy-error"]) == (403, "no_credential")
        assert "run `claude` once, which renews it" in message_of(reply)
        assert expired.claude.runs == []
        assert await refresh_of(daemon.url) == ("never", None)


# --- whom it does not concern ----------------------------------------------------------------------------


async def test_a_client_with_its_own_login_does_not_wait_for_it(tmp_path: Path, expired: Expired) -> None:
    go = tmp_path / "go"
    expired.claude.renews(expired.file, before=f"while [ ! -e {shlex.quote(str(go))} ]; do sleep 0.05; done")
    async with StandIn() as claude, running(expired.home, to(claude), expired.env()) as daemon:
        waiting = asyncio.create_task(say_hi(daemon, PLACEHOLDER))
        await eventually(lambda: expired.claude.runs != [])
        for _ in range(10):
            assert (await say_hi(daemon, claude_headers(BEARER))).status == 200
        assert not waiting.done()
        go.touch()
        assert (await waiting).status == 200
        assert [bearer_of(received) for received in claude.received] == [CLIENT_TOKEN] * 10 + [RENEWED]


async def test_a_refused_login_of_the_clients_own_renews_nothing_of_ours(expired: Expired) -> None:
    async with (
        StandIn(fails(401, "authentication_error", "expired")) as claude,
        running(expired.home, to(claude), expired.env()) as daemon,
    ):
        assert (await say_hi(daemon, claude_headers(BEARER))).status == 401
        assert expired.claude.runs == []


async def test_a_setup_token_is_never_renewed(expired: Expired) -> None:
    env = expired.env(CLAUDE_CODE_OAUTH_TOKEN="sk-ant-oat01-FAKE-setup")
    async with (
        StandIn(fails(401, "authentication_error", "OAuth token has expired")) as claude,
        running(expired.home, to(claude), env) as daemon,
    ):
        reply = await say_hi(daemon, PLACEHOLDER)
        assert reply.status == 403
        assert "claude setup-token" in message_of(reply)
        assert expired.claude.runs == []


async def test_other_software_cannot_make_claude_run(expired: Expired) -> None:
    async with StandIn() as claude, running(expired.home, to(claude), expired.env()) as daemon:
        reply = await say_hi(daemon, claude_headers({"x-api-key": SENTINEL}, user_agent="curl/8.14.1"))
        assert reply.status == 403
        assert "API key" in message_of(reply)
        assert expired.claude.runs == []


# --- the end ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGTERM, signal.SIGTERM]], ids=["once", "twice"])
async def test_a_daemon_that_stops_leaves_no_run_behind(expired: Expired, signals: list[int]) -> None:
    expired.claude.does("trap '' TERM INT HUP\nwhile :; do sleep 300; done")
    async with StandIn() as claude, running(expired.home, to(claude), expired.env()) as daemon:
        asking = asyncio.create_task(say_hi(daemon, PLACEHOLDER))
        await eventually(lambda: expired.claude.runs != [])
        if len(signals) == 1:
            asking.cancel()  # else the daemon waits for the answer, as it should
        await asyncio.wait([asking], timeout=0.1)
        for number in signals:
            daemon.signal(number)
            await daemon.logged("event=draining")
        assert await daemon.ended() == len(signals) - 1
        await eventually(lambda: not is_running(expired.claude.runs[0]))
        await asyncio.wait([asking])
        assert login_file(expired.home / ".claude").exists()

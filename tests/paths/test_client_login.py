"""Whose credential goes up: a configured key, the client's own login or none; what a refusal of it means."""

import sys
from pathlib import Path

import pytest

from tests.asking import ask
from tests.claude_request import BETAS, SENTINEL, bearer_of, claude_body, claude_headers, stored_login
from tests.opened_files import watched
from tests.paths.logins import (
    BEARER,
    CONFIGURED_KEY,
    KEY,
    STORED_TOKEN,
    credentials_of,
    message_of,
    say_hi,
    store_reads,
    to,
    write_login_file,
)
from tests.recording_keyring import ACCOUNT, CLAUDE_SERVICE, RecordingKeyring
from tests.running import running
from tests.stand_in import StandIn, error_body, fails, replies

# --- a configured key ----------------------------------------------------------------------------------


@pytest.mark.parametrize("brought", [BEARER, KEY, {**BEARER, **KEY}, {"x-api-key": SENTINEL}, {}])
async def test_a_configured_key_replaces_whatever_the_client_brings(tmp_path: Path, brought: dict[str, str]) -> None:
    env = {"REAL_ANTHROPIC_API_KEY": CONFIGURED_KEY}
    async with StandIn() as claude, running(tmp_path, to(claude), env) as daemon:
        reply = await say_hi(daemon, claude_headers(brought))
        assert reply.status == 200
        assert credentials_of(claude.received[0]) == [("x-api-key", CONFIGURED_KEY)]
        assert claude.received[0].header("anthropic-beta") == BETAS, "a key needs no OAuth beta"


async def test_a_configured_key_serves_clients_that_are_not_claude_code(tmp_path: Path) -> None:
    env = {"REAL_ANTHROPIC_API_KEY": CONFIGURED_KEY}
    body = {"model": "claude-sonnet-4-5", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
    async with StandIn() as claude, running(tmp_path, to(claude), env) as daemon:
        reply = await ask(daemon.url + "/v1/messages", body)
        assert reply.status == 200
        assert credentials_of(claude.received[0]) == [("x-api-key", CONFIGURED_KEY)]


async def test_a_refused_configured_key_is_a_403_that_names_it(tmp_path: Path) -> None:
    env = {"REAL_ANTHROPIC_API_KEY": CONFIGURED_KEY}
    refusal = fails(401, "authentication_error", f"invalid x-api-key {CONFIGURED_KEY}")
    async with StandIn(refusal) as claude, running(tmp_path, to(claude), env) as daemon:
        reply = await say_hi(daemon, claude_headers(BEARER))
        assert reply.status == 403, "a 401 would make the client refresh its own login for nothing"
        assert reply.headers["x-claude-proxy-error"] == "auth"
        assert "REAL_ANTHROPIC_API_KEY" in message_of(reply)
        assert CONFIGURED_KEY not in reply.body.decode()
        assert len(claude.received) == 1


# --- the client's own login ----------------------------------------------------------------------------


@pytest.mark.parametrize("brought", [BEARER, KEY, {**BEARER, **KEY}], ids=["bearer", "key", "both"])
async def test_the_clients_own_credential_is_handed_on_as_it_came(tmp_path: Path, brought: dict[str, str]) -> None:
    env = {"CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-FAKE-setup"}
    sent = claude_headers(brought)
    async with StandIn() as claude, running(tmp_path, to(claude), env) as daemon:
        reply = await say_hi(daemon, sent)
        assert reply.status == 200
        received = claude.received[0]
        assert dict(credentials_of(received)) == {k.lower(): v for k, v in brought.items()}
        assert received.header("anthropic-beta") == BETAS
        assert received.body == claude_body()


@pytest.mark.skipif(sys.platform != "linux", reason="inotify, and a keyring of our own in the keychain's place")
async def test_no_store_is_read_for_a_client_with_its_own_login(tmp_path: Path) -> None:
    keychain = RecordingKeyring(tmp_path / "keychain")
    file = write_login_file(tmp_path / ".claude", stored_login(STORED_TOKEN))
    async with (
        StandIn() as claude,
        running(tmp_path, to(claude), keychain.environment) as daemon,
    ):
        with watched(file) as watch:
            for brought in (BEARER, KEY, {**BEARER, **KEY}):
                for path in ("/v1/messages?beta=true", "/v1/messages/count_tokens?beta=true"):
                    assert (await say_hi(daemon, claude_headers(brought), path)).status == 200
            assert keychain.reads == []
            assert not watch.opened()
            assert await store_reads(daemon) == 0

            # The same three witnesses do see the read that a placeholder causes.
            assert (await say_hi(daemon, claude_headers({"x-api-key": SENTINEL}))).status == 200
            assert keychain.reads == [f"{CLAUDE_SERVICE}/{ACCOUNT}"]
            assert watch.opened()
            assert await store_reads(daemon) == 2
        assert bearer_of(claude.received[-1]) == STORED_TOKEN


@pytest.mark.parametrize("brought", [BEARER, KEY], ids=["bearer", "key"])
async def test_a_401_on_the_clients_own_login_is_handed_back_untouched(tmp_path: Path, brought: dict[str, str]) -> None:
    write_login_file(tmp_path / ".claude", stored_login(STORED_TOKEN))
    said = error_body("authentication_error", "OAuth token has expired. Please obtain a new token.")
    headers = (
        ("Content-Type", "application/json"),
        ("request-id", "req_011CSHoEeqs5C35K2UUqR7Fy"),
        ("x-should-retry", "false"),
        ("anthropic-organization-id", "9a1e7cb7"),
        ("WWW-Authenticate", 'Bearer realm="claude"'),
    )
    async with (
        StandIn(replies(401, said, headers)) as claude,
        running(tmp_path, to(claude)) as daemon,
    ):
        reply = await say_hi(daemon, claude_headers(brought))
        assert reply.status == 401
        assert reply.body == said
        assert [(name, reply.headers.getall(name)) for name, _ in headers] == [
            (name, [value]) for name, value in headers
        ]
        assert "x-claude-proxy-error" not in reply.headers
        assert reply.headers["x-claude-proxy-attempts"] == "1"
        assert len(claude.received) == 1
        assert await store_reads(daemon) == 0, "the stored login is no second chance for the client's own"


# --- none ----------------------------------------------------------------------------------------------


async def test_without_any_credential_the_upstreams_own_401_comes_back(tmp_path: Path) -> None:
    said = error_body("authentication_error", "x-api-key header is required")
    async with (
        StandIn(replies(401, said)) as claude,
        running(tmp_path, to(claude)) as daemon,
    ):
        reply = await say_hi(daemon, claude_headers())
        assert (reply.status, reply.body) == (401, said)
        assert "x-claude-proxy-error" not in reply.headers
        assert [credentials_of(received) for received in claude.received] == [[]]


@pytest.mark.parametrize(
    "brought",
    [
        {"x-api-key": SENTINEL},
        {"Authorization": f"Bearer {SENTINEL}"},
        {"Authorization": f"bearer  {SENTINEL} "},
    ],
)
async def test_a_placeholder_with_nothing_stored_is_a_403_that_names_the_remedy(
    tmp_path: Path, brought: dict[str, str]
) -> None:
    async with StandIn() as claude, running(tmp_path, to(claude)) as daemon:
        reply = await say_hi(daemon, claude_headers(brought))
        assert reply.status == 403
        assert reply.headers["x-claude-proxy-error"] == "no_credential"
        assert reply.json()["error"]["type"] == "permission_error"
        assert "claude" in message_of(reply)
        assert "REAL_ANTHROPIC_API_KEY" in message_of(reply)
        assert claude.received == []


async def test_configured_placeholders_are_known_as_such(tmp_path: Path) -> None:
    async with StandIn() as claude:
        config = {**to(claude), "sentinels": [SENTINEL, "not-a-key"]}
        async with running(tmp_path, config) as daemon:
            for placeholder in (SENTINEL, "not-a-key"):
                reply = await say_hi(daemon, claude_headers({"x-api-key": placeholder}))
                assert reply.headers["x-claude-proxy-error"] == "no_credential", placeholder
            assert claude.received == []
            # Beside a real credential the placeholder alone is taken out.
            both = {**BEARER, "x-api-key": "not-a-key"}
            assert (await say_hi(daemon, claude_headers(both))).status == 200
            assert credentials_of(claude.received[0]) == [("authorization", BEARER["Authorization"])]

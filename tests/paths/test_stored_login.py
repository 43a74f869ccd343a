"""The stored login for a client that leaves it to us: where it is found, how it is sent, whom it serves."""

import asyncio
import json
import os
from hashlib import sha256
from pathlib import Path

import pytest

from tests.asking import ask
from tests.claude_request import (
    BETAS,
    OAUTH_BETA,
    SENTINEL,
    bearer_of,
    claude_body,
    claude_headers,
    stored_login,
)
from tests.paths.logins import (
    BEARER,
    CLIENT_TOKEN,
    STORED_TOKEN,
    message_of,
    say_hi,
    to,
    write_login_file,
)
from tests.recording_keyring import ACCOUNT, CLAUDE_SERVICE, RecordingKeyring
from tests.running import running
from tests.secret_service import secret_service
from tests.stand_in import Received, StandIn

IN_KEY = {"x-api-key": SENTINEL}
IN_BEARER = {"Authorization": f"Bearer {SENTINEL}"}
SETUP_TOKEN = "sk-ant-oat01-FAKE-setup"


def assert_login_sent(received: Received, token: str) -> None:
    """One Bearer token, the OAuth beta once after the client's own betas, no placeholder anywhere."""
    assert bearer_of(received) == token
    betas = [value for name, value in received.headers if name.lower() == "anthropic-beta"]
    assert [beta.strip() for beta in ",".join(betas).split(",")] == [*BETAS.split(","), OAUTH_BETA]
    assert SENTINEL not in str(received.headers)
    assert received.body == claude_body()


# --- where it is found ---------------------------------------------------------------------------------


@pytest.mark.parametrize("brought", [IN_KEY, IN_BEARER, {**IN_KEY, **IN_BEARER}], ids=["key", "bearer", "both"])
async def test_a_login_in_the_secret_service_answers_a_placeholder(tmp_path: Path, brought: dict[str, str]) -> None:
    async with secret_service() as keyring, StandIn() as claude:
        await keyring.store(CLAUDE_SERVICE, ACCOUNT, stored_login(STORED_TOKEN))
        async with running(tmp_path, to(claude), keyring.environment) as daemon:
            reply = await say_hi(daemon, claude_headers(brought))
            assert reply.status == 200
            assert reply.headers["x-claude-proxy-upstream"] == "claude"
            assert_login_sent(claude.received[0], STORED_TOKEN)


async def test_the_real_claude_code_with_a_placeholder_gets_its_answer(tmp_path: Path, claude_program: str) -> None:
    async with secret_service() as keyring, StandIn() as claude:
        await keyring.store(CLAUDE_SERVICE, ACCOUNT, stored_login(STORED_TOKEN))
        async with running(tmp_path / "daemon", to(claude), keyring.environment) as daemon:
            home = tmp_path / "client"
            home.mkdir()
            process = await asyncio.create_subprocess_exec(
                *(claude_program, "-p", "say hi"),
                env={
                    "HOME": str(home),
                    "PATH": os.environ["PATH"],
                    "ANTHROPIC_BASE_URL": daemon.url,
                    "ANTHROPIC_AUTH_TOKEN": SENTINEL,
                    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                },
                cwd=home,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            async with asyncio.timeout(60):
                printed, errors = await process.communicate()
            assert (process.returncode, printed.decode().strip()) == (0, "hello"), errors.decode()
            asked = [received for received in claude.received if received.method == "POST"]
            assert {bearer_of(received) for received in asked} == {STORED_TOKEN}
            assert not any(SENTINEL in str(received.headers) for received in claude.received)


async def test_a_client_that_names_the_oauth_beta_itself_gets_it_only_once(tmp_path: Path) -> None:
    write_login_file(tmp_path / ".claude", stored_login(STORED_TOKEN))
    betas = f"claude-code-20250219,{OAUTH_BETA},effort-2025-11-24"
    async with StandIn() as claude, running(tmp_path, to(claude)) as daemon:
        reply = await say_hi(daemon, claude_headers(IN_KEY, anthropic_beta=betas))
        assert reply.status == 200
        assert claude.received[0].header("anthropic-beta") == betas


@pytest.mark.parametrize("brought", [IN_KEY, IN_BEARER], ids=["key", "bearer"])
async def test_a_login_in_the_home_directory_answers_a_placeholder(tmp_path: Path, brought: dict[str, str]) -> None:
    write_login_file(tmp_path / ".claude", stored_login(STORED_TOKEN))
    async with StandIn() as claude, running(tmp_path, to(claude)) as daemon:
        assert (await say_hi(daemon, claude_headers(brought))).status == 200
        assert_login_sent(claude.received[0], STORED_TOKEN)


async def test_the_configuration_directory_moves_file_and_keychain_item(tmp_path: Path) -> None:
    directory = tmp_path / "elsewhere"
    write_login_file(tmp_path / ".claude", stored_login("sk-ant-oat01-FAKE-of-another-account"))
    write_login_file(directory, stored_login(STORED_TOKEN))
    keychain = RecordingKeyring(tmp_path / "keychain")
    env = {**keychain.environment, "CLAUDE_CONFIG_DIR": str(directory)}
    async with StandIn() as claude, running(tmp_path, to(claude), env) as daemon:
        assert (await say_hi(daemon, claude_headers(IN_KEY))).status == 200
        assert_login_sent(claude.received[0], STORED_TOKEN)
        suffix = sha256(str(directory).encode()).hexdigest()[:8]
        assert keychain.reads == [f"{CLAUDE_SERVICE}-{suffix}/{ACCOUNT}"]


async def test_the_keychain_comes_before_the_file(tmp_path: Path) -> None:
    write_login_file(tmp_path / ".claude", stored_login("sk-ant-oat01-FAKE-in-the-file"))
    keychain = RecordingKeyring(tmp_path / "keychain")
    keychain.put(stored_login(STORED_TOKEN))
    async with StandIn() as claude, running(tmp_path, to(claude), keychain.environment) as daemon:
        assert (await say_hi(daemon, claude_headers(IN_KEY))).status == 200
        assert_login_sent(claude.received[0], STORED_TOKEN)


async def test_a_setup_token_from_the_environment_answers_a_placeholder(tmp_path: Path) -> None:
    keychain = RecordingKeyring(tmp_path / "keychain")
    keychain.put(stored_login(STORED_TOKEN))
    env = {**keychain.environment, "CLAUDE_CODE_OAUTH_TOKEN": SETUP_TOKEN}
    async with StandIn() as claude, running(tmp_path, to(claude), env) as daemon:
        assert (await say_hi(daemon, claude_headers(IN_KEY))).status == 200
        assert_login_sent(claude.received[0], SETUP_TOKEN)
        assert keychain.reads == []


async def test_the_clients_own_login_comes_before_a_setup_token(tmp_path: Path) -> None:
    env = {"CLAUDE_CODE_OAUTH_TOKEN": SETUP_TOKEN}
    async with StandIn() as claude, running(tmp_path, to(claude), env) as daemon:
        assert (await say_hi(daemon, claude_headers(BEARER))).status == 200
        assert bearer_of(claude.received[0]) == CLIENT_TOKEN


async def test_the_order_of_the_sources_is_configurable(tmp_path: Path) -> None:
    write_login_file(tmp_path / ".claude", stored_login("sk-ant-oat01-FAKE-in-the-file"))
    keychain = RecordingKeyring(tmp_path / "keychain")
    keychain.put(stored_login(STORED_TOKEN))
    async with StandIn() as claude:
        config = to(claude, sources=["client", "file", "keychain"])
        async with running(tmp_path, config, keychain.environment) as daemon:
            assert (await say_hi(daemon, claude_headers(IN_KEY))).status == 200
            assert_login_sent(claude.received[0], "sk-ant-oat01-FAKE-in-the-file")
            assert keychain.reads == []


# --- whom it serves ------------------------------------------------------------------------------------


async def test_count_tokens_of_claude_code_is_served_too(tmp_path: Path) -> None:
    write_login_file(tmp_path / ".claude", stored_login(STORED_TOKEN))
    body = json.dumps({"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "hi"}]}).encode()
    async with StandIn() as claude, running(tmp_path, to(claude)) as daemon:
        reply = await ask(f"{daemon.url}/v1/messages/count_tokens?beta=true", body, claude_headers(IN_KEY))
        assert (reply.status, reply.json()) == (200, {"input_tokens": 42})
        assert bearer_of(claude.received[0]) == STORED_TOKEN


STRANGERS = {
    "curl's name": (claude_headers(IN_KEY, user_agent="curl/8.14.1"), claude_body()),
    "no name": (claude_headers(IN_KEY, user_agent=""), claude_body()),
    "another's name for itself": (claude_headers(IN_KEY, user_agent="my-claude-cli/1.0"), claude_body()),
    "no x-app": (claude_headers(IN_KEY, x_app=None), claude_body()),
    "no beta of Claude Code": (claude_headers(IN_KEY, anthropic_beta=OAUTH_BETA), claude_body()),
    "no betas": (claude_headers(IN_KEY, anthropic_beta=None), claude_body()),
    "no metadata": (claude_headers(IN_KEY), claude_body(metadata=None)),
    "curl": ({**IN_KEY, "User-Agent": "curl/8.14.1"}, claude_body(metadata=None)),
    "curl with a bearer": ({**IN_BEARER, "User-Agent": "curl/8.14.1"}, claude_body(metadata=None)),
    "curl without a placeholder": ({"User-Agent": "curl/8.14.1"}, claude_body(metadata=None)),
}


@pytest.mark.parametrize("token", [STORED_TOKEN, "FAKE-login-of-a-form-not-seen-before"])
async def test_other_software_is_told_to_bring_an_api_key_and_never_gets_the_login(tmp_path: Path, token: str) -> None:
    write_login_file(tmp_path / ".claude", stored_login(token))
    async with StandIn() as claude, running(tmp_path, to(claude)) as daemon:
        # The daemon holds the login already when the strangers come.
        assert (await say_hi(daemon, claude_headers(IN_KEY))).status == 200
        for stranger, (headers, body) in STRANGERS.items():
            reply = await ask(daemon.url + "/v1/messages", body, headers)
            assert reply.status == 403, stranger
            assert reply.headers["x-claude-proxy-error"], stranger
            assert "API key" in message_of(reply), stranger
            assert token not in reply.body.decode() + str(reply.headers), stranger
            assert len(claude.received) == 1, stranger


async def test_a_setup_token_serves_no_other_software_either(tmp_path: Path) -> None:
    env = {"CLAUDE_CODE_OAUTH_TOKEN": SETUP_TOKEN}
    async with StandIn() as claude, running(tmp_path, to(claude), env) as daemon:
        reply = await say_hi(daemon, claude_headers(IN_KEY, user_agent="curl/8.14.1"))
        assert reply.status == 403
        assert "API key" in message_of(reply)
        assert claude.received == []

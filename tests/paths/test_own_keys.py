"""Keys and setup-tokens of our own, from the person's hand to the upstream: unseen, private, and found by a daemon."""

import asyncio
import signal
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.asking import ask
from tests.claude_request import BETAS, OAUTH_BETA, SENTINEL, bearer_of, claude_body, claude_headers
from tests.paths.canaries import command_lines
from tests.paths.logins import BEARER, CLIENT_TOKEN, credentials_of, say_hi, to
from tests.recording_keyring import RecordingKeyring
from tests.running import Daemon, clean_environment, running
from tests.secret_service import secret_service
from tests.stand_in import StandIn, fails
from tests.terminal import Terminal, at_terminal

KEY = "FAKE.key.of.minimax.0a1b2c3d"
OTHER_KEY = "FAKE.another.key.of.minimax.4e5f"
SETUP_TOKEN = "sk-ant-oat01-FAKE-setup-token"
HAIKU = "claude-haiku-4-5-20251001"
IN_KEY = {"x-api-key": SENTINEL}


def enter(home: Path, env: dict[str, str], question: str, secret: str, *arguments: str) -> tuple[str, int]:
    """Types a secret when it is asked for. The screen and the exit code."""
    with at_terminal(home, env, *arguments) as terminal:
        terminal.shows(question)
        seen_by_others(terminal)
        terminal.types(f"{secret}\n")
        code = terminal.ends()
        return terminal.screen, code


def seen_by_others(terminal: Terminal) -> None:
    """What every program on the machine can read of the command."""
    assert "FAKE" not in command_lines(terminal.process.pid)


def minimax_alone(minimax: StandIn, **credential: Any) -> dict[str, Any]:
    return {
        "upstreams": {"minimax": {"base_url": minimax.url}},
        "credentials": {"minimax": credential} if credential else {},
        "routes": [{"to": [{"upstream": "minimax"}]}],
    }


async def ask_minimax(daemon: Daemon) -> int:
    reply = await ask(f"{daemon.url}/v1/messages", claude_body(model=HAIKU), claude_headers(IN_KEY))
    return reply.status


async def test_a_key_that_is_typed_is_not_shown_and_lies_in_the_keychain(tmp_path: Path) -> None:
    async with secret_service() as keyring:
        env = clean_environment(tmp_path, keyring.environment)
        asked = "The key for minimax (not shown): "
        screen, code = await asyncio.to_thread(enter, tmp_path, env, asked, KEY, "key", "set", "minimax")
        assert code == 0, screen
        assert "stored minimax in the keychain" in screen
        assert "FAKE" not in screen
        assert await keyring.read("claude-proxy", "minimax") == KEY
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert [path.read_bytes() for path in files] == [b""]


async def test_a_running_daemon_finds_a_new_key_at_once_when_it_is_told_to_look(tmp_path: Path) -> None:
    async with (
        secret_service() as keyring,
        StandIn() as minimax,
        running(tmp_path, minimax_alone(minimax), keyring.environment) as daemon,
    ):
        assert await ask_minimax(daemon) == 403
        env = clean_environment(tmp_path, keyring.environment)
        for number, key in enumerate((KEY, OTHER_KEY), 1):
            screen, code = await asyncio.to_thread(enter, tmp_path, env, "minimax", key, "key", "set", "minimax")
            assert code == 0, screen
            daemon.lines.clear()
            daemon.signal(signal.SIGHUP)
            await daemon.logged("event=reloaded")
            assert await ask_minimax(daemon) == 200
            assert len(minimax.received) == number
            assert bearer_of(minimax.received[-1]) == key
            assert "FAKE" not in daemon.log


async def test_a_running_daemon_finds_a_new_key_by_itself_when_its_memory_of_none_has_ended(tmp_path: Path) -> None:
    """Here that is set to 50 ms; it is 30 s, or `cache_ttl` where that is shorter."""
    async with StandIn() as minimax:
        config = minimax_alone(minimax, sources=["keyring:minimax"], cache_ttl="50ms")
        async with running(tmp_path, config) as daemon:
            assert await ask_minimax(daemon) == 403
            env = clean_environment(tmp_path)
            screen, code = await asyncio.to_thread(enter, tmp_path, env, "minimax", KEY, "key", "set", "minimax")
            assert code == 0, screen
            async with asyncio.timeout(20):
                while await ask_minimax(daemon) != 200:
                    await asyncio.sleep(0.01)
            assert bearer_of(minimax.received[0]) == KEY


async def test_without_a_keychain_a_private_file_serves_the_daemon_and_no_other_may_read_it(tmp_path: Path) -> None:
    env = clean_environment(tmp_path)
    screen, code = await asyncio.to_thread(enter, tmp_path, env, "minimax", KEY, "key", "set", "minimax")
    file = tmp_path / ".local/share/claude-proxy/keys/minimax"
    assert code == 0, screen
    assert str(file) in screen.replace("\r\n", "")
    assert "FAKE" not in screen
    assert (stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(file.parent.stat().st_mode)) == (0o600, 0o700)
    async with StandIn() as minimax, running(tmp_path, minimax_alone(minimax)) as daemon:
        assert await ask_minimax(daemon) == 200
        assert bearer_of(minimax.received[0]) == KEY
        file.chmod(0o640)
        daemon.signal(signal.SIGHUP)
        await daemon.logged("event=reloaded")
        reply = await ask(f"{daemon.url}/v1/messages", claude_body(model=HAIKU), claude_headers(IN_KEY))
        assert reply.status == 403
        assert f"chmod 600 {file}" in reply.body.decode()
        assert len(minimax.received) == 1


# --- a setup-token ---------------------------------------------------------------------------------------


async def keep_setup_token(home: Path, extra: dict[str, str]) -> None:
    env = clean_environment(home, {**extra, "CLAUDE_PROXY_LISTEN__PORT": "0"})
    asked = "The token that `claude setup-token` printed (not shown): "
    screen, code = await asyncio.to_thread(enter, home, env, asked, SETUP_TOKEN, "login", "--setup-token")
    assert code == 0, screen
    assert "FAKE" not in screen


async def test_a_setup_token_serves_claude_code_where_it_brings_no_login(tmp_path: Path) -> None:
    async with secret_service() as keyring, StandIn() as claude:
        await keep_setup_token(tmp_path, keyring.environment)
        assert await keyring.read("claude-proxy", "setup-token") == SETUP_TOKEN
        async with running(tmp_path, to(claude), keyring.environment) as daemon:
            assert (await say_hi(daemon, claude_headers(IN_KEY))).status == 200
            assert bearer_of(claude.received[-1]) == SETUP_TOKEN
            assert claude.received[-1].header("anthropic-beta") == f"{BETAS},{OAUTH_BETA}"
            assert (await say_hi(daemon, claude_headers(BEARER))).status == 200
            assert bearer_of(claude.received[-1]) == CLIENT_TOKEN
            assert "FAKE" not in daemon.log


async def test_a_setup_token_serves_no_other_software(tmp_path: Path) -> None:
    await keep_setup_token(tmp_path, {})
    async with StandIn() as claude, running(tmp_path, to(claude)) as daemon:
        reply = await say_hi(daemon, claude_headers(IN_KEY, user_agent="curl/8"))
        assert reply.status == 403
        assert "does not come from Claude Code" in reply.body.decode()
        assert claude.received == []


async def test_a_setup_token_is_sent_to_no_other_provider(tmp_path: Path) -> None:
    await keep_setup_token(tmp_path, {})
    config = {"sources": ["file:" + str(tmp_path / ".local/share/claude-proxy/keys/setup-token")]}
    async with StandIn() as minimax, running(tmp_path, minimax_alone(minimax, **config)) as daemon:
        reply = await ask(f"{daemon.url}/v1/messages", claude_body(model=HAIKU), claude_headers(IN_KEY))
        assert reply.status == 403
        assert "a Claude login, which is never sent to minimax" in reply.body.decode()
        assert minimax.received == []


@pytest.mark.parametrize("brought", [IN_KEY, BEARER], ids=["a placeholder", "a login"])
async def test_who_never_stored_a_setup_token_has_no_keychain_asked_for_it(
    tmp_path: Path, brought: dict[str, str]
) -> None:
    keychain = RecordingKeyring(tmp_path / "keychain")
    async with StandIn() as claude, running(tmp_path, to(claude), keychain.environment) as daemon:
        await say_hi(daemon, claude_headers(brought))
        assert "claude-proxy/setup-token" not in keychain.reads
        assert bool(keychain.reads) == (brought is IN_KEY)


async def test_a_refused_setup_token_is_told_with_its_own_remedy(tmp_path: Path) -> None:
    await keep_setup_token(tmp_path, {})
    async with (
        StandIn(fails(401, "authentication_error", "revoked")) as claude,
        running(tmp_path, to(claude)) as daemon,
    ):
        reply = await say_hi(daemon, claude_headers(IN_KEY))
        assert reply.status == 403
        assert "refused the credential from keyring:setup-token" in reply.body.decode()
        assert "claude setup-token" in reply.body.decode()
        assert credentials_of(claude.received[0]) == [("authorization", f"Bearer {SETUP_TOKEN}")]


# --- Claude Code's own login -----------------------------------------------------------------------------


async def test_the_real_claude_is_given_the_terminal_to_log_in(tmp_path: Path, claude_program: str) -> None:
    """As far as that goes without a browser: it asks for its code, and Ctrl-C is its own affair."""
    env = clean_environment(
        tmp_path,
        {
            "PATH": f"{Path(claude_program).parent}:{clean_environment(tmp_path)['PATH']}",
            "TERM": "xterm",
            "ANTHROPIC_BASE_URL": "http://127.0.0.1:9",
            "CLAUDE_PROXY_LISTEN__PORT": "0",
        },
    )

    def log_in() -> tuple[str, int]:
        with at_terminal(tmp_path, env, "login") as terminal:
            terminal.shows("Paste code here", 60)
            terminal.types("\x03")
            code = terminal.ends(60)
            return terminal.screen, code

    screen, code = await asyncio.to_thread(log_in)
    assert "https://claude.com/" in screen
    assert code == 1
    assert not (tmp_path / ".claude" / ".credentials.json").exists()


async def test_ctrl_c_is_first_of_all_the_affair_of_claude(tmp_path: Path) -> None:
    """One that takes its time to leave is waited for, and what became of it is told."""
    program = tmp_path / "bin" / "claude"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport signal\n"
        # Waited for, and not caught: one that comes just before a read would leave the read waiting.
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])\nprint('waiting', flush=True)\n"
        "signal.sigwait([signal.SIGINT])\nprint('leaving', flush=True)\ninput()\nraise SystemExit(130)\n"
    )
    program.chmod(0o700)
    env = clean_environment(tmp_path, {"PATH": str(program.parent), "CLAUDE_PROXY_LISTEN__PORT": "0"})

    def log_in() -> tuple[str, int]:
        with at_terminal(tmp_path, env, "login") as terminal:
            terminal.shows("waiting")
            terminal.types("\x03")
            terminal.shows("leaving")
            terminal.types("\n")
            code = terminal.ends()
            return terminal.screen, code

    screen, code = await asyncio.to_thread(log_in)
    assert code == 1, screen
    assert "`claude auth login` ended with exit code 130: you are not logged in by it" in screen

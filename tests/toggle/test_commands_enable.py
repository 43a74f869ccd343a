"""`proxy-toggle enable`: what is printed, as it was agreed upon, and with which code it ends."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from claude_proxy import __version__
from claude_proxy.toggle.haiku import HAIKU
from claude_proxy.toggle.settings_text import BASE_URL, HAIKU_MODEL, TOOL_SEARCH
from tests.closed_port import refusing_url
from tests.in_process import in_process
from tests.stand_in import StandIn, replies
from tests.toggle.running_it import proxy_toggle
from tests.toggle.user import GATEWAY, User

SECRET = "sk-ant-api03-FAKE-secret"
# What others run on this machine is counted as well.
SESSIONS = r"(?: 1 running one does not until restarted\.| \d+ running ones do not until restarted\.)?"


def daemon_of(tmp_path: Path, env: dict[str, str] | None = None, **config: Any) -> Any:
    (tmp_path / "daemon").mkdir(exist_ok=True)
    return in_process(tmp_path / "daemon", config, env)


async def test_enable_as_agreed_upon(user: User, tmp_path: Path) -> None:
    async with daemon_of(tmp_path) as daemon:
        ran = await proxy_toggle(user, "enable", "--url", daemon.url)
    assert (ran.code, ran.err) == (0, "")
    gap = " " * (len(daemon.url) - len("true"))
    expected = [
        rf"✓ daemon answers on {daemon.url}  \(\d+\.\d ms, version {re.escape(__version__)}\)",
        rf"✓ ~/\.claude/settings\.json  env\.ANTHROPIC_BASE_URL = {daemon.url}   \(was: not set\)",
        rf"✓ ~/\.claude/settings\.json  env\.ENABLE_TOOL_SEARCH = true{gap}   \(was: not set\)",
        r"  Your Claude login stays as it is; nothing was read from the keychain\.",
        rf"  New `claude` sessions use the proxy\.{SESSIONS}",
        r"Undo:  proxy-toggle disable",
    ]
    assert len(ran.lines) == len(expected)
    for line, pattern in zip(ran.lines, expected, strict=True):
        assert re.fullmatch(pattern, line), line
    assert user.env == {BASE_URL: daemon.url, TOOL_SEARCH: "true"}


async def test_enable_finds_the_daemon_by_its_configuration(user: User, tmp_path: Path) -> None:
    async with daemon_of(tmp_path) as daemon:
        user.write(".config/claude-proxy/config.yaml", f"listen: {{ port: {daemon.port} }}\n")
        assert (await proxy_toggle(user, "enable")).code == 0
        assert user.env[BASE_URL] == daemon.url
        user.write(".config/claude-proxy/config.yaml", "listen: { port: 1 }\n")
        mine = user.write("mine.yaml", f"listen: {{ port: {daemon.port} }}\n")
        assert (await proxy_toggle(user, "status", "--config", str(mine))).code == 0
        assert (await proxy_toggle(user, "enable", CLAUDE_PROXY_CONFIG=str(mine))).code == 0


async def test_enable_a_second_time(user: User, tmp_path: Path) -> None:
    async with daemon_of(tmp_path) as daemon:
        await proxy_toggle(user, "enable", "--url", daemon.url)
        before = user.tree()
        ran = await proxy_toggle(user, "enable", "--url", daemon.url)
    assert ran.code == 0
    assert ran.lines[-1] == "Routing was on already; nothing was changed."
    assert user.tree() == before


async def test_enable_is_refused_while_nobody_answers(user: User) -> None:
    with refusing_url() as url:
        ran = await proxy_toggle(user, "enable", "--url", url)
        assert (ran.code, ran.out) == (3, "")
        assert ran.err == (
            f"proxy-toggle: {url}: nothing answers there (connection refused). Claude Code would hang; nothing was "
            "changed. Start the daemon: claude-proxy service start · or switch on all the same: --force\n"
        )
        assert user.tree() == {}
        assert not user.places.state.exists()
        forced = await proxy_toggle(user, "enable", "--url", url, "--force")
        assert forced.code == 0
        assert f"! {url}: nothing answers there" in forced.err
        assert user.env[BASE_URL] == url


async def test_enable_is_refused_where_something_else_answers(user: User) -> None:
    async with StandIn(replies(200, b"<html>")) as other:
        ran = await proxy_toggle(user, "enable", "--url", other.url)
    assert ran.code == 3
    assert "something else than claude-proxy answers there" in ran.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("listen: { port: many }\n", "config.yaml:1:17 listen.port: expected a whole number"),
        ("listen: { port: 0 }\n", "which one it is only the daemon's log tells"),
    ],
)
async def test_enable_needs_an_address(user: User, text: str, said: str) -> None:
    user.write(".config/claude-proxy/config.yaml", text)
    ran = await proxy_toggle(user, "enable")
    assert ran.code == 78
    assert said in ran.err
    assert "name the daemon's address: --url" in ran.err
    assert (await proxy_toggle(user, "enable", "--url", "https://example.com")).code == 78


async def test_enable_with_a_key_for_minimax(user: User, tmp_path: Path) -> None:
    async with daemon_of(tmp_path, {"FAKE_MINIMAX_KEY": "FAKE-minimax-key"}) as daemon:
        await proxy_toggle(user, "enable", "--url", daemon.url)
        assert user.env[HAIKU_MODEL] == HAIKU
    async with daemon_of(tmp_path) as daemon:
        await proxy_toggle(user, "enable", "--url", daemon.url)
        assert HAIKU_MODEL not in user.env


@pytest.mark.parametrize("name", [HAIKU_MODEL, "ANTHROPIC_SMALL_FAST_MODEL"])
async def test_enable_lets_a_model_of_the_shell_s_win(name: str, user: User, tmp_path: Path) -> None:
    async with daemon_of(tmp_path, {"FAKE_MINIMAX_KEY": "FAKE-minimax-key"}) as daemon:
        await proxy_toggle(user, "enable", "--url", daemon.url, **{name: "mine"})
        assert HAIKU_MODEL not in user.env
        # What our own block has exported is no choice of the user's.
        await proxy_toggle(user, "enable", "--url", daemon.url, **{HAIKU_MODEL: HAIKU})
        assert HAIKU_MODEL in user.env


async def test_enable_says_what_was_looked_for_in_the_keychain(user: User, tmp_path: Path) -> None:
    credentials = {"claude": {"sources": ["client"]}, "minimax": {"sources": ["keyring:minimax"]}}
    async with daemon_of(tmp_path, credentials=credentials) as daemon:
        ran = await proxy_toggle(user, "enable", "--url", daemon.url)
    said = "  Your Claude login stays as it is; only claude-proxy's own key for minimax was looked for in the keychain."
    assert said in ran.lines
    assert HAIKU_MODEL not in user.env


async def test_enable_for_the_shells(tmp_path: Path) -> None:
    user = User(tmp_path / "home", "zsh")
    async with daemon_of(tmp_path) as daemon:
        ran = await proxy_toggle(user, "enable", "--via", "shell", "--url", daemon.url)
        assert ran.lines[1] == f"✓ ~/.zshenv  exports {BASE_URL} = {daemon.url}, {TOOL_SEARCH} = true"
        assert any(line.startswith("  New shells use the proxy.") for line in ran.lines)
        assert ran.err == "! this shell was opened before routing was on: open a new one\n"
        assert not user.settings.exists()
        assert (await proxy_toggle(user, "status", **{BASE_URL: daemon.url})).lines[0] == (
            "Routing   on   via ~/.zshenv"
        )


async def test_enable_for_nobody_prints_lines_to_evaluate(user: User, tmp_path: Path) -> None:
    async with daemon_of(tmp_path, {"FAKE_MINIMAX_KEY": "FAKE-minimax-key"}) as daemon:
        ran = await proxy_toggle(user, "enable", "--via", "none", "--url", daemon.url)
    assert ran.lines == [
        f"export {BASE_URL}={daemon.url}",
        f"export {TOOL_SEARCH}=true",
        f"export {HAIKU_MODEL}={HAIKU}",
    ]
    assert ran.err.startswith("✓ daemon answers on ")
    assert user.tree() == {}
    assert not user.places.state.exists()


async def test_enable_for_nobody_where_another_gateway_would_win(user: User, tmp_path: Path) -> None:
    user.write(".claude/settings.json", json.dumps({"env": {BASE_URL: GATEWAY}}))
    async with daemon_of(tmp_path) as daemon:
        ran = await proxy_toggle(user, "enable", "--via", "none", "--url", daemon.url)
    assert (ran.code, ran.out) == (1, "")
    assert "and wins over the shell" in ran.err


async def test_enable_does_not_replace_another_gateway_unasked(user: User, tmp_path: Path) -> None:
    user.write(".claude/settings.json", json.dumps({"env": {BASE_URL: GATEWAY}}))
    before = user.tree()
    async with daemon_of(tmp_path) as daemon:
        ran = await proxy_toggle(user, "enable", "--url", daemon.url)
        assert (ran.code, user.tree()) == (1, before)
        assert f"~/.claude/settings.json sends Claude Code to {GATEWAY} already" in ran.err
        assert (await proxy_toggle(user, "enable", "--url", daemon.url, "--take-over")).code == 0
        assert user.env[BASE_URL] == daemon.url
    assert (await proxy_toggle(user, "disable")).code == 0
    assert user.tree() == before


async def test_a_trial_of_enable_and_disable(user: User, tmp_path: Path) -> None:
    async with daemon_of(tmp_path) as daemon:
        ran = await proxy_toggle(user, "enable", "--url", daemon.url, "--dry-run")
        assert "would be: ~/.claude/settings.json  env.ANTHROPIC_BASE_URL" in ran.out
        assert user.tree() == {}
        assert not user.places.state.exists()
        await proxy_toggle(user, "enable", "--url", daemon.url)
    before = user.tree()
    ran = await proxy_toggle(user, "disable", "--dry-run")
    assert ran.lines[0] == "would be: ~/.claude/settings.json  env.ANTHROPIC_BASE_URL removed"
    assert user.tree() == before


async def test_enable_warns_of_what_replaces_the_login_and_never_shows_it(user: User, tmp_path: Path) -> None:
    settings = {"apiKeyHelper": f"echo {SECRET}", "env": {"ANTHROPIC_AUTH_TOKEN": SECRET}}
    user.write(".claude/settings.json", json.dumps(settings))
    async with daemon_of(tmp_path) as daemon:
        ran = await proxy_toggle(user, "enable", "--url", daemon.url, ANTHROPIC_API_KEY=SECRET)
        status = await proxy_toggle(user, "status", ANTHROPIC_API_KEY=SECRET)
    assert ran.code == 0
    warned = [line.split()[1] for line in ran.err.splitlines()]
    assert warned == ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "apiKeyHelper"]
    assert [line.split()[1] for line in status.lines if line.startswith("! ANTH")] == warned[:2]
    assert SECRET not in ran.out + ran.err + status.out + status.err
    assert SECRET not in user.places.receipt.read_text()


async def test_enable_says_that_the_daemon_asks_for_its_token(user: User, tmp_path: Path) -> None:
    async with daemon_of(tmp_path, {"AUTH_TOKEN": "FAKE-access-token"}) as daemon:
        ran = await proxy_toggle(user, "enable", "--url", daemon.url)
        assert ran.err.startswith("! the daemon asks for its access token")
        headers = "x-claude-proxy-token: FAKE-access-token"
        ran = await proxy_toggle(user, "enable", "--url", daemon.url, ANTHROPIC_CUSTOM_HEADERS=headers)
        assert ran.err == ""


async def test_enable_speaks_of_vs_code_where_it_is_used(user: User, tmp_path: Path) -> None:
    (user.home / ".vscode/extensions/anthropic.claude-code-2.1.0").mkdir(parents=True)
    async with daemon_of(tmp_path) as daemon:
        ran = await proxy_toggle(user, "enable", "--url", daemon.url)
    assert "claudeCode.environmentVariables" in ran.out


async def test_running_sessions_are_counted(user: User, tmp_path: Path) -> None:
    program = tmp_path / "claude"
    shutil.copy("/bin/cat", program)
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"up\n")
        process.stdin.flush()
        process.stdout.readline()
        async with daemon_of(tmp_path) as daemon:
            ran = await proxy_toggle(user, "enable", "--url", daemon.url)
            status = json.loads((await proxy_toggle(user, "status", "--json")).out)
        process.stdin.close()
    assert re.search(r"1 running one does not|\d+ running ones do not", ran.out)
    assert isinstance(status["stale_sessions"], int)

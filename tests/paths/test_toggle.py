"""Switched on for real: the real Claude Code, told by nothing but its settings or its shell, asks the daemon.

And once it is switched off it does not.
"""

import asyncio
import contextlib
import json
import os
import shlex
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from claude_proxy.toggle import sessions
from claude_proxy.toggle.haiku import HAIKU
from tests.claude_code import Run, fresh_home, run_at_home
from tests.claude_scenarios import LONG, answers, asks_for_a_title, send, text
from tests.conftest import need
from tests.running import Daemon, running
from tests.stand_in import Received, StandIn, Wire, two
from tests.toggle.running_it import on_this_path, proxy_toggle
from tests.toggle.user import User

ANSWER = answers(text("Through the daemon."))
KEY = "FAKE-minimax-key"
SETTINGS = '{\n\t"cleanupPeriodDays": 30,\n\t"env": {"DISABLE_COST_WARNINGS": "1"}}'
# Which files each shell reads, started so.
SHELLS = [
    pytest.param("zsh", ("-c",), ".zshrc", id="zsh"),
    pytest.param("bash", ("-lc",), ".bashrc", id="bash, as a login shell"),
    pytest.param("bash", ("-ic",), ".bashrc", id="bash, interactive"),
    pytest.param("fish", ("-c",), ".config/fish/config.fish", id="fish"),
]


@pytest.fixture
def user(tmp_path: Path) -> User:
    """Somebody who is logged in to Claude Code."""
    fresh_home(tmp_path / "home")
    return User(tmp_path / "home")


@contextlib.asynccontextmanager
async def daemon_before(claude: StandIn, home: Path, **more: str) -> AsyncIterator[Daemon]:
    config = {"upstreams": {"claude": {"base_url": claude.url}}, "retry": {"max_elapsed": "0s"}}
    async with running(home, config, more) as daemon:
        yield daemon


async def say_hi(program: str, user: User, prompt: str = "say hi", **env: str) -> Run:
    return await run_at_home(user.home, program, "-p", prompt, env=env)


def assert_went_elsewhere(run: Run) -> None:
    """To Anthropic itself, where nothing leads from here."""
    assert run.exit_code == 1
    assert "Unable to connect to API" in run.stdout


async def test_claude_code_asks_the_daemon_by_its_settings_alone_until_it_is_switched_off(
    claude_program: str, user: User, tmp_path: Path
) -> None:
    user.write(".claude/settings.json", SETTINGS)
    async with StandIn(ANSWER) as claude, daemon_before(claude, tmp_path / "daemon") as daemon:
        assert (await proxy_toggle(user, "enable", "--url", daemon.url)).code == 0
        on = await say_hi(claude_program, user)
        assert (on.exit_code, on.stdout) == (0, "Through the daemon.\n")
        [asked] = claude.received
        assert asked.header("host") == claude.url.removeprefix("http://")
        # The daemon keeps the client's own login, as nothing replaces it.
        assert "oauth-2025-04-20" in (asked.header("anthropic-beta") or "")

        assert (await proxy_toggle(user, "disable")).code == 0
        off = await say_hi(claude_program, user)
    assert_went_elsewhere(off)
    assert len(claude.received) == 1
    assert user.settings.read_text() == SETTINGS


async def test_the_settings_win_over_the_shell_and_no_more_once_it_is_off(
    claude_program: str, user: User, tmp_path: Path
) -> None:
    async with (
        two(ANSWER, answers(text("By the shell."))) as (claude, other),
        daemon_before(claude, tmp_path / "daemon") as daemon,
    ):
        assert (await proxy_toggle(user, "enable", "--url", daemon.url)).code == 0
        on = await say_hi(claude_program, user, ANTHROPIC_BASE_URL=other.url)
        assert (await proxy_toggle(user, "disable")).code == 0
        off = await say_hi(claude_program, user, ANTHROPIC_BASE_URL=other.url)
    assert (on.stdout, off.stdout) == ("Through the daemon.\n", "By the shell.\n")
    assert not user.settings.exists()


async def test_what_claude_code_itself_has_rewritten_since_is_kept(
    claude_program: str, user: User, tmp_path: Path
) -> None:
    """It moves a model that stands in the settings somewhere else, and lays the whole file out anew."""
    before = '{"env": {"DISABLE_COST_WARNINGS": "1"},"model": "opus"}'
    user.write(".claude/settings.json", before)
    async with StandIn(ANSWER) as claude, daemon_before(claude, tmp_path / "daemon") as daemon:
        assert (await proxy_toggle(user, "enable", "--url", daemon.url)).code == 0
        put = user.settings.read_text()
        await say_hi(claude_program, user)
        assert user.settings.read_text() != put, "this client rewrites nothing any more: look for another way"
        anew = json.loads(user.settings.read_text())
        ran = await proxy_toggle(user, "disable")
    assert (ran.code, ran.err) == (0, "")
    del anew["env"]["ANTHROPIC_BASE_URL"], anew["env"]["ENABLE_TOOL_SEARCH"]
    assert user.settings.read_text() == json.dumps(anew, indent=2) + "\n"


@pytest.mark.parametrize(("shell", "how", "its_file"), SHELLS)
async def test_claude_code_asks_the_daemon_by_its_shell_alone_until_it_is_switched_off(
    shell: str, how: tuple[str, ...], its_file: str, claude_program: str, user: User, tmp_path: Path
) -> None:
    program = need(shell, f"apt-get install {shell}")
    user.write(its_file, "# mine")
    before = user.tree()
    command = shlex.join([claude_program, "-p", "say hi"])
    async with StandIn(ANSWER) as claude, daemon_before(claude, tmp_path / "daemon") as daemon:
        assert (await proxy_toggle(user, "enable", "--via", "shell", "--url", daemon.url)).code == 0
        assert not user.settings.exists()
        on = await run_at_home(user.home, program, *how, command)
        assert (on.exit_code, on.stdout) == (0, "Through the daemon.\n")
        assert len(claude.received) == 1

        assert (await proxy_toggle(user, "disable")).code == 0
        kept = {name: value for name, value in user.tree().items() if name in before}
        off = await run_at_home(user.home, program, *how, command)
    assert_went_elsewhere(off)
    assert len(claude.received) == 1
    assert all(kept[name] == value for name, value in before.items() if name.endswith(its_file))


@pytest.mark.parametrize("shell", ["sh", "bash", "zsh"])
async def test_one_shell_alone_can_be_routed(shell: str, claude_program: str, user: User, tmp_path: Path) -> None:
    program = need(shell, f"apt-get install {shell}")
    said = shlex.join([claude_program, "-p", "say hi"])
    async with StandIn(ANSWER) as claude, daemon_before(claude, tmp_path / "daemon") as daemon:
        line = f'eval "$(proxy-toggle enable --via none --url {daemon.url})" && {said}'
        ran = await run_at_home(user.home, program, "-c", line, env={"PATH": on_this_path(user)})
    assert (ran.exit_code, ran.stdout) == (0, "Through the daemon.\n")
    assert not user.settings.exists()


async def test_with_a_key_for_minimax_background_calls_go_there(
    claude_program: str, user: User, tmp_path: Path
) -> None:
    title_came = asyncio.Event()

    async def by_minimax(received: Received, wire: Wire) -> None:
        title_came.set()
        await send(received, wire, text('{"title":"Say who you are"}'))

    async def by_claude(received: Received, wire: Wire) -> None:
        # Else the client may leave before it has asked for the title; this way it is seen if it asks here.
        if not asks_for_a_title(received):
            await title_came.wait()
        await send(received, wire, text("I am Claude."))
        title_came.set()

    async with two(by_claude, by_minimax) as (claude, minimax):
        upstreams = {"claude": {"base_url": claude.url}, "minimax": {"base_url": minimax.url}}
        env = {"HAIKU_PROVIDER_API_KEY": KEY}
        async with running(tmp_path / "daemon", {"upstreams": upstreams}, env) as daemon:
            assert (await proxy_toggle(user, "enable", "--url", daemon.url)).code == 0
            assert json.loads(user.settings.read_text())["env"]["ANTHROPIC_DEFAULT_HAIKU_MODEL"] == HAIKU
            run = await say_hi(claude_program, user, LONG)
    assert run.stdout == "I am Claude.\n"
    assert [asks_for_a_title(asked) for asked in minimax.received] == [True]
    assert [asks_for_a_title(asked) for asked in claude.received] == [False]


async def test_running_sessions_are_known_by_the_real_client_s_name(
    claude_program: str, user: User, tmp_path: Path
) -> None:
    asked = asyncio.Event()
    go = asyncio.Event()

    async def held(received: Received, wire: Wire) -> None:
        asked.set()
        await go.wait()
        await send(received, wire, text("Through the daemon."))

    async with StandIn(held) as claude, daemon_before(claude, tmp_path / "daemon") as daemon:
        running_one = asyncio.create_task(say_hi(claude_program, user, ANTHROPIC_BASE_URL=daemon.url))
        try:
            async with asyncio.timeout(30):
                await asked.wait()
            mine = [process for process in sessions._from_proc(Path("/proc")) if process.parent == os.getpid()]
            ran = await proxy_toggle(user, "enable", "--url", daemon.url)
            told = json.loads((await proxy_toggle(user, "status", "--json")).out)
        finally:
            go.set()
            await running_one
    assert [process.name for process in mine].count("claude") == 1
    assert "until restarted" in ran.out
    assert told["stale_sessions"] >= 1

"""One process alone, or one shell, wired for real: the real Claude Code asks the daemon, and leaves no trace of it."""

import asyncio
import contextlib
import shlex
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from claude_proxy.toggle.settings_text import BASE_URL
from tests.claude_code import Run, fresh_home, run_at_home, working_directory
from tests.claude_scenarios import LONG, answers, asks_for_a_title, send, text
from tests.commands.as_program import on_this_path
from tests.conftest import need
from tests.house.source import REPOSITORY
from tests.running import Daemon, running
from tests.stand_in import Received, StandIn, Wire, two
from tests.toggle.user import User

ANSWER = answers(text("Through the daemon."))
COMMAND = (sys.executable, "-m", "claude_proxy", "run")


@pytest.fixture
def user(tmp_path: Path) -> User:
    """Somebody who is logged in to Claude Code."""
    fresh_home(tmp_path / "home")
    return User(tmp_path / "home")


@contextlib.asynccontextmanager
async def daemon_before(claude: StandIn, home: Path) -> AsyncIterator[Daemon]:
    config = {"upstreams": {"claude": {"base_url": claude.url}}, "retry": {"max_elapsed": "0s"}}
    async with running(home, config) as daemon:
        yield daemon


async def by_run(user: User, daemon: Daemon, *program: str) -> Run:
    env = {"PYTHONPATH": str(REPOSITORY)}
    return await run_at_home(user.home, *COMMAND, "--url", daemon.url, "--", *program, env=env)


def ours(user: User) -> list[Path]:
    """Whatever of this project's lies in the home; what Claude Code writes for itself is its own affair."""
    return [path for path in user.home.rglob("*claude-proxy*") if path.name != "claude-proxy"]


async def test_claude_code_asks_the_daemon_once_and_nothing_is_left(
    claude_program: str, user: User, tmp_path: Path
) -> None:
    async with StandIn(ANSWER) as claude, daemon_before(claude, tmp_path / "daemon") as daemon:
        on = await by_run(user, daemon, claude_program, "-p", "say hi")
        assert (on.exit_code, on.stdout, on.stderr) == (0, "Through the daemon.\n", "")
        [asked] = claude.received
        assert "oauth-2025-04-20" in (asked.header("anthropic-beta") or "")  # its own login, as nothing replaces it
        off = await run_at_home(user.home, claude_program, "-p", "say hi")
        assert len(claude.received) == 1
        assert "Unable to connect to API" in off.stdout
        failed = await by_run(user, daemon, claude_program, "--no-such-option")
    assert failed.exit_code == 1
    assert "--no-such-option" in failed.stderr
    assert not user.settings.exists()
    assert ours(user) == []


@pytest.mark.parametrize("whose", ["home", "project"])
async def test_settings_that_win_are_told_and_do_win(
    whose: str, claude_program: str, user: User, tmp_path: Path
) -> None:
    async with (
        two(ANSWER, answers(text("By the settings."))) as (claude, other),
        daemon_before(claude, tmp_path / "daemon") as daemon,
    ):
        directory = user.home if whose == "home" else working_directory(user.home)
        settings = user.write(
            str(directory.relative_to(user.home) / ".claude/settings.json"),
            f'{{"env": {{"{BASE_URL}": "{other.url}"}}}}',
        )
        told = f"! {user.places.shown(settings)} has {BASE_URL} = {other.url}, which wins over this"
        ran = await by_run(user, daemon, claude_program, "-p", "say hi")
    assert (ran.exit_code, ran.stdout) == (0, "By the settings.\n")
    assert told in ran.stderr
    assert claude.received == []


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
        env = {"HAIKU_PROVIDER_API_KEY": "FAKE-minimax-key"}
        async with running(tmp_path / "daemon", {"upstreams": upstreams}, env) as daemon:
            ran = await by_run(user, daemon, claude_program, "-p", LONG)
    assert ran.stdout == "I am Claude.\n"
    assert [asks_for_a_title(asked) for asked in minimax.received] == [True]
    assert [asks_for_a_title(asked) for asked in claude.received] == [False]


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("zsh", 'eval "$(claude-proxy env --shell zsh --url URL)"'),
        ("fish", "claude-proxy env --shell fish --url URL | source"),
    ],
)
async def test_a_shell_that_has_evaluated_the_lines_starts_it_wired(
    shell: str, line: str, claude_program: str, user: User, tmp_path: Path
) -> None:
    program = need(shell, f"apt-get install {shell}")
    async with StandIn(ANSWER) as claude, daemon_before(claude, tmp_path / "daemon") as daemon:
        said = shlex.join([claude_program, "-p", "say hi"])
        command = f"{line.replace('URL', daemon.url)}; {said}"
        ran = await run_at_home(user.home, program, "-c", command, env={"PATH": on_this_path(user)})
    assert (ran.exit_code, ran.stdout, ran.stderr) == (0, "Through the daemon.\n", "")
    assert len(claude.received) == 1
    assert not user.settings.exists()

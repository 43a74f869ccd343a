"""The status line as Claude Code runs it: a process of its own, the real client's screen, and what it may import."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.claude_code import fresh_home, refusing_port, working_directory
from tests.closed_port import refusing_url
from tests.running import clean_environment, running
from tests.stand_in import Received, StandIn, Wire
from tests.terminal import program_at_terminal

# As Claude Code 2.1.197 gives it, and https://code.claude.com/docs/en/statusline describes it.
GIVEN = {
    "session_id": "f62be84f-f28b-4c11-9a54-eb8d9e476458",
    "cwd": "/home/someone/project",
    "model": {"id": "claude-haiku-4-5[1m]", "display_name": "Haiku 4.5"},
    "workspace": {"current_dir": "/home/someone/project", "project_dir": "/home/someone/project", "added_dirs": []},
    "version": "2.1.197",
    "cost": {"total_cost_usd": 0, "total_duration_ms": 632},
}
LOGIN = "sk-ant-oat01-FAKE-login-of-the-daemon"


async def statusline(
    home: Path, *arguments: str, env: Mapping[str, str] | None = None, given: bytes = json.dumps(GIVEN).encode()
) -> tuple[int, str, str]:
    """Exit code, the line, and what was complained of."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "claude_proxy", "statusline", *arguments),
        env=clean_environment(home, {"NO_COLOR": "1", **(env or {})}),
        cwd=home,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        printed, complained = await process.communicate(given)
    assert process.returncode is not None
    return process.returncode, printed.decode(), complained.decode()


async def test_a_daemon_that_runs_says_where_haiku_goes(tmp_path: Path) -> None:
    config = {"credentials": {"minimax": {"sources": ["env:FAKE_KEY"]}}}
    env = {"FAKE_KEY": "FAKE-minimax-key", "CLAUDE_CODE_OAUTH_TOKEN": LOGIN}
    async with running(tmp_path / "daemon", config, env) as daemon:
        routed = {"ANTHROPIC_BASE_URL": daemon.url}
        assert await statusline(tmp_path, env=routed) == (0, "proxy → minimax\n", "")
        assert await statusline(tmp_path, env=routed, given=b"{}") == (0, "proxy\n", "")
        assert await statusline(tmp_path, env=routed, given=b"[" * 100_000) == (0, "proxy\n", "")


async def test_an_account_of_today_is_told(tmp_path: Path) -> None:
    health = {"status": "healthy", "version": "1", "upstreams": {"a\x1b[2Jb": {"breaker": {"state": "open"}}}}

    async def answer(request: Received, wire: Wire) -> None:
        body = health if request.path == "/health" else {"list_value": "12.84", "billed": "0.10"}
        await wire.reply(200, json.dumps(body).encode())

    async with StandIn(answer) as daemon:
        code, line, complained = await statusline(tmp_path, env={"ANTHROPIC_BASE_URL": daemon.url})
    # What would steer the terminal is taken out.
    assert (code, line) == (0, "proxy · today $12.84 at list price, $0.10 billed · a[2Jb open\n")
    assert complained == ""


async def test_a_daemon_that_is_down_is_told_in_red(tmp_path: Path) -> None:
    with refusing_url() as url:
        env = {"ANTHROPIC_BASE_URL": url}
        assert await statusline(tmp_path, env=env) == (0, "proxy down: proxy-toggle status\n", "")
        code, line, _ = await statusline(tmp_path, env={**env, "NO_COLOR": ""})
    assert (code, line) == (0, "\x1b[31mproxy down: proxy-toggle status\x1b[0m\n")


@pytest.mark.parametrize("url", ["", "https://gateway.example"])
async def test_a_client_that_does_not_ask_the_daemon_is_told_so(tmp_path: Path, url: str) -> None:
    assert await statusline(tmp_path, env={"ANTHROPIC_BASE_URL": url}) == (0, "proxy off\n", "")


WRAPPED = [
    pytest.param("cat | tr a-z A-Z | cut -c1-12", '{"SESSION_ID · proxy off\n', id="sees the same stdin"),
    pytest.param("printf 'one\\ntwo\\n\\n'; echo words >&2; exit 3", "one\ntwo · proxy off\n", id="fails"),
    pytest.param("true", "proxy off\n", id="says nothing"),
    pytest.param("no-such-command", "proxy off\n", id="is not there"),
    pytest.param("", "proxy off\n", id="empty"),
    pytest.param("-h", "proxy off\n", id="looks like an option"),
]


@pytest.mark.parametrize(("command", "line"), WRAPPED)
async def test_another_status_line_is_run_and_ours_appended(tmp_path: Path, command: str, line: str) -> None:
    assert await statusline(tmp_path, "--wrap", command) == (0, line, "")
    assert await statusline(tmp_path, f"--wrap={command}") == (0, line, "")


@pytest.mark.parametrize("arguments", [["--json"], ["--wrap"], ["--wrap", "true", "more"]])
async def test_wrong_arguments_do_not_blank_the_line(tmp_path: Path, arguments: list[str]) -> None:
    code, line, complained = await statusline(tmp_path, *arguments)
    assert (code, complained) == (0, "")
    assert line == "proxy off · expected: claude-proxy statusline [--wrap 'command']\n"


async def test_its_help_is_that_of_a_command(tmp_path: Path) -> None:
    code, printed, _ = await statusline(tmp_path, "--help")
    assert code == 0
    assert "--wrap COMMAND" in printed


def test_a_reader_that_has_gone_is_no_failure(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "claude_proxy", "statusline"],
        clean_environment(tmp_path),
        file_actions=[(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, writing, 1)],
    )
    os.close(writing)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


async def test_nothing_heavy_is_imported_whether_the_daemon_is_up_or_down(tmp_path: Path) -> None:
    """Counted from the client's side: the names of all modules that the run has loaded by its end."""
    listing = "import atexit, sys; atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr)); "
    program = f"{listing}sys.argv[1:] = ['statusline']; from claude_proxy.__main__ import main; main()"
    async with running(tmp_path / "daemon") as daemon:
        with refusing_url() as nobody:
            for url, says in ((daemon.url, "proxy → claude"), (nobody, "proxy down")):
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-c", program),
                    env=clean_environment(tmp_path, {"ANTHROPIC_BASE_URL": url, "NO_COLOR": "1"}),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                )
                line, loaded = await process.communicate(b'{"model": {"id": "claude-opus-4-8"}}')
                assert line.decode().startswith(says)
                names = set(loaded.decode().split())
                assert "claude_proxy.statusline.line" in names
                heavy = {"click", "aiohttp", "yaml", "asyncio", "http.client", "ssl", "subprocess", "platformdirs"}
                assert not names & heavy
                ours = {name for name in names if name.startswith("claude_proxy.") and ".statusline" not in name}
                assert ours == {"claude_proxy.__main__"}


def test_the_real_claude_code_shows_the_line_on_its_screen(claude_program: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    fresh_home(home)
    work = working_directory(home)
    state = json.loads((home / ".claude.json").read_text())
    trusted = {str(work): {"hasTrustDialogAccepted": True, "hasCompletedProjectOnboarding": True}}
    (home / ".claude.json").write_text(json.dumps({**state, "theme": "dark", "projects": trusted}))
    wrapped = "grep -o claude-opus-[0-9]* | head -1"
    command = f"{sys.executable} -m claude_proxy statusline --wrap '{wrapped}'"
    with refusing_url() as nobody, refusing_port() as nowhere:
        settings = {
            "env": {"ANTHROPIC_BASE_URL": nobody},
            "model": "claude-opus-4-8",
            "statusLine": {"type": "command", "command": command},
        }
        (home / ".claude" / "settings.json").write_text(json.dumps(settings))
        env = {
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "TMPDIR": str(home / "tmp"),
            "LANG": "C.UTF-8",
            "USER": "tester",
            "TERM": "xterm-256color",
            "DISABLE_AUTOUPDATER": "1",
            "HTTPS_PROXY": f"http://127.0.0.1:{nowhere}",
        }
        with program_at_terminal(work, env, claude_program) as client:
            client.shows("proxy", seconds=40)
            client.shows("down:", seconds=40)
        assert "claude-opus-4" in client.screen

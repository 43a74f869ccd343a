"""`claude-proxy run`: the program takes its place, with our variables and nothing else changed."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from claude_proxy.toggle.haiku import HAIKU
from claude_proxy.toggle.settings_text import BASE_URL, HAIKU_MODEL, TOOL_SEARCH
from tests.closed_port import refusing_url
from tests.commands.as_program import claude_proxy
from tests.in_process import in_process
from tests.running import clean_environment
from tests.toggle.user import GATEWAY, User

KEY = {"FAKE_MINIMAX_KEY": "FAKE-minimax-key"}


@pytest.fixture
def user(tmp_path: Path) -> User:
    return User(tmp_path / "home")


def daemon_of(tmp_path: Path, env: dict[str, str] | None = None, **config: Any) -> Any:
    (tmp_path / "daemon").mkdir(exist_ok=True)
    return in_process(tmp_path / "daemon", config, env)


async def test_the_program_finds_what_it_would_find_and_our_variables_besides(user: User, tmp_path: Path) -> None:
    own = {"SSLKEYLOGFILE": str(tmp_path / "keys"), BASE_URL: GATEWAY, "ODD": "it's\ntwo lines"}
    async with daemon_of(tmp_path) as daemon:
        ran = await claude_proxy(user, "run", "--url", daemon.url, "--", "env", "-0", **own)
    assert (ran.code, ran.err) == (0, "")
    found = dict(line.split("=", 1) for line in ran.out.rstrip("\0").split("\0"))
    wanted = {**clean_environment(user.home), **user.environment, "TZ": "UTC", **own}
    assert found == {**wanted, BASE_URL: daemon.url, TOOL_SEARCH: "true"}
    assert user.tree() == {}
    assert not user.places.state.exists()


async def test_the_program_takes_our_place(user: User, tmp_path: Path) -> None:
    """Its process, exit code and signals are its own; so are its limits, and what it does when nobody reads."""
    async with daemon_of(tmp_path) as daemon:
        run = ("run", "--url", daemon.url, "--", "sh", "-c")
        itself = await claude_proxy(user, *run, "echo $$; exit 7")
        killed = await claude_proxy(user, *run, "kill -TERM $$")
        piped = await claude_proxy(user, *run, "yes | head -n 1")
        limits = await claude_proxy(user, *run, "ulimit -Sc; ulimit -Hc")
    assert (itself.code, itself.out) == (7, f"{itself.pid}\n")
    assert killed.code == -15
    assert (piped.out, piped.err) == ("y\n", "")
    ours = subprocess.run(["sh", "-c", "ulimit -Sc; ulimit -Hc"], capture_output=True, text=True, check=True)
    assert limits.out == ours.stdout


async def test_options_behind_the_program_are_the_program_s(user: User, tmp_path: Path) -> None:
    async with daemon_of(tmp_path) as daemon:
        url = ("--url", daemon.url)
        assert (await claude_proxy(user, "run", *url, "--", "echo", "--help", "--url")).out == "--help --url\n"
        assert (await claude_proxy(user, "run", *url, "echo", "--force", "-p")).out == "--force -p\n"
        unknown = await claude_proxy(user, "run", *url, "--frce", "--", "echo")
    assert unknown.code == 2
    assert "No such option" in unknown.err


async def test_haiku_goes_along_where_a_route_takes_it_elsewhere(user: User, tmp_path: Path) -> None:
    model = ("--", "sh", "-c", f'echo "${HAIKU_MODEL}"')
    async with daemon_of(tmp_path, KEY) as daemon:
        run = ("run", "--url", daemon.url)
        assert (await claude_proxy(user, *run, *model)).out == f"{HAIKU}\n"
        assert (await claude_proxy(user, *run, *model, **{HAIKU_MODEL: "mine"})).out == "mine\n"


async def test_nothing_is_started_while_nobody_answers_but_by_force(user: User) -> None:
    with refusing_url() as url:
        refused = await claude_proxy(user, "run", "--url", url, "--", "echo", "started")
        forced = await claude_proxy(user, "run", "--force", "--url", url, "--", "sh", "-c", f'echo "${BASE_URL}"')
    assert (refused.code, refused.out) == (3, "")
    assert refused.err == (
        f"claude-proxy: {url}: nothing answers there (connection refused). Claude Code would hang; nothing was "
        "started. Start the daemon: claude-proxy service start · or start it all the same: --force\n"
    )
    assert (forced.code, forced.out) == (0, f"{url}\n")
    assert (
        forced.err == f"! {url}: nothing answers there (connection refused). Until the daemon runs, claude will hang\n"
    )


async def test_the_daemon_is_found_by_its_configuration(user: User, tmp_path: Path) -> None:
    async with daemon_of(tmp_path) as daemon:
        mine = user.write("mine.yaml", f"listen: {{ port: {daemon.port} }}\n")
        ran = await claude_proxy(user, "run", "--config", str(mine), "--", "sh", "-c", f'echo "${BASE_URL}"')
        assert ran.out == f"{daemon.url}\n"
    user.write("mine.yaml", "listen: { port: many }\n")
    faulty = await claude_proxy(user, "run", "--config", str(mine), "--", "echo")
    assert (faulty.code, faulty.out) == (78, "")
    assert "mine.yaml:1:17 listen.port: expected a whole number" in faulty.err
    assert "nothing was started" in faulty.err


async def test_what_would_spoil_it_is_told(user: User, tmp_path: Path) -> None:
    """Settings win over the environment, the user's and the project's alike; a key replaces the login."""
    user.write(".claude/settings.json", f'{{"env": {{"{BASE_URL}": "{GATEWAY}"}}}}')
    project = user.write("project/.claude/settings.local.json", f'{{"env": {{"{BASE_URL}": "{GATEWAY}?k=FAKE"}}}}')
    async with daemon_of(tmp_path) as daemon:
        run = ("run", "--url", daemon.url, "--", "echo", "started")
        ran = await claude_proxy(user, *run, cwd=str(user.home / "project"), ANTHROPIC_API_KEY="sk-ant-api03-FAKE")
        user.write(".claude/settings.json", f'{{"env": {{"{BASE_URL}": "{daemon.url}/"}}}}')
        same = await claude_proxy(user, *run)
    assert (ran.code, ran.out) == (0, "started\n")
    users, projects, key = ran.err.splitlines()
    assert users == (
        f"! ~/.claude/settings.json has {BASE_URL} = {GATEWAY}, which wins over this: Claude Code will not use the "
        "proxy. Remove it there"
    )
    assert projects.startswith(f"! {user.places.shown(project)} has {BASE_URL} = {GATEWAY}?…, which wins")
    assert key.startswith("! ANTHROPIC_API_KEY is set in this shell: Claude Code sends it instead")
    assert "FAKE" not in ran.err
    assert (same.out, same.err) == ("started\n", "")


@pytest.mark.parametrize(
    ("program", "code", "said"),
    [
        ("no-such-program", 127, "no-such-program was not found; is it on your PATH?"),
        ("./not-executable", 126, "./not-executable cannot be run: Permission denied"),
        ("./no-interpreter", 126, "./no-interpreter cannot be run: No such file or directory"),
    ],
)
async def test_a_program_that_cannot_be_run(program: str, code: int, said: str, user: User, tmp_path: Path) -> None:
    user.write("not-executable", "#!/bin/sh\n", mode=0o644)
    user.write("no-interpreter", "#!/no/such/interpreter\n", mode=0o755)
    async with daemon_of(tmp_path) as daemon:
        ran = await claude_proxy(user, "run", "--url", daemon.url, "--", program)
    assert (ran.code, ran.out, ran.err) == (code, "", f"claude-proxy: {said}\n")


async def test_a_program_is_wanted(user: User) -> None:
    ran = await claude_proxy(user, "run")
    assert ran.code == 2
    assert "Missing argument" in ran.err

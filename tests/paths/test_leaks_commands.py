"""Every command about logins and keys, in a shell full of secrets: none is printed, lent or left behind."""

import asyncio
import contextlib
import json
import stat
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
import yaml

from tests.claude_request import bearer_of, stored_login
from tests.commands.invoking import run
from tests.fake_security import FakeSecurity
from tests.house.source import REPOSITORY
from tests.paths.canaries import (
    ACCESS_TOKEN,
    CONFIGURED_KEY,
    FILE_KEY,
    HAIKU_KEY,
    KEYRING_KEY,
    REPEATING,
    SETUP_TOKEN,
    STORED_ACCESS_TOKEN,
    STORED_REFRESH_TOKEN,
    found_in,
    on_the_wire,
)
from tests.paths.leaks import SECRET_VARIABLES, Places, assert_programs_know_nothing, claude_proxy
from tests.paths.logins import to, write_login_file
from tests.process_watch import ProcessWatch
from tests.running import clean_environment, running
from tests.scripted_claude import ScriptedClaude
from tests.secret_service import SecretService, secret_service
from tests.stand_in import Answer, StandIn, replies
from tests.terminal import at_terminal

SYNC = (sys.executable, str(REPOSITORY / "scripts" / "sync-credentials"))
NO_DAEMON = {"CLAUDE_PROXY_LISTEN__PORT": "0"}


class Shell:
    """A user at a prompt; all that the screen has shown is kept."""

    def __init__(self, home: Path, env: Mapping[str, str]) -> None:
        self.home = home
        self.env = dict(env)
        self.screen: list[tuple[str, str]] = []

    async def run(self, *arguments: str, given: str = "", program: tuple[str, ...] = (), ends: int = 0) -> str:
        code, said = await claude_proxy(self.home, self.env, *arguments, given=given.encode(), program=program)
        self.shown(" ".join(arguments), said)
        assert code == ends, said
        return said

    async def type(self, question: str, secret: str, *arguments: str, ends: int = 0) -> None:
        """At a terminal."""

        def typed() -> tuple[int, str]:
            with at_terminal(self.home, clean_environment(self.home, self.env), *arguments) as terminal:
                terminal.shows(question)
                terminal.types(secret)
                return terminal.ends(), terminal.screen

        code, said = await asyncio.to_thread(typed)
        self.shown(" ".join(arguments), said)
        assert code == ends, said

    def shown(self, command: str, said: str) -> None:
        assert "Traceback" not in said, said
        self.screen.append((command, said))

    def assert_nothing_was_shown(self) -> None:
        for command, said in self.screen:
            assert said, command
            assert found_in(said) == set(), command


@contextlib.asynccontextmanager
async def keychain(*, there: bool) -> AsyncIterator[SecretService | None]:
    """A machine with a real Secret Service, or with none."""
    if not there:
        yield None
        return
    async with secret_service() as service:
        yield service


@pytest.mark.parametrize("has_keychain", [False, True], ids=["files", "a keychain"])
async def test_no_command_shows_lends_or_leaves_a_secret(tmp_path: Path, has_keychain: bool) -> None:
    home = tmp_path / "home"
    home.mkdir()
    places, claude = Places(home), ScriptedClaude(tmp_path / "bin")
    security = FakeSecurity(tmp_path / "security")
    security.put(stored_login(STORED_ACCESS_TOKEN, STORED_REFRESH_TOKEN))
    async with keychain(there=has_keychain) as service:
        env = {**SECRET_VARIABLES, **NO_DAEMON, "PATH": claude.path, **(service.environment if service else {})}
        shell = Shell(home, env)
        with ProcessWatch(tmp_path / "seen") as watch:
            logs_in = f"umask 077\n{watch.until_seen}"
            claude.renews(places.login, STORED_ACCESS_TOKEN, logs_in, refresh_token=STORED_REFRESH_TOKEN)
            places.login.parent.mkdir()
            security.waits_for(watch.seen)
            await stores(shell)
            await looks(shell)
            await shell.run("--security", str(security.program), program=SYNC)
            holds = {
                places.login: {"the stored access token", "the stored refresh token"},
                places.copied_login: {"the stored access token"},
            }
            if service is None:
                holds[places.own("minimax")] = {"MiniMax's key in the keyring"}
                holds[places.own("setup-token")] = {"the setup-token"}
            else:
                assert await service.read("claude-proxy", "minimax") == KEYRING_KEY
                assert await service.read("claude-proxy", "setup-token") == SETUP_TOKEN
            places.assert_nothing_else_holds_a_secret(holds)
            assert_what_was_made_is_private(places)
            await forgets(shell)
            assert found_in(places.copied_login.read_text()) == {"the stored access token"}
        places.assert_nothing_else_holds_a_secret({path: holds[path] for path in (places.login, places.copied_login)})
    shell.assert_nothing_was_shown()
    assert watch.of(str(claude.program))
    assert watch.of(str(security.program))
    assert_programs_know_nothing(watch.programs)
    assert found_in(f"{claude.arguments} {claude.environment}") == set()
    assert found_in(f"{security.asked} {security.environments}") == set()


async def stores(shell: Shell) -> None:
    """By a pipe and by hand, well and badly."""
    await shell.run("init")
    await shell.run("check")
    await shell.run("key", "set", "minimax", given=FILE_KEY)
    await shell.type("The key for minimax", f"{KEYRING_KEY}\n", "key", "set", "minimax")
    await shell.run("key", "set", "minimax", given=f"{FILE_KEY}\n{HAIKU_KEY}\n", ends=1)
    await shell.run("key", "set", "setup-token", given=FILE_KEY, ends=1)
    await shell.type("The key for minimax", f"{FILE_KEY}\x03", "key", "set", "minimax", ends=130)
    await shell.run("login", "--setup-token", given=CONFIGURED_KEY, ends=1)
    await shell.run("login", "--setup-token", given=SETUP_TOKEN)
    await shell.run("login", "--console")


async def looks(shell: Shell) -> None:
    for options in ((), ("--json",)):
        await shell.run("key", "list", *options)
        await shell.run("status", *options, ends=3)
    for model in ("claude-haiku-4-5-20251001", "claude-sonnet-5-5"):
        await shell.run("explain", "--model", model)
    await shell.run("statusline")
    await shell.run("logs", ends=3)
    await shell.run("tail", ends=3)
    await shell.run("uninstall", "--purge", "--dry-run")


async def forgets(shell: Shell) -> None:
    await shell.run("key", "delete", "minimax")
    await shell.run("key", "delete", "minimax", ends=4)
    await shell.run("logout")
    await shell.run("logout", "--all", ends=4)


def assert_what_was_made_is_private(places: Places) -> None:
    keys = places.own("minimax").parent
    settings = places.home / ".config" / "claude-proxy"
    for path in (*keys.iterdir(), *settings.iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    for path in (keys, keys.parent, settings):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700, path


# --- a probe ---------------------------------------------------------------------------------------------


PROFILE = json.dumps({"account": {"email": "tester@mailbox.invalid"}, "five_hour": {"utilization": 1.0}}).encode()


@pytest.mark.parametrize("kind", ["the stored access token", "the setup-token"])
async def test_a_probe_sends_the_login_in_use_to_the_one_host_and_repeats_nothing_of_it(
    tmp_path: Path, kind: str
) -> None:
    home = tmp_path / "home"
    Places(home).store()
    source = "file" if kind == "the stored access token" else "keyring:setup-token"
    async with StandIn() as claude, StandIn() as elsewhere, StandIn() as asked:
        config = to(claude, sources=[source])
        async with running(home, config, SECRET_VARIABLES, "--log-level", "debug") as daemon:
            shell = Shell(home, {**SECRET_VARIABLES, "CLAUDE_PROXY_LISTEN__PORT": str(daemon.port)})
            command = ("status", "--probe", "--probe-url", asked.url, "--config", str(home / "config.yaml"))
            moved = replies(302, b"", [("Location", f"{elsewhere.url}/api/oauth/profile")])
            answers: Mapping[str, Answer] = {**REPEATING, "good": replies(200, PROFILE), "moved": moved}
            for number, (name, answer) in enumerate(answers.items()):
                asked.answer = answer
                _, said = await claude_proxy(home, shell.env, *command, *(("--json",) if number % 2 else ()))
                shell.shown(name, said)
            log = daemon.log
    assert on_the_wire(asked.received) == {kind}
    secret = STORED_ACCESS_TOKEN if source == "file" else SETUP_TOKEN
    assert {bearer_of(request) for request in asked.received} == {secret}
    assert (elsewhere.connections, claude.connections) == (0, 0)
    shell.assert_nothing_was_shown()
    assert found_in(log) == set()


# --- a secret in the wrong place -------------------------------------------------------------------------

NEVER_READ = "canary-Key-in-the-wrong-place-5d4e"  # no store holds it, so that nobody has learnt to hide it

MISTAKES = [
    {"credentials": {"minimax": {"sources": [NEVER_READ]}}},
    {"credentials": {"minimax": {"sources": NEVER_READ}}},
    {"credentials": {"minimax": {"sources": [f"env:{NEVER_READ}"]}}},
    {"credentials": {"minimax": NEVER_READ}},
    {"credentials": {"minimax": {"key": NEVER_READ}}},
    {"credentials": {"minimax": {"cache_ttl": NEVER_READ}}},
    {"access": {"token": NEVER_READ}},
    {"access": {"token": {"env": NEVER_READ}}},
    {"access": {"token": {"value": NEVER_READ}}},
    {"upstreams": {"minimax": {"credential": NEVER_READ}}},
    {"upstreams": {"minimax": {"auth": NEVER_READ}}},
    {"upstreams": {"minimax": {"api_key": NEVER_READ}}},
    {"upstreams": {"minimax": {"base_url": f"https://api.example/?key={NEVER_READ}"}}},
    {"upstreams": {"minimax": {"base_url": f"https://me:{NEVER_READ}@api.example"}}},
    {"sentinels": NEVER_READ},
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_a_secret_that_stands_where_its_name_belongs_is_refused_and_not_repeated(
    tmp_path: Path, mistake: dict[str, object]
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(mistake))
    for command in (("check",), ("key", "list")):
        told = run(*command, "--config", str(file))
        assert told.exit_code == 78, told.output
        assert f"{file}:" in told.stderr
        assert NEVER_READ not in told.output


async def test_of_a_copied_login_nothing_is_left_beside_the_copy(tmp_path: Path) -> None:
    """Not when the copy cannot be written either."""
    places, security = Places(tmp_path / "home"), FakeSecurity(tmp_path / "security")
    security.put(stored_login(STORED_ACCESS_TOKEN, STORED_REFRESH_TOKEN))
    write_login_file(places.login.parent, stored_login(STORED_ACCESS_TOKEN))
    places.copied_login.mkdir()
    shell = Shell(places.home, {"AUTH_TOKEN": ACCESS_TOKEN})
    await shell.run("--security", str(security.program), program=SYNC, ends=1)
    shell.assert_nothing_was_shown()
    places.assert_nothing_else_holds_a_secret({places.login: {"the stored access token"}})

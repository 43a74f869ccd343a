"""A fresh home, everything switched on and used, then taken back: nothing is left that was not there before."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest_asyncio

from tests.asking import ask
from tests.claude_code import fresh_home, run_at_home
from tests.claude_scenarios import answers, text
from tests.paths.held_streams import HeldStreams, in_the_middle
from tests.running import running
from tests.service.kept_by_systemd import systemd_that_keeps_it
from tests.service.programs import Programs
from tests.stand_in import StandIn

SETTINGS = '{\n\t"cleanupPeriodDays": 30\n}'
KEY = "FAKE-minimax-key"

TOLD = re.compile(r"^claude_proxy_(requests|ledger_records_written)_total(?:\{.*\})? (\S+)$", re.MULTILINE)

Tree = dict[str, bytes | None]


@dataclass
class User:
    """Somebody with a home, and a directory outside it for all that is the test's."""

    home: Path
    outside: Path
    programs: Programs
    port: int

    @property
    def env(self) -> dict[str, str]:
        return {"HOME": str(self.home), "CLAUDE_PROXY_LISTEN__PORT": str(self.port)}

    async def claude_proxy(self, *arguments: str, given: str = "") -> tuple[int, str, str]:
        command = " ".join(arguments)
        if not given:
            return await self.programs.claude_proxy(*arguments, env=self.env)
        process = await asyncio.create_subprocess_shell(
            f"claude-proxy {command}",
            env=self.programs.environment(self.env),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        printed, complained = await process.communicate(given.encode())
        assert process.returncode is not None
        return process.returncode, printed.decode(), complained.decode()

    async def does(self, *arguments: str) -> str:
        code, printed, complained = await self.claude_proxy(*arguments)
        assert code == 0, f"{arguments}: {printed}{complained}"
        return printed

    async def all_is_written(self) -> None:
        """Returns once the daemon's ledger has every exchange, and its files stay as they are."""
        async with asyncio.timeout(30):
            while True:
                text = (await ask(f"http://127.0.0.1:{self.port}/metrics", method="GET")).body.decode()
                told = TOLD.findall(text)
                closed = sum(float(number) for name, number in told if name == "requests")
                written = sum(float(number) for name, number in told if name == "ledger_records_written")
                if closed == written > 0 and "\nclaude_proxy_requests_in_flight 0.0\n" in text:
                    return
                await asyncio.sleep(0.05)

    def tree(self) -> Tree:
        """Everything in the home but what Claude Code keeps for itself; its settings and login are looked at."""
        own = {self.home / ".claude" / name for name in ("settings.json", ".credentials.json")}
        return {
            str(path.relative_to(self.home)): path.read_bytes() if path.is_file() else None
            for path in sorted(self.home.rglob("*"))
            if path in own or not str(path.relative_to(self.home)).startswith((".claude/", ".claude.json", "tmp/"))
        }


@pytest_asyncio.fixture
async def user(tmp_path: Path) -> AsyncIterator[User]:
    home, outside = tmp_path / "home", tmp_path / "outside"
    fresh_home(home)
    (home / ".claude" / "settings.json").write_text(SETTINGS)
    (home / ".zshenv").write_text("# mine\n")
    outside.mkdir()
    programs = Programs(outside)
    systemd_that_keeps_it(programs, outside / "systemd")
    (programs.directory / "claude-proxy").write_text(f'#!/bin/sh\nexec {sys.executable} -m claude_proxy "$@"\n')
    (programs.directory / "claude-proxy").chmod(0o755)
    async with StandIn() as free:
        port = free.port
    user = User(home, outside, programs, port)
    yield user
    await programs.claude_proxy("uninstall", "--yes", env=user.env)
    pid = outside / "systemd" / "pid"
    assert not pid.exists() or not _runs(int(pid.read_text()))


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in {"Z", "X"}


async def test_everything_is_taken_back_and_nothing_is_left(claude_program: str, user: User) -> None:
    before = user.tree()
    stamp = user.outside / "stamp"
    stamp.touch()
    async with StandIn(answers(text("Through the daemon."))) as claude:
        await user.does("init")
        config = user.home / ".config/claude-proxy/config.yaml"
        config.write_text(json.dumps({"upstreams": {"claude": {"base_url": claude.url}}}))
        assert (await user.claude_proxy("key", "set", "minimax", given=KEY))[0] == 0
        await user.does("service", "install")
        await user.does("enable")
        ran = await run_at_home(user.home, claude_program, "-p", "say hi")
        assert ran.stdout == "Through the daemon.\n"
        await user.all_is_written()

        in_use = user.tree()
        assert len(in_use) > len(before) + 8
        would = await user.does("uninstall", "--dry-run", "--purge")
        assert user.tree() == in_use
        done = await user.does("uninstall", "--purge", "--yes")
    for name in ("config.yaml", "keys", "ledger.db"):
        assert f"/claude-proxy/{name}" in would
        assert f"/claude-proxy/{name}" in done
    assert "would stop the service, once its running answers are finished, and remove ~/.config/systemd/user/" in would
    assert "would forget the key minimax, which lies in its file" in would
    assert "would be: ~/.claude/settings.json  env.ANTHROPIC_BASE_URL removed" in would
    assert user.tree() == before
    find = await asyncio.create_subprocess_exec(
        *("find", str(user.home), "-newer", str(stamp), "-not", "-type", "d"), stdout=asyncio.subprocess.PIPE
    )
    newer, _ = await find.communicate()
    claudes = (f"{user.home}/.claude/", f"{user.home}/.claude.json", f"{user.home}/tmp/")
    assert [path for path in newer.decode().split() if not path.startswith(claudes)] == []

    again = await user.does("uninstall", "--purge", "--yes")  # there is nothing to do
    assert again.splitlines()[0].startswith("The program itself: ")
    assert user.tree() == before


async def test_what_is_the_users_is_kept_unless_it_is_purged(user: User) -> None:
    await user.does("init")
    await user.claude_proxy("key", "set", "minimax", given=KEY)
    await user.does("service", "install")
    await user.does("enable", "--via", "shell")
    (user.home / ".local/share/claude-proxy/ledger.db").write_bytes(b"ledger")
    (user.home / ".local/share/claude-proxy/ledger.db-wal").write_bytes(b"wal")
    done = await user.does("uninstall", "--yes")
    kept = {
        ".config/claude-proxy/config.yaml",
        ".local/share/claude-proxy/keys/minimax",
        ".local/share/claude-proxy/ledger.db",
        ".local/share/claude-proxy/ledger.db-wal",
    }
    assert {name for name, data in user.tree().items() if "claude-proxy" in name and data is not None} == kept
    for line in ("kept ~/.config/claude-proxy/config.yaml", "kept ~/.local/share/claude-proxy/keys"):
        assert line in done
    assert "kept ~/.local/share/claude-proxy/ledger.db\n" in done
    assert "claude-proxy uninstall --purge" in done
    assert (user.home / ".zshenv").read_text() == "# mine\n"
    await user.does("uninstall", "--yes")
    assert kept <= user.tree().keys()


async def test_a_daemon_that_was_started_by_hand_finishes_its_answers_first(user: User) -> None:
    held = HeldStreams()
    async with StandIn(held.answer) as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}, "listen": {"port": user.port}}
        async with running(user.outside / "daemon", config) as daemon, in_the_middle(daemon.url, held, 1) as clients:
            uninstalling = await asyncio.create_subprocess_exec(
                *("claude-proxy", "uninstall", "--yes"),
                env=user.programs.environment(user.env),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            assert uninstalling.stderr is not None
            async with asyncio.timeout(30):
                said = await uninstalling.stderr.readline()
            assert said.decode().startswith("… it finishes 1 running answers.")
            held.let_go()
            assert await clients[0].all() == held.whole
            async with asyncio.timeout(30):
                done, _ = await uninstalling.communicate()
            assert uninstalling.returncode == 0
            assert f"✓ ended the daemon, process {daemon.process.pid}\n" in done.decode()
            assert await daemon.ended() == 0


async def test_ctrl_c_while_it_waits_leaves_the_rest_for_another_time(user: User) -> None:
    held = HeldStreams()
    state = user.home / ".local/state/claude-proxy/left"
    state.parent.mkdir(parents=True)
    state.touch()
    async with StandIn(held.answer) as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}, "listen": {"port": user.port}}
        async with running(user.outside / "daemon", config) as daemon, in_the_middle(daemon.url, held, 1):
            uninstalling = await asyncio.create_subprocess_exec(
                *("claude-proxy", "uninstall", "--yes"),
                env=user.programs.environment(user.env),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            assert uninstalling.stderr is not None
            async with asyncio.timeout(30):
                await uninstalling.stderr.readline()
                uninstalling.send_signal(signal.SIGINT)
                assert await uninstalling.communicate() == (b"", b"")
            assert uninstalling.returncode == 130
            assert state.exists()
            held.let_go()
            assert await daemon.ended() == 0
    await user.does("uninstall", "--yes")
    assert not os.path.lexists(state.parent)

"""The daemon's own side: gone, another program on its port, an older version, another configuration, a token."""

import asyncio
import contextlib
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from claude_proxy import __version__
from tests.doctor.old_daemon import Installed, daemon_of
from tests.doctor.patient import CREDENTIALS, ROUTES, Clock, Patient, assert_well, finding, first, upstreams
from tests.paths.held_streams import HeldStreams, in_the_middle
from tests.running import Daemon, eventually, running
from tests.service.programs import Programs, systemd_says
from tests.stand_in import StandIn

# What a check that asks the daemon alone has no time for.
LIGHT = "import sys, claude_proxy.doctor.{}; sys.exit('aiohttp' in sys.modules)"


@contextlib.asynccontextmanager
async def started(patient: Patient, command: str) -> AsyncIterator[Daemon]:
    """Runs the command that was named, which does not end by itself."""
    process = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", f"exec {command}"),
        env=patient.environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    daemon = Daemon(process, patient.home)
    try:
        await daemon.logged(r"event=listening ")
        yield daemon
    finally:
        await daemon.stop()


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_keyring: None) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    return home


async def test_routing_is_on_and_nobody_listens_or_another_program_does(home: Path, free_port: int) -> None:
    async with StandIn(Clock().tells()) as upstream:
        patient = Patient(home, {"listen": {"port": free_port}, "upstreams": upstreams(upstream.url)})
        config = {**patient.config, "credentials": CREDENTIALS, "routes": ROUTES}
        async with running(home / "daemon", config):
            await patient.run("enable")
            assert_well(await patient.ask())

        foreign = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(free_port)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert foreign.stdout is not None
        async with asyncio.timeout(20):
            await foreign.stdout.readline()
        found = first(await patient.ask())
        assert (found["check"], found["mark"]) == ("daemon.answers", "fail")
        assert f"127.0.0.1:{free_port} is held by " in found["says"]
        assert f"(pid {foreign.pid})" in found["says"]
        assert "claude hangs" in found["says"]
        assert found["command"] == f"kill {foreign.pid}"
        await patient.mend(found["command"])
        assert await foreign.wait() == -signal.SIGTERM

        found = first(await patient.ask())
        assert (found["check"], found["mark"]) == ("daemon.answers", "fail")
        assert found["says"].startswith(f"routing is on, but nothing answers on 127.0.0.1:{free_port} (connection ref")
        assert found["command"].endswith("claude-proxy serve")
        assert found["advice"].endswith("claude-proxy disable")
        async with started(patient, found["command"]):
            assert_well(await patient.ask())


async def test_a_daemon_that_hangs_and_one_that_ends(home: Path, free_port: int) -> None:
    held = HeldStreams()
    async with StandIn(Clock().tells(held.answer)) as upstream:
        patient = Patient(home, {"listen": {"port": free_port}, "upstreams": upstreams(upstream.url)})
        config = {**patient.config, "credentials": CREDENTIALS, "routes": ROUTES}
        async with running(home / "daemon", config) as daemon:
            await patient.run("enable")
            async with in_the_middle(daemon.url, held, 1):
                daemon.signal(signal.SIGTERM)
                await daemon.logged("event=draining")
                found = first(await patient.ask())
                assert (found["check"], found["mark"]) == ("daemon.ending", "warn")
                assert found["advice"] == "once it has ended"
                daemon.signal(signal.SIGSTOP)
                found = first(await patient.ask())
                assert (found["check"], found["mark"]) == ("daemon.answers", "fail")
                assert f"is held by claude-proxy (pid {daemon.process.pid})" in found["says"]
                assert found["command"] == f"kill -KILL {daemon.process.pid}"
                await patient.mend(found["command"])
        async with started(patient, first(await patient.ask())["command"]):
            assert_well(await patient.ask())


async def test_without_a_daemon_and_with_a_service_that_is_to_be_started(home: Path, free_port: int) -> None:
    async with StandIn(Clock().tells()) as upstream:
        patient = Patient(home, {"listen": {"port": free_port}, "upstreams": upstreams(upstream.url)})
        programs = Programs(home)
        programs.put("systemctl", systemd_says(0, "failed"))
        patient.env["PATH"] = programs.environment()["PATH"]
        unit = home / ".config/systemd/user/claude-proxy.service"
        patient.write(unit, f"[Service]\nExecStart={Path(sys.executable).parent / 'claude-proxy'} serve\n")
        report = await patient.ask()
    found = first(report)
    assert (found["check"], found["mark"]) == ("daemon.answers", "fail")
    assert found["command"].endswith("claude-proxy service start")
    assert finding(report, "service.manager")["says"] == "the service is failed (running)"


async def test_a_daemon_that_is_older_than_the_command(home: Path, free_port: int, tmp_path: Path) -> None:
    async with StandIn(Clock().tells()) as upstream:
        patient = Patient(home, {"listen": {"port": free_port}, "upstreams": upstreams(upstream.url)})
        old = Installed(tmp_path / "old")
        async with daemon_of(old, patient.file) as daemon:
            await patient.run("enable")
            found = first(await patient.ask())
            assert (found["check"], found["mark"]) == ("daemon.version", "warn")
            assert found["says"] == f"the daemon has version 0.0.1, which is older than this command's {__version__}"
            assert found["command"] == f"kill -USR2 {daemon.process.pid}"
            old.says(__version__)  # it was upgraded, and not restarted
            await patient.mend(found["command"])
            await daemon.logged(r"event=handed_over")
            assert_well(await patient.ask())

            old.says("99.0")
            daemon.signal(signal.SIGUSR2)
            await eventually(lambda: len([line for line in daemon.lines if "event=handed_over" in line]) > 1)
            found = first(await patient.ask())
            assert found["says"].startswith("the daemon has version 99.0, which is newer than")
            assert (found["command"], found["mark"]) == (None, "warn")


async def test_a_daemon_that_goes_by_another_configuration(home: Path) -> None:
    async with StandIn(Clock().tells()) as upstream, StandIn(Clock().tells()) as other:
        config = {"upstreams": upstreams(upstream.url), "credentials": CREDENTIALS, "routes": ROUTES}
        async with running(home / "daemon", config) as daemon:
            patient = Patient(home, {"listen": {"port": daemon.port}, "upstreams": upstreams(upstream.url, other.url)})
            await patient.run("enable")
            found = first(await patient.ask())
            assert (found["check"], found["mark"]) == ("daemon.configuration", "warn")
            assert "local differ" in found["says"]
            assert found["command"] == f"kill -HUP {daemon.process.pid}"
            (home / "daemon/config.yaml").write_text(patient.file.read_text())
            await patient.mend(found["command"])
            await daemon.logged("event=reloaded")
            assert_well(await patient.ask())


async def test_a_daemon_that_asks_for_a_token_which_claude_code_does_not_send(home: Path) -> None:
    async with StandIn(Clock().tells()) as upstream:
        config = {"upstreams": upstreams(upstream.url), "credentials": CREDENTIALS, "routes": ROUTES}
        async with running(home / "daemon", config, {"AUTH_TOKEN": "FAKE-token"}) as daemon:
            patient = Patient(home, {"listen": {"port": daemon.port}, "upstreams": upstreams(upstream.url)})
            await patient.run("enable")
            found = first(await patient.ask())
            assert (found["check"], found["mark"]) == ("daemon.token", "fail")
            assert '"ANTHROPIC_CUSTOM_HEADERS": "x-claude-proxy-token: …" in env of ~/.claude' in found["advice"]
            settings = json.loads(patient.settings.read_text())
            settings["env"]["ANTHROPIC_CUSTOM_HEADERS"] = "x-claude-proxy-token: FAKE-token"
            patient.write(patient.settings, json.dumps(settings))
            assert_well(await patient.ask())


@pytest.mark.parametrize("name", ["case", "daemon", "claude_code", "supervision", "installation", "ledger", "command"])
async def test_checks_that_ask_the_daemon_alone_are_light(name: str) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", LIGHT.format(name))
    assert await process.wait() == 0

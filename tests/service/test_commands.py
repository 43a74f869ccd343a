"""The commands of the service, run as a user runs them, against stand-ins of systemctl and launchctl."""

import asyncio
import json
import os
import plistlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from click.testing import CliRunner

from claude_proxy import __version__
from claude_proxy.service import commands
from tests.paths.held_streams import HeldStreams, in_the_middle
from tests.running import Daemon, running
from tests.service.programs import Programs, launchd_says, systemd_says
from tests.stand_in import StandIn

UNITS = "claude-proxy.socket claude-proxy.service"


@dataclass
class House:
    """A daemon that runs, and the programs of a manager that says that the daemon is its service."""

    daemon: Daemon
    programs: Programs
    held: HeldStreams

    @property
    def env(self) -> dict[str, str]:
        return {"CLAUDE_PROXY_LISTEN__PORT": str(self.daemon.port)}

    async def service(self, *arguments: str) -> tuple[int, str, str]:
        return await self.programs.service(*arguments, env=self.env)


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    held = HeldStreams()
    async with (
        StandIn(held.answer) as upstream,
        running(tmp_path / "daemon", {"upstreams": {"claude": {"base_url": upstream.url}}}) as daemon,
    ):
        programs = Programs(tmp_path)
        programs.put("systemctl", systemd_says(daemon.process.pid))
        programs.put("loginctl", "echo no")
        yield House(daemon, programs, held)


# --- install, uninstall --------------------------------------------------------------------------------


async def test_installing_writes_starts_and_says_so_and_uninstalling_takes_it_back(house: House) -> None:
    units = house.programs.home / ".config/systemd/user"
    code, printed, complained = await house.service("install")
    assert (code, complained) == (0, "")
    for name in UNITS.split():
        assert f"wrote {units / name}\n" in printed
    assert f"Running: {house.daemon.url}, version {__version__}\n" in printed
    assert "loginctl enable-linger" in printed
    assert "Next: proxy-toggle enable" in printed
    assert f":{house.daemon.port}\n" in (units / "claude-proxy.socket").read_text()
    assert house.programs.asked() == [
        "systemctl --user daemon-reload",
        f"systemctl --user enable {UNITS}",
        f"systemctl --user reset-failed {UNITS}",
        f"systemctl --user start {UNITS}",
    ]

    code, printed, _ = await house.service("install")  # again: nothing changes
    assert code == 0
    assert f"kept  {units / 'claude-proxy.service'}\n" in printed
    assert "old files" not in printed

    house.programs.put("systemctl", systemd_says(0, "inactive"))
    code, printed, _ = await house.service("uninstall")
    assert code == 0
    assert list(units.iterdir()) == []
    assert "proxy-toggle disable" in printed
    assert house.programs.asked()[-3:] == [
        f"systemctl --user stop --no-block {UNITS}",
        f"systemctl --user disable {UNITS}",
        "systemctl --user daemon-reload",
    ]
    assert (await house.service("uninstall"))[0] == 0


async def test_files_that_changed_under_a_running_service_are_told_of(house: House) -> None:
    units = house.programs.home / ".config/systemd/user"
    units.mkdir(parents=True)
    (units / "claude-proxy.service").write_text("[Service]\nExecStart=/old\n")
    code, printed, _ = await house.service("install")
    assert code == 0
    assert "has the old files until: claude-proxy service stop, then start" in printed


@pytest.mark.parametrize("arguments", [["install", "--print"], ["--print"]])
async def test_printing_shows_the_files_and_does_nothing(tmp_path: Path, arguments: list[str]) -> None:
    programs = Programs(tmp_path)
    programs.put("systemctl", "exit 1")
    code, printed, _ = await programs.service(*arguments)
    assert code == 0
    assert f"# {tmp_path}/.config/systemd/user/claude-proxy.service\n" in printed
    assert "\nType=notify\n" in printed
    assert "\nListenStream=127.0.0.1:8082\n" in printed
    assert programs.asked() == []
    assert not (tmp_path / ".config").exists()


async def test_the_agent_is_installed_through_launchctl(house: House) -> None:
    house.programs.put("launchctl", 'case "$1" in print) [ -e loaded ] || exit 113;; bootstrap) touch loaded;; esac')
    code, printed, _ = await house.service("uninstall", "--manager", "launchd")
    assert code == 0
    await house.daemon.stop()
    async with running(house.programs.home / "again", {"listen": {"port": house.daemon.port}}, wait=False) as daemon:
        await daemon.logged("event=listening")
        # The daemon answers before it is loaded: it is not the service.
        code, _, complained = await house.service("install", "--manager", "launchd")
        assert code == 1
        assert f"process {daemon.process.pid} answers on " in complained
        (house.programs.home / "loaded").touch()
        code, printed, _ = await house.service("install", "--manager", "launchd")
        assert code == 0
    path = house.programs.home / "Library/LaunchAgents/claude-proxy.plist"
    assert f"kept  {path}\n" in printed
    assert plistlib.loads(path.read_bytes())["Sockets"]["claude-proxy"]["SockServiceName"] == str(house.daemon.port)
    target = f"gui/{os.getuid()}/claude-proxy"
    assert house.programs.asked()[-2:] == [f"launchctl enable {target}", f"launchctl kickstart {target}"]


async def test_a_home_that_cannot_be_written_is_told(house: House) -> None:
    (house.programs.home / ".config").mkdir()
    (house.programs.home / ".config/systemd").write_text("in the way")
    code, _, complained = await house.service("install")
    assert code == 1
    assert "cannot be written: " in complained
    assert "Traceback" not in complained


@pytest.mark.parametrize(
    ("env", "why"),
    [
        ({"CLAUDE_PROXY_LISTEN__PORT": "0"}, "listen.port is 0"),
        ({"CLAUDE_PROXY_LISTEN__PORT": "many"}, "expected a whole number"),
    ],
)
async def test_a_configuration_that_makes_no_service_is_told(tmp_path: Path, env: dict[str, str], why: str) -> None:
    code, _, complained = await Programs(tmp_path).service("install", env=env)
    assert code == 78
    assert why in complained


async def test_without_a_manager_it_is_said_what_to_do(tmp_path: Path) -> None:
    code, _, complained = await Programs(tmp_path).service("status", "--manager", "launchd")
    assert code == 1
    assert "launchctl is not there: run `claude-proxy serve` yourself instead" in complained


# --- start, stop, status -------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["start", "stop", "restart"])
async def test_what_is_not_installed_is_told(house: House, command: str) -> None:
    code, _, complained = await house.service(command)
    assert code == 3
    assert complained == "claude-proxy: the service is not installed: claude-proxy service install\n"


async def test_what_does_not_start_is_told_with_its_log_and_the_holder_of_its_port(house: House) -> None:
    await house.service("install")
    # Between our question and its start somebody else took the port.
    script = f'{systemd_says(1)}\ncase "$*" in *" start "*) echo "in use" >&2; exit 1;; esac'
    house.programs.put("systemctl", script)
    code, _, complained = await house.service("start")
    assert code == 1
    assert "failed: in use\n" in complained
    assert f"Port {house.daemon.port} is held by claude-proxy (pid {house.daemon.process.pid}).\n" in complained
    assert "journalctl --user --unit claude-proxy" in complained


async def test_stopping_offers_the_way_without_it(house: House) -> None:
    await house.service("install")
    house.programs.put("systemctl", systemd_says(0, "inactive"))
    code, printed, _ = await house.service("stop")
    assert code == 0
    assert printed.startswith("Stopped.\n")
    assert "proxy-toggle disable" in printed
    assert house.programs.asked()[-1] == f"systemctl --user stop --no-block {UNITS}"


async def test_the_status_is_said_and_told_by_its_code(house: House) -> None:
    code, printed, _ = await house.service("status", "--json")
    shown = json.loads(printed)
    assert (code, shown["installed"], shown["loaded"]) == (0, False, True)
    assert shown["answers"] == {
        "pid": house.daemon.process.pid,
        "version": __version__,
        "status": "healthy",
        "in_flight": 0,
    }
    await house.service("install")
    code, printed, _ = await house.service("status")
    assert code == 0
    assert "Service  installed\n" in printed
    assert "Manager  active (running): serving\n" in printed
    assert f"Answers  pid {house.daemon.process.pid}, version {__version__}, 0 in flight on " in printed

    unit = house.programs.home / ".config/systemd/user/claude-proxy.service"
    unit.write_text("[Service]\nExecStart=/gone/claude-proxy serve\n")
    code, printed, _ = await house.service("status")
    assert code == 1
    assert "Program  /gone/claude-proxy is gone: claude-proxy service install\n" in printed

    house.programs.put("systemctl", systemd_says(0, "inactive"))
    assert (await house.service("status"))[0] == 3


async def test_running_and_not_answering_is_degraded(house: House) -> None:
    await house.service("install")
    await house.daemon.stop()
    code, printed, _ = await house.service("status")
    assert code == 1
    assert f"Answers  nobody on {house.daemon.url}\n" in printed


# --- restart -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("manager", ["systemd", "launchd"])
async def test_restarting_hands_over_to_the_new_version_at_once(house: House, manager: str) -> None:
    pid = house.daemon.process.pid
    house.programs.put("launchctl", launchd_says(pid))
    await house.service("install", "--manager", manager)
    before = house.programs.asked()
    async with in_the_middle(house.daemon.url, house.held, 2) as clients:
        code, printed, complained = await house.service("restart", "--manager", manager)
        assert (code, complained) == (0, "")
        first, second = printed.splitlines()
        assert first.endswith(f", version {__version__}, takes all new requests.")
        assert not first.startswith(f"Process {pid},")
        assert second == f"Process {pid}, version {__version__}, finishes 2 answers, then takes over again."
        house.held.let_go()
        assert await asyncio.gather(*(client.all() for client in clients)) == [house.held.whole] * 2
    await house.daemon.logged("event=draining signal=TAKEN_OVER")
    assert house.programs.asked() == before  # the manager was only asked, and told nothing


async def test_a_new_version_that_does_not_start_leaves_the_old_one(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.service("install")
    (house.daemon.home / "config.yaml").write_text("nonsense: 1\n")
    monkeypatch.setattr(commands, "_NEW_VERSION_SECONDS", 2.0)
    env = house.programs.environment(house.env)
    result = await asyncio.to_thread(CliRunner().invoke, commands.service, ["restart"], env=env)
    assert result.exit_code == 1
    assert f"process {house.daemon.process.pid}, version {__version__}, still serves" in result.stderr
    assert "The next one has not started: journalctl --user --unit claude-proxy" in result.stderr
    await house.daemon.logged("event=handover_failed")


async def test_what_does_not_run_is_started(house: House) -> None:
    await house.service("install")
    house.programs.put("systemctl", systemd_says(0, "inactive"))
    await house.daemon.stop()
    start = f'{systemd_says(0)}\ncase "$*" in *" start "*) echo "called" >&2; exit 1;; esac'
    house.programs.put("systemctl", start)
    code, _, complained = await house.service("restart")
    assert code == 1
    assert "failed: called" in complained

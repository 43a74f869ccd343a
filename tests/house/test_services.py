"""The files of the service: systemd finds nothing wrong with them, they outlast a drain, and the shipped ones fit."""

import os
import plistlib
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from claude_proxy.config.load import load
from claude_proxy.service.plan import DEFAULT_DRAIN, NAME, Plan, launch_agent, systemd_units
from tests.conftest import need
from tests.house.source import REPOSITORY

PROGRAM = "/x/claude-proxy"
UNITS = systemd_units(Plan((PROGRAM, "serve")))
BY_HAND = "%h/.local/bin/claude-proxy"
IN_A_SHELL = (
    'logs="$HOME/Library/Logs/claude-proxy"; mkdir -p "$logs" '
    '&& exec "$HOME/.local/bin/claude-proxy" serve 2>> "$logs/claude-proxy.log"'
)


def systemd_analyze(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = need("systemd-analyze", "apt-get install systemd")
    runtime = directory / "runtime"
    runtime.mkdir(mode=0o700, exist_ok=True)
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory), "XDG_RUNTIME_DIR": str(runtime)}
    command = [program, "--user", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def written(directory: Path, units: Mapping[str, str], program: str) -> list[str]:
    """The units as files; their program is one that is there, else systemd would complain of that."""
    for name, text in units.items():
        assert program in text or name.endswith(".socket")
        (directory / name).write_text(text.replace(program, "/bin/true"))
    return [str(directory / name) for name in units]


def shipped(place: str) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted((REPOSITORY / place).iterdir()) if path.suffix != ".in"}


@pytest.mark.parametrize("by_hand", [False, True])
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path, *, by_hand: bool) -> None:
    units, program = (shipped("systemd"), BY_HAND) if by_hand else (UNITS, PROGRAM)
    assert set(units) == {f"{NAME}.service", f"{NAME}.socket"}
    done = systemd_analyze(tmp_path, "verify", *written(tmp_path, units, program))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_systemd_would_find_something_wrong(tmp_path: Path) -> None:
    """That the test above can fail."""
    units = {name: text.replace("KillMode=mixed", "KillMode=gently") for name, text in UNITS.items()}
    done = systemd_analyze(tmp_path, "verify", *written(tmp_path, units, PROGRAM))
    assert "kill mode" in done.stderr


def test_the_exposure_is_the_one_that_is_documented(tmp_path: Path) -> None:
    unit, _ = written(tmp_path, UNITS, PROGRAM)
    done = systemd_analyze(tmp_path, "security", "--offline=true", "--no-pager", unit)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+) (\w+)", done.stdout)
    assert found, done.stderr
    documented = re.search(r"scores \*\*([0-9.]+) (\w+)\*\*", (REPOSITORY / "docs/service.md").read_text())
    assert documented
    assert found.groups() == documented.groups()


def test_both_managers_wait_longer_than_a_drain_may_take() -> None:
    limit = load(None, {}).drain_timeout
    assert limit == DEFAULT_DRAIN
    for unit in (UNITS[f"{NAME}.service"], shipped("systemd")[f"{NAME}.service"]):
        stop = re.search(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
        assert stop
        assert int(stop[1]) > limit
    for agent in (launch_agent(Plan((PROGRAM, "serve")), None), shipped("launchd")[f"{NAME}.plist"]):
        assert plistlib.loads(agent.encode())["ExitTimeOut"] > limit


def test_the_unit_has_what_the_daemon_relies_on() -> None:
    settings = re.findall(r"^([A-Z]\w+)=(.*)$", UNITS[f"{NAME}.service"], re.MULTILINE)
    for wanted in [
        ("Type", "notify"),
        ("Restart", "on-failure"),
        ("RestartPreventExitStatus", "78"),
        ("KillMode", "mixed"),
        ("WatchdogSec", "60"),
        ("Requires", "claude-proxy.socket"),
    ]:
        assert wanted in settings


def test_the_files_that_are_shipped_are_those_that_are_written_but_for_the_program() -> None:
    """They name no path of one machine: systemd puts the home in for %h, and launchd has a shell do so."""
    assert shipped("systemd") == {name: text.replace(PROGRAM, BY_HAND) for name, text in UNITS.items()}
    assert shipped("launchd") == {f"{NAME}.plist": launch_agent(Plan(("/bin/sh", "-c", IN_A_SHELL)), None)}


def test_the_shell_of_the_shipped_agent_starts_the_program_of_the_home_and_keeps_its_log(tmp_path: Path) -> None:
    program = tmp_path / ".local/bin/claude-proxy"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "pid $$ asked for $*" >&2\n')
    program.chmod(0o755)
    agent = plistlib.loads(shipped("launchd")[f"{NAME}.plist"].encode())
    with subprocess.Popen(agent["ProgramArguments"], env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}) as process:
        assert process.wait(20) == 0
    log = (tmp_path / "Library/Logs/claude-proxy/claude-proxy.log").read_text()
    assert log == f"pid {process.pid} asked for serve\n"  # launchd knows it by this number


@pytest.mark.parametrize("place", ["systemd", "launchd"])
def test_the_shipped_files_name_no_home(place: str) -> None:
    for text in shipped(place).values():
        assert not re.search(r"/(?:home|Users|root)/", text)

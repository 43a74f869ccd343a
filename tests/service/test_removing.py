"""A service taken away: which managers have one, how its end is waited for, and what stands in the way."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from claude_proxy.service.answering import Answering
from claude_proxy.service.control import ManagerFailed, ServiceManager
from claude_proxy.service.launchd import Launchd
from claude_proxy.service.plan import NAME, Plan
from claude_proxy.service.removing import (
    end_service,
    foreground_daemon,
    installed,
    remove_files,
    remove_sync_agent,
    sync_agent,
)
from claude_proxy.service.systemd import Systemd
from tests.closed_port import refusing_url
from tests.running import Daemon, running
from tests.service.programs import Programs, launchd_says, systemd_says

NOBODY = Plan((NAME,), port=1)
UNITS = "claude-proxy.socket claude-proxy.service"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Stand-ins on the PATH of this process."""
    programs = Programs(tmp_path)
    monkeypatch.setenv("PATH", f"{programs.directory}:{os.environ['PATH']}")
    return programs


@pytest_asyncio.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with running(tmp_path / "daemon") as daemon:
        yield daemon


def nobody_waits(answering: Answering | None) -> None:
    pytest.fail(f"{answering} is waited for")


def write_files(manager: ServiceManager) -> None:
    for path, text in manager.files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_manager_counts_by_any_of_its_files(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path)}
    assert installed(NOBODY, environment, tmp_path) == []
    systemd = Systemd(NOBODY, environment)
    write_files(systemd)
    next(iter(systemd.files())).unlink()
    assert [type(found) for found in installed(NOBODY, environment, tmp_path)] == [Systemd]
    write_files(Launchd(NOBODY, tmp_path))
    assert [type(found) for found in installed(NOBODY, environment, tmp_path)] == [Systemd, Launchd]


def test_under_systemd_it_is_waited_for_and_its_files_go(programs: Programs) -> None:
    """It says `deactivating` until it has been asked twice."""
    state = programs.home / "state"
    ending, ended = systemd_says(7, "deactivating"), systemd_says(0, "inactive")
    programs.put(
        "systemctl", f"if [ -e {state} ]; then {ended}; else {ending}; fi; case $* in *show*) touch {state};; esac"
    )
    systemd = Systemd(NOBODY, {"HOME": str(programs.home)})
    write_files(systemd)
    said: list[Answering | None] = []
    end_service(systemd, NOBODY, said.append)
    assert said == [None]
    assert remove_files(systemd) == list(systemd.files())
    assert not any(path.exists() for path in systemd.files())
    assert programs.asked() == [
        f"systemctl --user stop --no-block {UNITS}",
        f"systemctl --user disable {UNITS}",
        "systemctl --user daemon-reload",
    ]
    assert remove_files(systemd) == []


def test_a_manager_that_is_not_there_keeps_nothing_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    systemd = Systemd(NOBODY, {"HOME": str(tmp_path)})
    write_files(systemd)
    end_service(systemd, NOBODY, nobody_waits)
    remove_files(systemd)
    assert not any(path.exists() for path in systemd.files())


async def test_one_that_does_not_obey_while_a_daemon_runs_is_said(programs: Programs, daemon: Daemon) -> None:
    programs.put("systemctl", "echo 'Failed to connect to bus' >&2; exit 1")
    plan = Plan((NAME,), port=daemon.port)
    with pytest.raises(ManagerFailed, match="Failed to connect to bus"):
        await asyncio.to_thread(end_service, Systemd(plan, {"HOME": str(programs.home)}), plan, nobody_waits)


def test_an_agent_goes_with_its_file(programs: Programs) -> None:
    gone = programs.home / "gone"
    programs.put(
        "launchctl", f'case "$1" in bootout) touch {gone};; print) [ -e {gone} ] && exit 113;; esac; {launchd_says(7)}'
    )
    launchd = Launchd(NOBODY, programs.home)
    write_files(launchd)
    end_service(launchd, NOBODY, nobody_waits)
    [path] = remove_files(launchd)
    assert not path.exists()
    assert programs.asked() == [f"launchctl bootout gui/{os.getuid()}/claude-proxy"]


@pytest.mark.parametrize("script", ["", "exit 3", None])
def test_the_agent_that_copies_the_login_goes_too(programs: Programs, script: str | None) -> None:
    if script is not None:
        programs.put("launchctl", script)
    path = sync_agent(programs.home)
    assert remove_sync_agent(programs.home) is None
    path.parent.mkdir(parents=True)
    path.touch()
    assert remove_sync_agent(programs.home) == path
    assert not path.exists()
    if script is not None:
        assert programs.asked() == [f"launchctl bootout gui/{os.getuid()}/claude-proxy-sync-credentials"]


async def test_a_daemon_of_this_machine_is_known_by_its_port(daemon: Daemon) -> None:
    found = await asyncio.to_thread(foreground_daemon, Plan((NAME,), port=daemon.port))
    assert found is not None
    assert found.pid == daemon.process.pid


async def test_nobody_and_a_daemon_of_a_container_are_none(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    with refusing_url() as url:
        assert foreground_daemon(Plan((NAME,), port=int(url.rpartition(":")[2]))) is None
    # What listens for a container on this machine is the engine, and the number is of another process.
    monkeypatch.setattr("claude_proxy.service.removing.holders", lambda _: "docker-proxy (pid 4711)")
    assert await asyncio.to_thread(foreground_daemon, Plan((NAME,), port=daemon.port)) is None

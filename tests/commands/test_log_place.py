"""Where the log is: by the service that is installed, else by the daemon that runs."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from claude_proxy.commands.log_place import LogPlace, NoLog, find_log
from claude_proxy.logfile import launchd_log
from claude_proxy.service.launchd import Launchd
from claude_proxy.service.plan import Plan
from claude_proxy.service.systemd import Systemd
from tests.closed_port import refusing_url
from tests.commands.invoking import configured
from tests.running import clean_environment, eventually, running

PLAN = Plan(("/somewhere/claude-proxy", "serve"))


def test_a_systemd_unit_means_the_journal(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path)}
    for path, text in Systemd(PLAN, environment).files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert find_log(None, environment) == LogPlace(None)


def test_a_launch_agent_means_its_file(tmp_path: Path) -> None:
    for path, text in Launchd(PLAN, tmp_path).files().items():
        path.parent.mkdir(parents=True)
        path.write_text(text)
    assert find_log(None, {"HOME": str(tmp_path)}) == LogPlace(launchd_log(tmp_path))


def test_without_service_and_daemon_it_is_said_how_to_have_one(tmp_path: Path) -> None:
    with refusing_url() as url:
        config = configured(tmp_path, listen={"port": int(url.rpartition(":")[2])})
        with pytest.raises(NoLog, match=r"no daemon answers on .*claude-proxy service install") as said:
            find_log(Path(config), {"HOME": str(tmp_path)})
    assert not said.value.running


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")
async def test_a_daemon_whose_stderr_is_a_file_has_its_log_there(tmp_path: Path) -> None:
    log = tmp_path / "my.log"
    with refusing_url() as url:
        port = int(url.rpartition(":")[2])
    config = Path(configured(tmp_path, listen={"port": port}))
    with log.open("ab") as err:
        daemon = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "claude_proxy", "serve", "--config", str(config)),
            env=clean_environment(tmp_path),
            stderr=err,
        )
    try:
        await eventually(lambda: b"event=listening" in log.read_bytes(), 30)
        assert await asyncio.to_thread(find_log, config, {"HOME": str(tmp_path)}) == LogPlace(log)
    finally:
        daemon.terminate()
        await daemon.wait()


async def test_a_daemon_whose_stderr_is_no_file_is_told_of(tmp_path: Path) -> None:
    async with running(tmp_path / "daemon") as daemon:
        config = Path(configured(tmp_path, listen={"port": daemon.port}))
        with pytest.raises(NoLog) as said:
            await asyncio.to_thread(find_log, config, {"HOME": str(tmp_path)})
    assert said.value.running
    words = str(said.value)
    assert words.startswith(f"process {daemon.process.pid} is no service: its log goes to its stderr")
    assert "docker logs --follow cc-proxy" in words
    assert os.fspath(tmp_path) not in words

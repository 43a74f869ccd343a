"""The daemon as a process: what it says of itself, how it protects itself, and what it refuses to start with."""

import asyncio
import errno
import io
import json
import logging
import os
import re
import resource
import signal
import socket
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from claude_proxy import __version__
from claude_proxy.config.settings import LogSettings
from claude_proxy.daemon import EXIT_CONFIG, LoopFaults, logs_to
from claude_proxy.logline import Redactor, say
from tests.asking import ask
from tests.frozen_clock import FrozenClock
from tests.running import Daemon, running


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


IPV6 = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no ::1; enable IPv6 on its loopback device")
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, which only Linux has")


async def test_it_says_where_it_listens_with_which_version_and_configuration(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        line = next(line for line in daemon.lines if "event=listening" in line)
        assert f"url=http://127.0.0.1:{daemon.port} version={__version__} pid={daemon.process.pid}" in line
        assert f"config={tmp_path / 'config.yaml'}" in line
        assert (await ask(f"{daemon.url}/health", method="GET")).status == 200
        assert await daemon.stop() == 0
    assert all("event=" in line for line in daemon.lines if line != "(end of log)")


async def test_a_variable_of_older_proxies_that_does_nothing_is_told_at_start(tmp_path: Path) -> None:
    async with running(tmp_path, env={"SUBAGENT_MAPPINGS": "reviewer:FAKE-gpt", "OPENAI_API_KEY": "FAKE"}) as daemon:
        told = [line for line in daemon.lines if "event=not_used" in line]
    assert len(told) == 1
    assert "level=warning" in told[0]
    assert "variable=SUBAGENT_MAPPINGS" in told[0]
    assert "FAKE" not in daemon.log


@IPV6
async def test_it_serves_on_ipv6_loopback(tmp_path: Path) -> None:
    async with running(tmp_path, {"listen": {"host": "::1", "port": 0}}) as daemon:
        assert daemon.url.startswith("http://[::1]:")
        assert (await ask(f"{daemon.url}/health", method="GET")).status == 200


async def test_its_log_is_json_where_that_is_wanted(tmp_path: Path) -> None:
    async with running(tmp_path, {"log": {"format": "json"}}, wait=False) as daemon:
        await daemon.logged('"event": "listening"')
        daemon.signal(signal.SIGTERM)
        assert await daemon.ended() == 0
    events = [json.loads(line)["event"] for line in daemon.lines if line != "(end of log)"]
    assert events == ["listening", "draining", "stopped"]


async def test_it_says_little_where_only_errors_are_wanted(tmp_path: Path) -> None:
    async with running(tmp_path, None, None, "--log-level", "error", wait=False) as daemon:
        daemon.signal(signal.SIGTERM)
        await daemon.ended()
    assert [line for line in daemon.lines if "level=info" in line] == []


async def test_a_faulty_configuration_ends_it_with_78_before_it_listens(tmp_path: Path) -> None:
    async with running(tmp_path, "drain_timeout: soon\nlog: { level: loud }\n", wait=False) as daemon:
        assert await daemon.ended() == EXIT_CONFIG == 78
    assert "config.yaml:1:16 drain_timeout: expected a duration" in daemon.log
    assert "config.yaml:2:15 log.level: expected one of" in daemon.log
    assert "2 faults in the configuration" in daemon.log
    assert "Traceback" not in daemon.log


async def of_proc(daemon: Daemon, file: str) -> str:
    return await asyncio.to_thread(Path(f"/proc/{daemon.process.pid}/{file}").read_text)


@LINUX
async def test_what_it_writes_is_private_and_it_leaves_no_core(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        assert "\nUmask:\t0077\n" in await of_proc(daemon, "status")
        limits = await of_proc(daemon, "limits")
    assert re.search(r"Max core file size +0 +0 ", limits)
    soft, hard = re.findall(r"Max open files +(\d+) +(\d+) ", limits)[0]
    assert int(soft) == min(int(hard), 65536) or int(soft) == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def by_this_process() -> str:
    return f" by {Path('/proc/self/comm').read_text().strip()} (pid {os.getpid()})"


@IPV6
@LINUX
async def test_a_port_of_ipv6_that_is_taken_is_told_with_two_remedies(tmp_path: Path) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        port = taken.getsockname()[1]
        async with running(tmp_path, {"listen": {"host": "::1", "port": port}}, wait=False) as daemon:
            assert await daemon.ended() == EXIT_CONFIG
    assert daemon.lines[0] == (
        f"claude-proxy: cannot listen on ::1:{port}: Address already in use{by_this_process()}. "
        f"See who has it: lsof -i :{port}; or take another port: claude-proxy serve --port {port + 1}"
    )


async def test_an_address_that_is_not_of_this_machine_is_told(tmp_path: Path) -> None:
    config = {"listen": {"host": "192.0.2.1", "port": 0}}
    async with running(tmp_path, config, {"AUTH_TOKEN": "FAKE-token"}, wait=False) as daemon:
        assert await daemon.ended() == EXIT_CONFIG
    assert "cannot listen on 192.0.2.1:0: " in daemon.lines[0]
    assert "Traceback" not in daemon.log


# --- in this process -----------------------------------------------------------------------------------


@pytest.fixture
def logging_as_it_was() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("claude_proxy")
    before = (root.handlers[:], root.level, ours.level)
    yield
    root.handlers[:], level, own_level = before
    root.setLevel(level)
    ours.setLevel(own_level)
    logging.captureWarnings(capture=False)


@pytest.mark.usefixtures("logging_as_it_was")
@pytest.mark.parametrize("kind", ["key-value", "json"])
def test_the_log_says_what_this_package_says_and_of_others_only_trouble(kind: str) -> None:
    stream, redactor = io.StringIO(), Redactor()
    redactor.learn("FAKE-secret")
    logs_to(logging.StreamHandler(stream), LogSettings("info", kind), redactor)
    say(logging.getLogger("claude_proxy.x"), logging.INFO, "said", key="a FAKE-secret")
    say(logging.getLogger("claude_proxy.x"), logging.DEBUG, "not_said")
    logging.getLogger("aiohttp.client").info("not said: FAKE-secret")
    logging.getLogger("aiohttp.client").warning("trouble: FAKE-secret")
    first, second = stream.getvalue().splitlines()
    assert "said" in first
    assert "trouble" in second
    assert "not" not in stream.getvalue()
    assert "FAKE" not in stream.getvalue()
    assert (kind == "json") == first.startswith("{")


@pytest.mark.usefixtures("logging_as_it_was")
def test_warnings_of_python_are_lines_of_the_log() -> None:
    stream = io.StringIO()
    logs_to(logging.StreamHandler(stream), LogSettings("info", "key-value"), Redactor())
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)  # catch_warnings has taken the hook away
        warnings.warn("something is odd", UserWarning, stacklevel=1)
        logging.captureWarnings(capture=False)
    (line,) = stream.getvalue().splitlines()
    assert "level=warning" in line
    assert "something is odd" in line


# --- what no task has caught ---------------------------------------------------------------------------


async def test_what_nobody_has_caught_is_logged_with_its_cause(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    LoopFaults()(loop, {"message": "Task exception was never retrieved", "exception": LookupError("the cause")})
    assert "unhandled: Task exception was never retrieved" in caplog.text
    assert "LookupError: the cause" in caplog.text


async def test_what_has_no_exception_is_logged_by_its_message(caplog: pytest.LogCaptureFixture) -> None:
    LoopFaults()(asyncio.get_running_loop(), {"message": "something is odd"})
    (record,) = caplog.records
    assert record.getMessage() == "unhandled: something is odd"
    assert record.exc_info is None


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
async def test_a_lack_of_descriptors_is_logged_once_a_minute(number: int, caplog: pytest.LogCaptureFixture) -> None:
    clock, loop = FrozenClock(), asyncio.get_running_loop()
    faults = LoopFaults(clock)
    lack = {"message": "socket.accept() out of system resource", "exception": OSError(number, "Too many open files")}
    for _ in range(3):
        faults(loop, lack)
        clock.advance(19.0)
    assert [record.getMessage() for record in caplog.records] == ["out_of_descriptors"]
    clock.advance(3.0)
    faults(loop, lack)
    assert [record.getMessage() for record in caplog.records] == ["out_of_descriptors"] * 2


async def test_another_fault_of_the_system_is_logged_each_time(caplog: pytest.LogCaptureFixture) -> None:
    faults, loop = LoopFaults(FrozenClock()), asyncio.get_running_loop()
    for _ in range(2):
        faults(loop, {"message": "x", "exception": OSError(errno.EIO, "Input/output error")})
    assert caplog.text.count("Input/output error") == 2

"""Who listens on a port: found by /proc or lsof, named without its arguments, and nobody where it cannot be known."""

import asyncio
import os
import socket
import stat
import sys
from pathlib import Path

import pytest

from claude_proxy import port_holder
from claude_proxy.port_holder import holders, listeners
from tests.running import running

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, which only Linux has")
OWN_NAME = Path("/proc/self/comm").read_text().strip() if sys.platform == "linux" else ""


@LINUX
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_the_holder_is_named_with_its_process_id(host: str) -> None:
    with socket.create_server((host, 0)) as listening:
        assert holders(listening.getsockname()[1]) == f"{OWN_NAME} (pid {os.getpid()})"
        assert listeners(listening.getsockname()[1]) == [(os.getpid(), OWN_NAME)]


@LINUX
def test_who_only_has_a_connection_to_it_is_no_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
    with client:
        assert holders(port) == ""


@LINUX
async def test_another_daemon_is_named_for_what_it_is(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        found = await asyncio.to_thread(holders, daemon.port)
        assert found == f"claude-proxy (pid {daemon.process.pid})"


def test_a_port_that_nobody_has_has_no_holder() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert holders(bound.getsockname()[1]) == ""


# --- lsof ----------------------------------------------------------------------------------------------


def lsof(directory: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of that name, found first."""
    program = directory / "lsof"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    monkeypatch.setattr(sys, "platform", "darwin")


def test_what_lsof_says_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = f'echo "$@" > {tmp_path}/asked\nprintf "p4312\\ncclaude-proxy\\nf5\\np99\\nclaunchd\\nf7\\n"'
    lsof(tmp_path, script, monkeypatch)
    assert holders(8082) == "launchd (pid 99) and claude-proxy (pid 4312)"
    assert (tmp_path / "asked").read_text() == "-nP -iTCP:8082 -sTCP:LISTEN -Fpc\n"


@pytest.mark.parametrize("script", ["exit 1", "exec sleep 60"])
def test_a_lsof_that_fails_or_hangs_names_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    monkeypatch.setattr(port_holder, "_LSOF_SECONDS", 0.2)
    lsof(tmp_path, script, monkeypatch)
    assert holders(8082) == ""


def test_without_lsof_nobody_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert holders(8082) == ""

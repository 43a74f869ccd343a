"""Running sessions are counted as they are: real processes of that name, without their workers and the dead."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from claude_proxy.toggle import sessions
from tests.conftest import need

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="what ps tells is compared with /proc")


@pytest.fixture
def claude(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process by the name of `claude`, which is up."""
    program = tmp_path / "claude"
    shutil.copy("/bin/cat", program)
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"up\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"up\n"
        yield process
        process.stdin.close()


def test_a_session_is_found_with_the_time_of_its_start(claude: subprocess.Popen[bytes]) -> None:
    found = sessions.running()
    assert found is not None
    assert any(abs(time.time() - at) < 60 for at in found)
    assert claude.pid in {process.pid for process in sessions._from_proc(Path("/proc")) if process.name == "claude"}


def test_ps_tells_the_same_as_proc(claude: subprocess.Popen[bytes]) -> None:
    need("ps", "apt-get install procps")
    told = sessions._from_ps()
    assert told is not None
    (by_ps,) = [process for process in told if process.pid == claude.pid]
    (by_proc,) = [process for process in sessions._from_proc(Path("/proc")) if process.pid == claude.pid]
    assert (by_ps.name, by_ps.parent) == (by_proc.name, by_proc.parent) == ("claude", os.getpid())
    assert abs(by_ps.started - by_proc.started) <= 2


def test_only_those_since_a_moment_where_that_is_asked(claude: subprocess.Popen[bytes]) -> None:
    (process,) = [process for process in sessions._from_proc(Path("/proc")) if process.pid == claude.pid]
    before, after = sessions.running(since=process.started - 1), sessions.running(since=process.started + 60)
    assert before is not None
    assert any(abs(at - process.started) < 0.1 for at in before)
    assert after == []
    # Started half a second before: not since then, exactly as told.
    just_after = sessions.running(since=process.started + 0.5)
    assert just_after is not None
    assert not any(abs(at - process.started) < 0.1 for at in just_after)


def test_a_worker_of_a_session_is_none(tmp_path: Path) -> None:
    program = tmp_path / "claude"
    shutil.copy("/bin/bash", program)
    with subprocess.Popen(
        [program, "-c", f"{program} -c 'echo up; read'; true"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"up\n"
        names = [found for found in sessions._from_proc(Path("/proc")) if found.name == "claude"]
        assert process.pid in {found.parent for found in names}
        alone = {found.pid for found in sessions._sessions(names)}
        assert process.pid in alone
        assert not alone & {found.pid for found in names if found.parent == process.pid}
        process.stdin.close()


def test_the_memory_of_a_daemon_is_told_and_of_nobody_else(claude: subprocess.Popen[bytes]) -> None:
    memory = sessions.resident_memory(claude.pid)
    assert memory is not None
    assert 10_000 < memory < 1e9
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, cwd="/") as other:
        assert sessions.resident_memory(other.pid) is None
        assert other.stdin is not None
        other.stdin.close()
    assert sessions.resident_memory(2**22 + 1) is None

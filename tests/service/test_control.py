"""A manager's command: its words are kept, and it is said where it is missing, fails or hangs."""

from pathlib import Path

import pytest

from claude_proxy.service import control
from claude_proxy.service.control import ManagerFailed, run
from tests.service.programs import Programs


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    found = Programs(tmp_path)
    found.put("systemctl", 'echo said; echo complained >&2; exit "$1"')
    monkeypatch.setenv("PATH", found.environment()["PATH"])
    return found


def test_what_it_says_is_kept(programs: Programs) -> None:
    done = run("systemctl", "0")
    assert (done.stdout, done.stderr) == ("said\n", "complained\n")


def test_a_failure_is_raised_unless_it_does_not_matter(programs: Programs) -> None:
    with pytest.raises(ManagerFailed, match="`systemctl 3` failed: complained"):
        run("systemctl", "3")
    assert run("systemctl", "3", check=False).returncode == 3


def test_a_manager_that_is_not_there_is_told_with_a_remedy(programs: Programs) -> None:
    with pytest.raises(ManagerFailed, match="launchctl-x is not there: run `claude-proxy serve` yourself"):
        run("launchctl-x", "print")


def test_a_command_that_hangs_is_given_up(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_SECONDS", 0.2)
    programs.put("systemctl", "exec sleep 60")
    with pytest.raises(ManagerFailed, match="has not ended"):
        run("systemctl", "start")

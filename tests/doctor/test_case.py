"""How commands of ours are spelt so that they can be pasted, and which of them starts the daemon here."""

import socket
import sys
from pathlib import Path

import pytest

from claude_proxy.doctor.case import Case

BIN = Path(sys.executable).parent


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return tmp_path


def case(home: Path, path: Path | None = None, **env: str) -> Case:
    return Case(path, {"HOME": str(home), "PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(home / "run"), **env})


def test_a_command_is_named_by_its_path_where_path_does_not_lead_there(home: Path) -> None:
    assert case(home).own("check") == f"{BIN}/claude-proxy check"
    assert case(home, PATH=f"/bin:{BIN}").own("check") == "claude-proxy check"


def test_a_configuration_that_was_named_is_named_again(home: Path) -> None:
    file = home / "my config.yaml"
    assert case(home, file, PATH=str(BIN)).own("service start") == f"claude-proxy service start --config '{file}'"
    assert case(home, file, PATH=str(BIN)).own("key list", configured=False) == "claude-proxy key list"


def test_one_that_is_installed_nowhere_is_run_as_a_module(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(home / "python3"))
    assert case(home).own("check") == f"{home}/python3 -m claude_proxy check"


@pytest.mark.skipif(sys.platform == "darwin", reason="there is always launchd")
def test_the_daemon_is_started_by_hand_by_a_manager_or_as_the_service_that_it_is(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert case(home).start().endswith("claude-proxy serve")
    manager = home / "run/systemd/private"
    manager.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(manager.parent)  # the path of a socket is short
        listening.bind("private")
        assert case(home).start().endswith("claude-proxy service install")
        unit = home / ".config/systemd/user/claude-proxy.service"
        unit.parent.mkdir(parents=True)
        unit.write_text("[Service]\nExecStart=/x/claude-proxy serve\n")
        assert case(home).start().endswith("claude-proxy service start")

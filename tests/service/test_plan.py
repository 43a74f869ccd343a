"""What the files of the service say: read back as systemd and launchd read them."""

import os
import plistlib
import sys
from pathlib import Path

import pytest

from claude_proxy.service.plan import Plan, Unfit, find_program, launch_agent, make_plan, systemd_units

PLAN = Plan(
    ("/opt/claude proxy/claude-proxy", "serve", "--config", '/home/a "b" 100% $HOME/c.yaml'), "::1", 18082, 90.5
)


def test_the_unit_says_what_is_planned() -> None:
    unit = systemd_units(PLAN)["claude-proxy.service"]
    # Quoted as systemd.syntax(7) reads it: \" is a quote, %% is a percent sign, $$ a dollar.
    wanted = '"/opt/claude proxy/claude-proxy" serve --config "/home/a \\"b\\" 100%% $$HOME/c.yaml"'
    assert f"\nExecStart={wanted}\n" in unit
    assert "\nTimeoutStopSec=151\n" in unit
    assert "$MAINPID" in unit
    assert "@" not in unit.replace("@system-service", "")


@pytest.mark.parametrize(
    ("host", "written"), [("127.0.0.1", "127.0.0.1:8082"), ("::1", "[::1]:8082"), ("10.0.0.7", "10.0.0.7:8082")]
)
def test_the_socket_is_where_the_configuration_has_it(host: str, written: str) -> None:
    assert f"\nListenStream={written}\n" in systemd_units(Plan(("/p",), host))["claude-proxy.socket"]


def test_the_agent_key_by_key() -> None:
    log = "/Users/a & b/Library/Logs/claude-proxy/claude-proxy.log"
    assert plistlib.loads(launch_agent(PLAN, Path(log).parent).encode()) == {
        "Label": "claude-proxy",
        "ProgramArguments": list(PLAN.command),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 10,
        "ExitTimeOut": 151,
        "ProcessType": "Interactive",
        "Umask": 0o077,
        "StandardOutPath": log,
        "StandardErrorPath": log,
        "Sockets": {
            "claude-proxy": {
                "SockNodeName": "::1",
                "SockServiceName": "18082",
                "SockFamily": "IPv6",
                "SockType": "stream",
            }
        },
    }


def test_an_agent_without_logs_names_none() -> None:
    agent = plistlib.loads(launch_agent(Plan(("/p", "serve")), None).encode())
    assert "StandardErrorPath" not in agent
    assert agent["Sockets"]["claude-proxy"]["SockFamily"] == "IPv4"


# --- the plan ------------------------------------------------------------------------------------------


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The program that the command was started as: a link."""
    (tmp_path / "real").touch(mode=0o755)
    link = tmp_path / "claude-proxy"
    link.symlink_to(tmp_path / "real")
    monkeypatch.setattr(sys, "argv", [str(link)])
    return link


def test_the_program_is_named_as_it_was_called_and_not_by_what_it_leads_to(program: Path) -> None:
    assert find_program() == program
    assert make_plan("localhost", 8082, 60.0, None) == Plan((str(program), "serve"), "127.0.0.1", 8082, 60.0)


def test_a_program_of_the_path_is_made_absolute(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["claude-proxy"])
    monkeypatch.setenv("PATH", str(program.parent))
    assert find_program() == program


def test_a_configuration_is_named_by_its_whole_path(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(program.parent)
    plan = make_plan("[::1]", 8082, 60.0, Path("mine.yaml"))
    assert plan.command == (str(program), "serve", "--config", str(program.parent / "mine.yaml"))
    assert (plan.host, plan.url) == ("::1", "http://[::1]:8082")


def test_a_module_finds_the_program_beside_its_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/x/claude_proxy/__main__.py"])
    assert find_program() == Path(sys.executable).parent / "claude-proxy"


def test_without_a_program_there_is_no_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["python"])
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(Unfit, match="claude-proxy is not there"):
        find_program()


def test_a_path_that_would_break_a_line_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = tmp_path / "a\nExecStartPre=b"
    odd.mkdir()
    (odd / "claude-proxy").touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [os.fspath(odd / "claude-proxy")])
    with pytest.raises(Unfit, match="cannot be written"):
        find_program()


@pytest.mark.parametrize(("host", "port", "why"), [("box.example", 8082, "needs an address"), ("127.0.0.1", 0, "8082")])
def test_what_no_manager_can_listen_on_is_refused(program: Path, host: str, port: int, why: str) -> None:
    with pytest.raises(Unfit, match=why):
        make_plan(host, port, 60.0, None)

"""systemd is asked in the right order, and understood."""

import shutil
from pathlib import Path

import pytest

from claude_proxy.service.control import STILL_ENDING, ManagerFailed
from claude_proxy.service.plan import Plan
from claude_proxy.service.systemd import Systemd
from tests.house.source import REPOSITORY
from tests.service.programs import Programs, systemd_says


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    found = Programs(tmp_path)
    found.put("systemctl", systemd_says(4312, status="serving on http://127.0.0.1:8082"))
    monkeypatch.setenv("PATH", found.environment()["PATH"])
    return found


def systemd(tmp_path: Path, *command: str) -> Systemd:
    return Systemd(Plan(command or ("/p/claude-proxy", "serve")), {"HOME": str(tmp_path), "USER": "tester"})


def test_its_files_lie_where_systemd_looks_for_a_users_units(tmp_path: Path) -> None:
    directory = tmp_path / ".config/systemd/user"
    assert set(systemd(tmp_path).files()) == {directory / "claude-proxy.service", directory / "claude-proxy.socket"}
    moved = Systemd(Plan(("/p",)), {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "x")})
    assert {path.parent for path in moved.files()} == {tmp_path / "x/systemd/user"}


@pytest.mark.parametrize("program", ["/p/claude-proxy", "/a b/claude-proxy", '/a"b/100% c/claude-proxy', "/a\\b/c p"])
def test_the_program_of_an_installed_unit_is_read_back(tmp_path: Path, program: str) -> None:
    found = systemd(tmp_path, program, "serve", "--config", "/x y")
    assert found.program() is None
    for path, text in found.files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert found.program() == program


def test_a_unit_that_is_no_text_names_no_program(tmp_path: Path) -> None:
    found = systemd(tmp_path)
    for path in found.files():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"ExecStart=/caf\xe9")
    assert found.program() is None


def test_the_program_of_the_unit_that_is_installed_by_hand_lies_in_the_home(tmp_path: Path) -> None:
    (tmp_path / ".config/systemd/user").mkdir(parents=True)
    shutil.copy(REPOSITORY / "systemd/claude-proxy.service", tmp_path / ".config/systemd/user")
    assert systemd(tmp_path).program() == str(tmp_path / ".local/bin/claude-proxy")


def test_it_is_enabled_forgiven_and_started_socket_first(tmp_path: Path, programs: Programs) -> None:
    systemd(tmp_path).start()
    units = "claude-proxy.socket claude-proxy.service"
    assert programs.asked() == [
        f"systemctl --user enable {units}",
        f"systemctl --user reset-failed {units}",
        f"systemctl --user start {units}",
    ]


def test_stopping_takes_the_socket_too_and_does_not_wait(tmp_path: Path, programs: Programs) -> None:
    found = systemd(tmp_path)
    found.stop()
    found.forget()
    found.reread()
    assert programs.asked() == [
        "systemctl --user stop --no-block claude-proxy.socket claude-proxy.service",
        "systemctl --user disable claude-proxy.socket claude-proxy.service",
        "systemctl --user daemon-reload",
    ]


def test_what_systemd_says_is_understood(tmp_path: Path, programs: Programs) -> None:
    state = systemd(tmp_path).state()
    assert (state.loaded, state.pid, state.ending) == (True, 4312, False)
    assert state.words == "active (running): serving on http://127.0.0.1:8082"
    programs.put("systemctl", systemd_says(0, "inactive", "what it said last"))
    state = systemd(tmp_path).state()
    assert (state.loaded, state.pid, state.words) == (False, None, "inactive (running)")
    programs.put("systemctl", systemd_says(4312, "deactivating"))
    assert systemd(tmp_path).state().ending


def test_while_the_old_process_ends_no_new_one_is_started(
    tmp_path: Path, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("claude_proxy.service.systemd.ENDING_SECONDS", 0.2)
    programs.put("systemctl", systemd_says(4312, "deactivating"))
    with pytest.raises(ManagerFailed, match=STILL_ENDING):
        systemd(tmp_path).start()
    assert programs.asked() == []


def test_its_own_words_are_passed_on_where_it_fails(tmp_path: Path, programs: Programs) -> None:
    programs.put("systemctl", f'{systemd_says(1)}\ncase "$*" in *" start "*) echo "no such thing" >&2; exit 5;; esac')
    with pytest.raises(ManagerFailed, match=r"`systemctl --user start .*` failed: no such thing"):
        systemd(tmp_path).start()


def test_a_failure_to_stop_matters_only_while_it_runs(tmp_path: Path, programs: Programs) -> None:
    fails = 'case "$*" in *" stop "*) echo "no" >&2; exit 5;; esac'
    programs.put("systemctl", f"{systemd_says(0, 'inactive')}\n{fails}")
    systemd(tmp_path).stop()
    programs.put("systemctl", f"{systemd_says(1)}\n{fails}")
    with pytest.raises(ManagerFailed, match="failed: no"):
        systemd(tmp_path).stop()


@pytest.mark.parametrize(("lingers", "remarks"), [("yes", 0), ("no", 1)])
def test_who_does_not_linger_is_told_how(tmp_path: Path, programs: Programs, lingers: str, remarks: int) -> None:
    programs.put("loginctl", f"echo {lingers}")
    said = systemd(tmp_path).remarks()
    assert len(said) == remarks
    assert all("loginctl enable-linger" in remark for remark in said)


def test_it_is_said_where_the_log_is(tmp_path: Path) -> None:
    assert systemd(tmp_path).log() == "journalctl --user --unit claude-proxy"

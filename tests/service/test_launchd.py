"""launchd is asked in the right order, waited for where its commands return too early, and understood."""

import os
import socket
from pathlib import Path

import pytest

from claude_proxy.service.control import STILL_ENDING, ManagerFailed
from claude_proxy.service.launchd import Launchd
from claude_proxy.service.plan import Plan
from tests.service.programs import Programs, launchd_says

DOMAIN = f"gui/{os.getuid()}"
TARGET = f"{DOMAIN}/claude-proxy"
NOT_LOADED = 'case "$1" in print) exit 113;; esac'


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    found = Programs(tmp_path)
    found.put("launchctl", NOT_LOADED)
    monkeypatch.setenv("PATH", found.environment()["PATH"])
    return found


@pytest.fixture
def launchd(tmp_path: Path) -> Launchd:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return Launchd(Plan(("/p/claude-proxy", "serve"), port=port), tmp_path)


def test_its_file_is_named_for_its_label_and_lies_where_agents_lie(tmp_path: Path, launchd: Launchd) -> None:
    (path,) = launchd.files()
    assert path == tmp_path / "Library/LaunchAgents/claude-proxy.plist"


def test_the_program_of_an_installed_agent_is_read_back(launchd: Launchd) -> None:
    assert launchd.program() is None
    ((path, text),) = launchd.files().items()
    path.parent.mkdir(parents=True)
    path.write_text("<broken")
    assert launchd.program() is None
    path.write_text(text)
    assert launchd.program() == "/p/claude-proxy"


def test_its_log_has_a_directory_of_its_users_own(tmp_path: Path, launchd: Launchd) -> None:
    launchd.reread()
    logs = tmp_path / "Library/Logs/claude-proxy"
    assert logs.stat().st_mode & 0o777 == 0o700
    assert launchd.log() == f"tail -F {logs}/claude-proxy.log"
    assert launchd.remarks()


def test_starting_enables_and_bootstraps(launchd: Launchd, programs: Programs) -> None:
    launchd.start()
    (path,) = launchd.files()
    assert programs.asked() == [f"launchctl enable {TARGET}", f"launchctl bootstrap {DOMAIN} {path}"]


def test_an_agent_that_is_loaded_and_rests_is_kicked(launchd: Launchd, programs: Programs) -> None:
    programs.put("launchctl", 'case "$1" in print) printf "\\tstate = not running\\n";; esac')
    launchd.start()
    assert programs.asked() == [f"launchctl enable {TARGET}", f"launchctl kickstart {TARGET}"]


def test_bootstrap_is_tried_again_until_bootout_is_done(tmp_path: Path, launchd: Launchd, programs: Programs) -> None:
    """The first two times the old agent is still being unloaded."""
    script = f"""
case "$1" in
  print) exit 113;;
  bootstrap) echo x >> {tmp_path}/tries; [ $(wc -l < {tmp_path}/tries) -gt 2 ] || exit 5;;
esac"""
    programs.put("launchctl", script)
    launchd.start()
    (path,) = launchd.files()
    assert programs.asked() == [f"launchctl enable {TARGET}", *[f"launchctl bootstrap {DOMAIN} {path}"] * 3]


def test_it_is_not_tried_for_ever(launchd: Launchd, programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claude_proxy.service.launchd.ENDING_SECONDS", 0.2)
    programs.put("launchctl", f'{NOT_LOADED}\ncase "$1" in bootstrap) echo "no such file" >&2; exit 5;; esac')
    with pytest.raises(ManagerFailed, match="failed: no such file"):
        launchd.start()


def test_while_the_old_process_ends_no_new_one_is_started(
    launchd: Launchd, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("claude_proxy.service.launchd.ENDING_SECONDS", 0.2)
    programs.put("launchctl", launchd_says(4312))
    with pytest.raises(ManagerFailed, match=STILL_ENDING):
        launchd.start()
    assert programs.asked() == [f"launchctl enable {TARGET}"]


def test_stopping_boots_it_out(launchd: Launchd, programs: Programs) -> None:
    launchd.stop()
    launchd.forget()
    assert programs.asked() == [f"launchctl bootout {TARGET}"]


@pytest.mark.parametrize(
    ("loaded", "words", "fails"),
    [
        (NOT_LOADED, "3: No such process", False),
        (launchd_says(1), "36: Operation now in progress", False),
        (launchd_says(1), "1: Operation not permitted", True),
    ],
)
def test_a_bootout_that_fails_matters_only_where_it_is_not_under_way(
    launchd: Launchd, programs: Programs, loaded: str, words: str, *, fails: bool
) -> None:
    programs.put("launchctl", f'{loaded}\ncase "$1" in bootout) echo "Boot-out failed: {words}" >&2; exit 5;; esac')
    if fails:
        with pytest.raises(ManagerFailed, match=words):
            launchd.stop()
    else:
        launchd.stop()


def test_what_launchd_says_is_understood(launchd: Launchd, programs: Programs) -> None:
    assert (launchd.state().loaded, launchd.state().pid) == (False, None)
    programs.put("launchctl", launchd_says(4312))
    state = launchd.state()
    assert (state.loaded, state.pid, state.words) == (True, 4312, "running")

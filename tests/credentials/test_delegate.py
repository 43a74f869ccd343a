"""One run of `claude`: what it is given, when it is ended, and when it must not be."""

import os
import shlex
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from claude_proxy.credentials.delegate import ClaudeRun
from claude_proxy.credentials.renewal_lock import RenewalLock
from tests.scripted_claude import ScriptedClaude, is_running

LONG = 60.0
SHORT = 0.3

# As Claude Code does it around a renewal; the second waits for a sign of the test.
TAKES_THE_LOCK = 'mkdir "$HOME/.claude/.oauth_refresh.lock"'
LEAVES_THE_LOCK = 'rmdir "$HOME/.claude/.oauth_refresh.lock"'
WAITS_FOR_INPUT = "cat > /dev/null"


@pytest.fixture
def claude(tmp_path: Path) -> ScriptedClaude:
    (tmp_path / ".claude").mkdir()
    return ScriptedClaude(tmp_path / "bin")


class Runs:
    """Begins runs on a thread."""

    def __init__(self, home: Path, claude: ScriptedClaude) -> None:
        self.stopping = threading.Event()
        self.environment = {"HOME": str(home), "PATH": claude.path}
        self._threads = ThreadPoolExecutor()

    def begin(self, *command: str, timeout: float = LONG) -> "Future[str]":
        lock = RenewalLock(self.environment)
        run = ClaudeRun(command or ("claude",), self.environment, lock, timeout=timeout, stopping=self.stopping)
        return self._threads.submit(run)

    def outcome(self, *command: str, timeout: float = LONG) -> str:
        return self.begin(*command, timeout=timeout).result(LONG)


@pytest.fixture
def runs(tmp_path: Path, claude: ScriptedClaude) -> Runs:
    return Runs(tmp_path, claude)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


# --- what it is given ------------------------------------------------------------------------------------


def test_it_gets_its_arguments_a_clean_environment_and_a_place_of_its_own(
    tmp_path: Path, claude: ScriptedClaude, runs: Runs
) -> None:
    runs.environment |= {"REAL_ANTHROPIC_API_KEY": "sk-ant-api03-FAKE", "HTTPS_PROXY": "http://127.0.0.1:9"}
    assert runs.outcome("claude", "-p", "", "--verbose") == ""
    assert claude.arguments == ["-p", "", "--verbose"]
    assert set(claude.environment) == {"HOME", "PATH", "HTTPS_PROXY", "DISABLE_AUTOUPDATER"}
    assert claude.place == str(tmp_path / ".claude"), "in the home directory macOS would ask about the user's documents"


def test_without_the_logins_directory_it_runs_elsewhere(tmp_path: Path, claude: ScriptedClaude, runs: Runs) -> None:
    (tmp_path / ".claude").rmdir()
    assert runs.outcome() == ""
    assert claude.place == "/"


def test_it_has_a_session_of_its_own(claude: ScriptedClaude, runs: Runs) -> None:
    """So that Ctrl-C at the daemon's terminal does not end it in the middle of a renewal."""
    claude.does(WAITS_FOR_INPUT)
    running = runs.begin()
    wait_for(lambda: claude.runs != [])
    assert os.getsid(claude.runs[0]) == claude.runs[0] != os.getsid(0)
    runs.stopping.set()
    running.result(LONG)


def test_what_it_prints_goes_nowhere_and_holds_nothing_up(
    claude: ScriptedClaude, runs: Runs, capfd: pytest.CaptureFixture[str]
) -> None:
    claude.does("head -c 4000000 /dev/zero; head -c 4000000 /dev/zero >&2; echo FAKE-account >&2")
    assert runs.outcome() == ""
    assert capfd.readouterr() == ("", "")


# --- how it ends -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "words"),
    [("exit 0", ""), ("exit 3", "it ended with exit code 3"), ("kill -9 $$", "signal 9 ended it")],
)
def test_its_end_is_told_in_words(claude: ScriptedClaude, runs: Runs, script: str, words: str) -> None:
    claude.does(script)
    assert runs.outcome() == words


def test_a_program_that_is_missing_is_told_with_where_was_looked(runs: Runs) -> None:
    words = runs.outcome("claude-that-nobody-has")
    assert "claude-that-nobody-has was not found on PATH, nor in ~/.local/bin, " in words
    assert "name its path in refresh_command" in words
    assert "/nowhere/claude was not found; name" in runs.outcome("/nowhere/claude")


def test_a_program_that_cannot_be_run_is_told_with_the_reason(claude: ScriptedClaude, runs: Runs) -> None:
    claude.program.write_bytes(b"\x7fELF of another machine")
    assert runs.outcome() == f"{claude.program} could not be run: Exec format error"


def test_its_input_stays_open_until_the_renewal_is_over(tmp_path: Path, claude: ScriptedClaude, runs: Runs) -> None:
    """A Claude Code that reads the end of its input ends, and may lose the login that is on its way."""
    go = tmp_path / "go"
    os.mkfifo(go)
    ended = shlex.quote(str(tmp_path / "ended"))
    reads_input = f"exec 3<&0\n{{ cat <&3 > /dev/null; touch {ended}; }} &"
    renewal = f"{TAKES_THE_LOCK}\ncat {shlex.quote(str(go))}\nsleep 0.5\n[ ! -e {ended} ] || exit 9\n{LEAVES_THE_LOCK}"
    claude.does(f"{reads_input}\n{renewal}\nwait\nexit 7")
    running = runs.begin()
    wait_for((tmp_path / ".claude" / ".oauth_refresh.lock").exists)
    go.write_text("go")
    assert running.result(LONG) == "it ended with exit code 7"


def test_one_that_never_ends_is_killed_with_all_that_it_started(
    tmp_path: Path, claude: ScriptedClaude, runs: Runs
) -> None:
    child = tmp_path / "child"
    claude.does(f"sleep 300 & echo $! > {shlex.quote(str(child))}\ntrap '' TERM INT HUP\nwhile :; do sleep 300; done")
    assert runs.outcome(timeout=SHORT) == "it did not end within 0.3 s"
    for pid in (claude.runs[0], int(child.read_text())):
        wait_for(lambda pid=pid: not is_running(pid))  # type: ignore[misc]  # bound now


def test_what_it_has_left_running_ends_with_it(tmp_path: Path, claude: ScriptedClaude, runs: Runs) -> None:
    child = tmp_path / "child"
    claude.does(f"sleep 300 & echo $! > {shlex.quote(str(child))}")
    assert runs.outcome() == ""
    wait_for(lambda: not is_running(int(child.read_text())))


# --- when it must not be ended ---------------------------------------------------------------------------


def renewing(tmp_path: Path, claude: ScriptedClaude) -> Path:
    """Lets it renew until the test writes into the pipe, touching the lock as Claude Code does."""
    go, done = tmp_path / "go", tmp_path / "done"
    os.mkfifo(go)
    claude.does(
        f"{TAKES_THE_LOCK}\ncat {shlex.quote(str(go))}\necho stored > {shlex.quote(str(done))}\n{LEAVES_THE_LOCK}"
    )
    return done


def test_one_that_is_renewing_has_as_much_time_again(tmp_path: Path, claude: ScriptedClaude, runs: Runs) -> None:
    done = renewing(tmp_path, claude)
    timeout = 2.0
    running = runs.begin(timeout=timeout)
    wait_for((tmp_path / ".claude" / ".oauth_refresh.lock").exists)
    end = time.monotonic() + timeout
    wait_for(lambda: time.monotonic() > end)
    (tmp_path / "go").write_text("go")
    running.result(LONG)  # it may be ended once the lock has gone
    assert done.exists()


def test_one_that_renews_for_ever_is_ended_at_last(tmp_path: Path, claude: ScriptedClaude, runs: Runs) -> None:
    done = renewing(tmp_path, claude)
    assert runs.outcome(timeout=SHORT) == "it did not end within 0.3 s"
    assert not done.exists()
    assert not is_running(claude.runs[0])


def test_a_daemon_that_stops_ends_it_at_once(claude: ScriptedClaude, runs: Runs) -> None:
    claude.does(WAITS_FOR_INPUT)
    running = runs.begin()
    wait_for(lambda: claude.runs != [])
    runs.stopping.set()
    assert running.result(LONG) == "the daemon was stopped"
    assert not is_running(claude.runs[0])


def test_a_daemon_that_stops_lets_a_renewal_end(tmp_path: Path, claude: ScriptedClaude, runs: Runs) -> None:
    done = renewing(tmp_path, claude)
    running = runs.begin()
    wait_for((tmp_path / ".claude" / ".oauth_refresh.lock").exists)
    runs.stopping.set()
    (tmp_path / "go").write_text("go")
    running.result(LONG)  # it may be ended once the lock has gone
    assert done.exists()


def test_one_that_begins_to_renew_when_its_time_is_over_is_let_go_on(
    tmp_path: Path, claude: ScriptedClaude, runs: Runs
) -> None:
    """Stopped first, then looked at: between a look and a kill it could take the lock."""
    looks = 0
    lock_path = tmp_path / ".claude" / ".oauth_refresh.lock"

    class Lock(RenewalLock):
        def held(self) -> bool:
            nonlocal looks
            looks += 1
            if looks == 2:  # the look at the process that stands still
                lock_path.mkdir()
            return super().held()

    claude.does(f"{WAITS_FOR_INPUT}\nexit 7")
    runs.stopping.set()
    run = ClaudeRun(["claude"], runs.environment, Lock(runs.environment), timeout=LONG, stopping=runs.stopping)
    with ThreadPoolExecutor() as threads:
        running = threads.submit(run)
        wait_for(lambda: looks >= 3)
        assert not running.done()
        lock_path.rmdir()
        assert running.result(LONG) == "the daemon was stopped"

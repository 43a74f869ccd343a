"""The log as a user asks for it, against a stand-in of journalctl and against files; and how it ends."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from claude_proxy.logfile import launchd_log, renamed
from claude_proxy.service.launchd import Launchd
from claude_proxy.service.plan import Plan
from claude_proxy.service.systemd import Systemd
from tests.commands.invoking import configured
from tests.running import running
from tests.service.programs import Programs
from tests.terminal import at_terminal

PLAN = Plan(("/somewhere/claude-proxy", "serve"))
SECRET = "sk-ant-oat01-FAKE-planted-in-the-log"
LINES = [
    f"ts=2026-03-04T10:00:00.000Z level=info event=exchange id=req_cp_{number:04} status=200" for number in range(300)
]
JOURNALCTL = "journalctl --user-unit claude-proxy --output=cat --no-pager --quiet"


@pytest.fixture
def linux(tmp_path: Path) -> Programs:
    """Somebody whose service systemd keeps."""
    programs = Programs(tmp_path)
    for path, text in Systemd(PLAN, {"HOME": str(tmp_path)}).files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "journal").write_text("\n".join(["Started claude-proxy.", *LINES, f"oops {SECRET} \x1b[2J"]) + "\n")
    programs.put("journalctl", f"cat {tmp_path}/journal")
    return programs


@pytest.fixture
def macos(tmp_path: Path) -> Iterator[Path]:
    """Somebody whose service launchd keeps; the file of the log."""
    programs = Programs(tmp_path)
    programs.put("journalctl", "exit 9")
    for path, text in Launchd(PLAN, tmp_path).files().items():
        path.parent.mkdir(parents=True)
        path.write_text(text)
    log = launchd_log(tmp_path)
    log.parent.mkdir(parents=True)
    renamed(log, 1).write_text("\n".join(LINES[:150]) + "\n")
    log.write_text("\n".join(LINES[150:]) + f"\noops {SECRET}\n")
    yield log
    assert programs.asked() == []


async def logs(home: Path, *arguments: str) -> tuple[int, list[str], str]:
    """Exit code, the lines, what was complained of."""
    code, printed, complained = await Programs(home).claude_proxy("logs", *arguments)
    assert SECRET not in printed + complained
    return code, printed.splitlines(), complained


def assert_gone(pid: str) -> None:
    """One that has ended and that nobody has waited for is gone, too."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True, check=False).stdout
    assert state.strip()[:1] in {"", "Z"}


async def test_systemds_journal_is_asked_for_the_service(linux: Programs) -> None:
    code, lines, complained = await logs(linux.home)
    assert (code, complained) == (0, "")
    assert lines[-2:] == [LINES[-1], "oops [redacted] [2J"]
    assert len(lines) == 100  # a stand-in that gives more than it was asked for
    assert linux.asked() == [f"{JOURNALCTL} --lines=100"]


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (("-n", "3"), "--lines=3"),
        (("--follow",), "--lines=100 --follow"),
        (("--since", "2026-03-04T10:00:00Z", "-n", "5"), "--lines=all --since=@1772618400"),
        (("--request", "0007", "-n", "5"), "--lines=all"),
    ],
)
async def test_what_is_wanted_is_asked_of_the_journal(linux: Programs, arguments: tuple[str, ...], asked: str) -> None:
    assert (await logs(linux.home, *arguments))[0] == 0
    assert linux.asked() == [f"{JOURNALCTL} {asked}"]


async def test_one_request_is_picked_out_in_both(linux: Programs) -> None:
    assert await logs(linux.home, "--request", "req_cp_0007") == (0, [LINES[7]], "")
    code, lines, complained = await logs(linux.home, "--request", "nothing")
    assert (code, lines) == (1, [])
    assert complained == "claude-proxy: there is no such line in journalctl --user-unit claude-proxy\n"


async def test_lines_are_objects_for_programs(linux: Programs) -> None:
    _, lines, _ = await logs(linux.home, "--json", "-n", "400")
    objects = [json.loads(line) for line in lines]
    assert objects[0] == {"message": "Started claude-proxy."}
    assert (objects[1]["id"], objects[1]["status"]) == ("req_cp_0000", 200)
    assert len(objects) == 302


async def test_a_journal_that_cannot_be_read_is_said(linux: Programs) -> None:
    linux.put("journalctl", 'echo "No journal files were opened due to insufficient permissions." >&2; exit 1')
    code, lines, complained = await logs(linux.home)
    assert (code, lines) == (1, [])
    assert "insufficient permissions" in complained
    assert "ended with 1" in complained


async def test_on_macos_the_files_are_read_the_oldest_first(macos: Path, tmp_path: Path) -> None:
    assert await logs(tmp_path) == (0, [*LINES[-99:], "oops [redacted]"], "")
    assert await logs(tmp_path, "-n", "2") == (0, [LINES[-1], "oops [redacted]"], "")
    assert await logs(tmp_path, "--request", "0007") == (0, [LINES[7]], "")
    assert (await logs(tmp_path, "--since", "2026-03-04T09:59:00Z"))[1] == [*LINES, "oops [redacted]"]
    assert (await logs(tmp_path, "--since", "2026-03-04T10:01:00Z"))[0] == 1


async def test_the_daemons_own_log_is_found_where_it_was_written(tmp_path: Path) -> None:
    """Nothing is installed: the daemon is told of, and a faulty configuration too."""
    async with running(tmp_path / "daemon") as daemon:
        config = configured(tmp_path, listen={"port": daemon.port})
        code, lines, complained = await logs(tmp_path, "--config", config)
    assert (code, lines) == (1, [])
    assert "its log goes to its stderr" in complained
    assert (await logs(tmp_path, "--config", configured(tmp_path, listen={"port": daemon.port})))[0] == 3
    assert (await logs(tmp_path, "--config", configured(tmp_path, listen={"port": "x"})))[0] == 78


@pytest.mark.parametrize("arguments", [("--since", "soon"), ("--request", " "), ("-n", "-1")])
async def test_wrong_usage_is_said(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert (await logs(tmp_path, *arguments))[0] == 2


def test_ctrl_c_ends_it_quietly_with_130_and_journalctl_too(linux: Programs) -> None:
    linux.put("journalctl", f"echo $$ > {linux.home}/pid; echo followed; exec sleep 600")
    with at_terminal(linux.home, linux.environment(), "logs", "-f") as terminal:
        terminal.shows("followed")
        terminal.types("\x03")
        assert terminal.ends() == 130
    assert terminal.screen.replace("^C", "").split() == ["followed"]
    assert_gone((linux.home / "pid").read_text().strip())


async def test_what_comes_is_followed_and_sigint_ends_it_with_130(macos: Path, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "claude_proxy", "logs", "-f", "-n", "1"),
        env=Programs(tmp_path).environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(30):
        assert await process.stdout.readline() == b"oops [redacted]\n"
        with macos.open("a") as file:
            file.write("level=info event=new\n")
        assert await process.stdout.readline() == b"level=info event=new\n"
        process.send_signal(signal.SIGINT)
        printed, complained = await process.communicate()
    assert (process.returncode, printed, complained) == (130, b"", b"")


@pytest.mark.parametrize("follow", ["", "-f"])
async def test_a_reader_that_has_enough_ends_it_without_a_word(linux: Programs, follow: str) -> None:
    if follow:
        # A daemon that goes on: that nobody reads any more is noticed with the next line.
        goes_on = f"tail -n +2 {linux.home}/journal; while :; do echo level=info event=next; sleep 0.1; done"
        linux.put("journalctl", f"echo $$ > {linux.home}/pid; {goes_on}")
    command = f"{sys.executable} -m claude_proxy logs -n 300 {follow} | head -n 1"
    process = await asyncio.create_subprocess_shell(
        command,
        env=linux.environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        printed, complained = await process.communicate()
    assert (printed.decode(), complained) == (LINES[0 if follow else 1] + "\n", b"")
    if follow:
        assert_gone((linux.home / "pid").read_text().strip())

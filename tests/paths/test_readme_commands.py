"""The README's commands, run as printed in a fresh clone; one that nobody has thought of here fails the test.

Only the port is another, since 8082 may be taken on this machine.
"""

import json
import os
import re
import signal
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from tests.conftest import need
from tests.downloads import downloading
from tests.house.source import REPOSITORY
from tests.running import clean_environment

pytestmark = pytest.mark.timeout(240)  # the first installation may have to download

README = (REPOSITORY / "README.md").read_text()
DEMO, START, HEALTH = "scripts/demo", "scripts/start", "curl -s 127.0.0.1:8082/health"
RELOAD = "kill -HUP <pid>"
PROXY, TOGGLE = ".venv/bin/claude-proxy", ".venv/bin/proxy-toggle"
FAKE_KEY = "FAKE-key-of-minimax"


@dataclass(frozen=True)
class Outcome:
    """What becomes of a command that ends by itself: 0, and patterns of what it says on stdout and on stderr."""

    says: str
    hints: str = r"\A\Z"
    typed: str = ""


WHILE_IT_SERVES = {
    HEALTH: Outcome(r'"status": ?"healthy"'),
    f"{TOGGLE} enable": Outcome(r"✓ ~/\.claude/settings\.json +env\.ANTHROPIC_BASE_URL = http://127\.0\.0\.1:"),
    f"{TOGGLE} status": Outcome(r"\ARouting +on +via ~/\.claude/settings\.json\nDaemon +up "),
    f"{TOGGLE} disable": Outcome(r"✓ ~/\.claude/settings\.json +env\.ANTHROPIC_BASE_URL removed"),
    f"{PROXY} key set minimax": Outcome(r"minimax", hints=r"finds it within 30 s", typed=FAKE_KEY),
    f"{PROXY} check": Outcome(r"\Athe built-in configuration: nothing wrong\n\Z"),
    f"{PROXY} config show --sources": Outcome(
        r"\Alisten\.host .*\nlisten\.port +\d+  variable CLAUDE_PROXY_LISTEN__PORT\n"
    ),
    f"{PROXY} explain --model claude-haiku-4-5-20251001": Outcome(r"minimax.*keyring:minimax"),
    f"{PROXY} status": Outcome(r"\ADaemon +up .*\nLogin +Claude Code's own, handed on as it comes"),
    f"{PROXY} key list": Outcome(r"^minimax\b"),
    f"{PROXY} uninstall --dry-run": Outcome(r"\Awould end the daemon, process \d+"),
}

IN_THE_FOREGROUND = {DEMO, START, RELOAD}  # each has a test of its own below

_ACCOUNT = "needs an account; tests/paths runs the real Claude Code before a stand-in"
_MACOS = "needs macOS; tests/paths/test_sync_credentials.py runs the script"
_MANAGER = "needs systemd or launchd as the session's manager; tests/service does without"
_LOG = "the daemon that is started here logs to the test; tests/commands/test_logs.py has services and files"
NOT_RUN = {
    f"{PROXY} uninstall": "asks at a terminal; tests/paths/test_uninstall.py takes everything back",
    f"{PROXY} status --probe": "asks Anthropic",
    f"{PROXY} login": _ACCOUNT,
    f"{PROXY} login --setup-token": _ACCOUNT,
    "agent=~/Library/LaunchAgents/claude-proxy-sync-credentials.plist": _MACOS,
    'sed "s|@PYTHON@|$PWD/.venv/bin/python|; s|@REPOSITORY@|$PWD|; s|@HOME@|$HOME|" '
    'launchd/claude-proxy-sync-credentials.plist.in > "$agent"': _MACOS,
    'launchctl bootstrap "gui/$UID" "$agent"': _MACOS,
    f"{PROXY} logs --since 2h": _LOG,
    f"{PROXY} logs --request ID": _LOG,
    f"{PROXY} tail": "goes on until Ctrl-C; tests/commands/test_tail.py ends it so",
    "claude-proxy service install": _MANAGER,
    "claude-proxy service status": _MANAGER,
    "claude-proxy service restart": _MANAGER,
    "claude-proxy service stop": _MANAGER,
    "claude-proxy service uninstall": _MANAGER,
    'ANTHROPIC_CUSTOM_HEADERS="x-claude-proxy-token: $AUTH_TOKEN" ANTHROPIC_BASE_URL=http://127.0.0.1:8082 claude': (
        _ACCOUNT
    ),
}


def commands(text: str) -> list[str]:
    """The lines of every block but those of YAML and JSON, without comments; lines that go on are one."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    joined = "".join(
        re.sub(r"\s*\\\n\s*", " ", block) for language, block in blocks if language not in {"yaml", "json"}
    )
    lines = [re.sub(r"(?:^|\s+)# .*$", "", line).strip() for line in joined.splitlines()]
    return [line for line in lines if line]


@dataclass
class Clone:
    """A fresh clone in a home of its own."""

    directory: Path
    environment: dict[str, str]
    port: int

    def start(self, command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", "-c", command.replace("8082", str(self.port))],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, command: str, typed: str = "") -> tuple[int, str, str]:
        """Exit code, stdout and stderr."""
        with self.start(command) as process:
            said, complaint = process.communicate(typed, timeout=60)
        return process.returncode, said, complaint


def read_until(stream: IO[str] | None, pattern: str) -> str:
    """The first line that matches."""
    assert stream is not None
    read = []
    for line in stream:
        read.append(line)
        if re.search(pattern, line):
            return line
    raise AssertionError(f"it ended without {pattern!r} in:\n{''.join(read)}")


def press_ctrl_c(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """As a terminal does: everything in the foreground is told."""
    os.killpg(process.pid, signal.SIGINT)
    said, complaint = process.communicate(timeout=20)
    return process.returncode, said, complaint


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    directory = tmp_path_factory.mktemp("readme")
    copy = directory / "claude_proxy"
    subprocess.run([need("git", "apt-get install git"), "clone", "--quiet", REPOSITORY, copy], check=True, timeout=60)
    (directory / "tmp").mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {"CLAUDE_PROXY_LISTEN__PORT": str(port), "TMPDIR": str(directory / "tmp")}
    environment = clean_environment(directory / "home", downloading() | own)
    (directory / "home").mkdir()
    del environment["PYTHONWARNINGS"]  # pip is not ours
    return Clone(copy, environment, port)


def test_every_command_is_run_or_has_a_reason_why_not() -> None:
    found = commands(README)
    assert found[:3] == [DEMO, START, HEALTH]
    known = [*IN_THE_FOREGROUND, *WHILE_IT_SERVES, *NOT_RUN]
    assert len(known) == len(set(known))
    assert set(found) - set(known) == set(), "add it to one of the lists above"
    assert set(known) - set(found) == set(), "the README has it no longer"


def test_the_demo_shows_its_line_and_ctrl_c_leaves_nothing_behind(clone: Clone) -> None:
    with clone.start(DEMO) as process:
        try:
            read_until(process.stdout, r"ANTHROPIC_BASE_URL=http://127\.0\.0\.1:\d+ .*claude$")
            code, said, _ = press_ctrl_c(process)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert code == 0
    assert said.endswith("Ended. Nothing was left behind.\n")
    assert not list(Path(clone.environment["TMPDIR"]).glob("claude-proxy*"))


def test_it_starts_in_a_minute_every_command_does_what_is_said_and_ctrl_c_ends_it(clone: Clone) -> None:
    """One after another: what is stored by one is listed by a later one."""
    with clone.start(START) as process:
        try:
            read_until(process.stderr, r"event=listening .*config=built-in")
            for command, expected in WHILE_IT_SERVES.items():
                code, said, complaint = clone.run(command, expected.typed)
                assert code == 0, f"{command}: {complaint}"
                assert re.search(expected.says, said), f"{command}: {said}"
                assert re.search(expected.hints, complaint), f"{command}: {complaint}"
                assert FAKE_KEY not in said + complaint, command
            pid = json.loads(clone.run(HEALTH)[1])["pid"]
            assert clone.run(RELOAD.replace("<pid>", str(pid))) == (0, "", "")
            read_until(process.stderr, r"event=reload")
            assert press_ctrl_c(process)[0] == 0
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)

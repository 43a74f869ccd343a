"""The login is copied from the macOS keychain into a file, and a claude-proxy in a container uses that copy."""

import importlib.machinery
import importlib.util
import json
import os
import plistlib
import signal
import stat
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from claude_proxy.credentials.keychain import claude_item
from tests.claude_request import SENTINEL, bearer_of, claude_headers, stored_login
from tests.house.source import REPOSITORY
from tests.paths.logins import say_hi, to
from tests.running import clean_environment, running
from tests.stand_in import StandIn

SCRIPT = REPOSITORY / "scripts" / "sync-credentials"
TOKEN = "sk-ant-oat01-FAKE-in-the-keychain"
RENEWED = "sk-ant-oat01-FAKE-renewed"
REFRESH = "sk-ant-ort01-FAKE-refresh"


class Mac:
    """A home with a `security` that plays the keychain of macOS."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.copy = home / ".claude" / "claude-credentials.json"
        self._security = home / "security"
        self._item = home / "item"

    def holds(self, text: str) -> None:
        """The keychain's item; `security` notes how it was asked."""
        self._item.write_text(text + "\n")
        self.does(f'printf "%s\\n" "$@" > "{self.home}/asked"; env > "{self.home}/env"; cat "{self._item}"')

    def does(self, script: str) -> None:
        self._security.write_text(f"#!/bin/sh\n{script}\n")
        self._security.chmod(0o700)

    def sync(self, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, str(SCRIPT), "--security", str(self._security), *options],
            env=clean_environment(self.home, env),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert "FAKE" not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done


@pytest.fixture
def mac(tmp_path: Path) -> Mac:
    return Mac(tmp_path)


def read(path: Path) -> dict[str, object]:
    login: dict[str, object] = json.loads(path.read_text())["claudeAiOauth"]
    return login


def test_the_access_token_is_copied_and_the_refresh_token_is_not(mac: Mac) -> None:
    mac.holds(stored_login(TOKEN, REFRESH, refreshTokenExpiresAt=1, rateLimitTier="default_claude_max_5x"))
    done = mac.sync()
    assert (done.returncode, done.stdout, done.stderr) == (0, f"wrote {mac.copy}\n", "")
    login = read(mac.copy)
    assert (login["accessToken"], login["rateLimitTier"]) == (TOKEN, "default_claude_max_5x")
    assert {"expiresAt", "scopes", "subscriptionType"} <= set(login)
    assert "sk-ant-ort01" not in mac.copy.read_text()
    assert not set(login) & {"refreshToken", "refreshTokenExpiresAt"}


def test_tokens_of_other_servers_stay_in_the_keychain(mac: Mac) -> None:
    mac.holds(json.dumps({**json.loads(stored_login(TOKEN)), "mcpOAuth": {"x": {"accessToken": "FAKE-mcp"}}}))
    assert mac.sync().returncode == 0
    assert "FAKE-mcp" not in mac.copy.read_text()


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_only_the_user_may_read_the_copy(mac: Mac, umask: int) -> None:
    mac.holds(stored_login(TOKEN))
    before = os.umask(umask)
    try:
        mac.sync()
    finally:
        os.umask(before)
    assert stat.S_IMODE(mac.copy.stat().st_mode) == 0o600
    assert stat.S_IMODE(mac.copy.parent.stat().st_mode) & ~0o755 == 0


def test_while_nothing_changes_nothing_is_written(mac: Mac) -> None:
    mac.holds(stored_login(TOKEN, expiresAt=4_000_000_000_000))
    mac.sync()
    os.utime(mac.copy, ns=(1, 1))
    before = mac.copy.stat()
    done = mac.sync()
    after = mac.copy.stat()
    assert (done.returncode, done.stdout) == (0, "")
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    mac.holds(stored_login(TOKEN, "sk-ant-ort01-FAKE-another", expiresAt=4_000_000_000_000))
    mac.sync()
    assert mac.copy.stat().st_mtime_ns == before.st_mtime_ns, "the refresh token is not part of the copy"


def test_a_renewed_login_replaces_the_copy_in_one_step(mac: Mac) -> None:
    mac.holds(stored_login(TOKEN))
    mac.sync()
    with mac.copy.open() as old:
        mac.holds(stored_login(RENEWED))
        assert mac.sync().returncode == 0
        assert json.load(old)["claudeAiOauth"]["accessToken"] == TOKEN, "who had it open still reads it whole"
    assert read(mac.copy)["accessToken"] == RENEWED
    assert [path.name for path in mac.copy.parent.iterdir()] == [mac.copy.name]


def test_a_copy_that_others_could_read_becomes_private(mac: Mac) -> None:
    mac.holds(stored_login(TOKEN, expiresAt=4_000_000_000_000))
    mac.sync()
    mac.copy.chmod(0o644)
    assert mac.sync().stdout == ""
    assert stat.S_IMODE(mac.copy.stat().st_mode) == 0o600


@pytest.mark.parametrize("planted", ["a link", "a FIFO"])
def test_what_was_planted_in_its_place_is_replaced_and_not_followed(mac: Mac, planted: str) -> None:
    mac.holds(stored_login(TOKEN))
    precious = mac.home / "precious"
    precious.write_text("precious")
    mac.copy.parent.mkdir()
    if planted == "a link":
        mac.copy.symlink_to(precious)
    else:
        os.mkfifo(mac.copy)
    assert mac.sync().returncode == 0
    assert precious.read_text() == "precious"
    assert mac.copy.is_file()
    assert not mac.copy.is_symlink()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 44", "holds no login of Claude Code: run `claude`"),
        ("exit 36", "is locked: security unlock-keychain"),
        ("exit 51", "macOS denied access: allow `security`"),
        ("echo FAKE; echo FAKE >&2; exit 7", "security ended with exit code 7"),
        ("echo '{\"FAKE'", "not valid JSON"),
        ("echo '[]'", "holds no login"),
        ("echo '{\"mcpOAuth\": {}}'", "holds no login"),
        ("echo '{\"claudeAiOauth\": {\"accessToken\": \"\"}}'", "holds no login"),
    ],
)  # fmt: skip
def test_a_keychain_that_refuses_is_told_with_the_remedy_and_the_copy_stays(mac: Mac, script: str, words: str) -> None:
    mac.holds(stored_login(TOKEN))
    mac.sync()
    before = mac.copy.read_bytes()
    mac.does(script)
    done = mac.sync()
    assert done.returncode == 4
    assert words in done.stderr
    assert mac.copy.read_bytes() == before


def test_without_security_that_is_told(mac: Mac) -> None:
    done = mac.sync()
    assert done.returncode == 4
    assert "could not be run: No such file or directory" in done.stderr


def test_a_prompt_that_nobody_answers_is_given_up_and_ended(mac: Mac) -> None:
    mac.does(f'sleep 300 & echo $! > "{mac.home}/pid"; wait')
    done = mac.sync("--timeout", "0.5")
    assert done.returncode == 4
    assert "no answer from the keychain within 0.5 s" in done.stderr
    pid = int((mac.home / "pid").read_text())
    state = Path(f"/proc/{pid}/stat")
    try:
        assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"
    finally:
        if state.exists():
            os.kill(pid, signal.SIGKILL)


def test_a_place_that_cannot_be_written_is_told(mac: Mac) -> None:
    mac.holds(stored_login(TOKEN))
    (mac.home / ".claude").write_text("no directory")
    done = mac.sync()
    assert done.returncode == 1
    assert f"{mac.copy} could not be written" in done.stderr


def test_security_is_asked_for_the_one_item_and_sees_nothing_of_the_environment(mac: Mac) -> None:
    mac.holds(stored_login(TOKEN))
    mac.sync(REAL_ANTHROPIC_API_KEY="FAKE-key")
    asked = (mac.home / "asked").read_text().splitlines()
    assert asked == ["find-generic-password", "-s", "Claude Code-credentials", "-a", "tester", "-w"]
    assert "FAKE" not in (mac.home / "env").read_text()


def script_as_module() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("sync_credentials", str(SCRIPT))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"USER": "a.b"},
        {"USER": "DOMAIN\\user"},
        {"USER": "tester", "CLAUDE_CONFIG_DIR": "/home/re\u0301mi"},
        {"CLAUDE_CONFIG_DIR": "/a", "CLAUDE_SECURESTORAGE_CONFIG_DIR": "/b"},
    ],
)
def test_the_item_is_the_one_that_the_daemon_would_read(environment: dict[str, str]) -> None:
    """The script stands alone, so what it knows of the item stands there twice."""
    assert script_as_module().item(environment) == claude_item(environment)


async def test_a_claude_proxy_uses_the_copy_for_claude_code_and_for_nothing_else(mac: Mac) -> None:
    mac.holds(stored_login(TOKEN))
    mac.sync()
    sources = ["client", f"file:{mac.copy}"]
    async with StandIn() as claude, running(mac.home, to(claude, sources=sources)) as daemon:
        placeholder = {"x-api-key": SENTINEL}
        assert (await say_hi(daemon, claude_headers(placeholder))).status == 200
        assert bearer_of(claude.received[-1]) == TOKEN
        assert (await say_hi(daemon, claude_headers(placeholder, user_agent="curl/8"))).status == 403
        assert len(claude.received) == 1
        mac.copy.chmod(0o640)
        daemon.signal(signal.SIGHUP)
        await daemon.logged("event=reloaded")
        refused = await say_hi(daemon, claude_headers(placeholder))
        assert refused.status == 403
        assert f"chmod 600 {mac.copy}" in refused.body.decode()
        assert "FAKE" not in daemon.log


def test_the_launch_agent_runs_it_every_five_minutes_in_the_users_session() -> None:
    template = (REPOSITORY / "launchd" / "claude-proxy-sync-credentials.plist.in").read_text()
    filled = template.replace("@PYTHON@", "/p/python").replace("@REPOSITORY@", "/r").replace("@HOME@", "/h")
    assert "@" not in filled
    agent = plistlib.loads(filled.encode())
    assert agent["Label"] == "claude-proxy-sync-credentials"
    assert agent["ProgramArguments"] == ["/p/python", "/r/scripts/sync-credentials"]
    assert (agent["StartInterval"], agent["RunAtLoad"], agent["Umask"]) == (300, True, 0o077)
    assert agent["StandardErrorPath"] == "/h/Library/Logs/claude-proxy-sync-credentials.log"
    assert "KeepAlive" not in agent, "it ends each time, and that is no failure"
    assert os.access(SCRIPT, os.X_OK)

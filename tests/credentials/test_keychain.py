"""The OS keychain: through `security` as on macOS, and through keyring as everywhere else."""

import asyncio
import hashlib
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import keyring
import keyring.errors
import pytest
from keyring.backend import KeyringBackend

from claude_proxy.credentials.credential import CredentialUnavailable
from claude_proxy.credentials.keychain import CLAUDE_SERVICE, OWN_SERVICE, SECURITY, KeychainSource, claude_item
from claude_proxy.credentials.login import read_login
from tests.claude_request import stored_login
from tests.credentials.fakes import KEY, LOGIN, key_at
from tests.running import eventually

# --- whose item ------------------------------------------------------------------------------------------


DECOMPOSED = "/home/re\u0301mi"  # the accent as a character of its own, as macOS writes it
COMPOSED = "/home/r\u00e9mi"


def digits(directory: str) -> str:
    return hashlib.sha256(directory.encode()).hexdigest()[:8]


@pytest.mark.parametrize(
    ("environment", "service"),
    [
        ({}, CLAUDE_SERVICE),
        ({"CLAUDE_CONFIG_DIR": ""}, CLAUDE_SERVICE),
        ({"CLAUDE_CONFIG_DIR": "/home/u/claude"}, f"{CLAUDE_SERVICE}-{digits('/home/u/claude')}"),
        (
            {"CLAUDE_CONFIG_DIR": "/a", "CLAUDE_SECURESTORAGE_CONFIG_DIR": "/b"},
            f"{CLAUDE_SERVICE}-{digits('/b')}",
        ),
        ({"CLAUDE_CONFIG_DIR": DECOMPOSED}, f"{CLAUDE_SERVICE}-{digits(COMPOSED)}"),
    ],
    ids=["none", "empty", "a directory of its own", "a directory for secrets", "an accent"],
)
def test_the_item_of_claude_code_goes_by_its_configuration_directory(environment: dict[str, str], service: str) -> None:
    assert claude_item({"USER": "tester", **environment}) == (service, "tester")


@pytest.mark.parametrize(
    ("user", "account"),
    [
        ("a.b-c_9", "a.b-c_9"),
        ("", "claude-code-user"),
        ("DOMAIN\\user", "claude-code-user"),
        ("a b", "claude-code-user"),
    ],
)
def test_the_account_is_the_user_where_its_name_is_plain(user: str, account: str) -> None:
    assert claude_item({"USER": user}) == (CLAUDE_SERVICE, account)


def test_the_program_that_is_asked_on_macos_goes_by_its_whole_path() -> None:
    assert SECURITY == "/usr/bin/security"


def test_without_a_user_the_account_is_claude_codes_own_stand_in() -> None:
    assert claude_item({}) == (CLAUDE_SERVICE, "claude-code-user")


# --- through security ------------------------------------------------------------------------------------


class Security:
    """A shell script in the place of /usr/bin/security."""

    def __init__(self, program: Path) -> None:
        self._program = program

    def __call__(self, script: str) -> None:
        self._program.write_text(f"#!/bin/sh\n{script}\n")
        self._program.chmod(0o700)

    def item(self, timeout: float = 20) -> KeychainSource:
        """Claude Code's item, read through it."""
        program = str(self._program)
        return KeychainSource(
            "keychain", CLAUDE_SERVICE, "tester", read_login, timeout=timeout, through_security=True, security=program
        )


@pytest.fixture
def security(tmp_path: Path) -> Security:
    return Security(tmp_path / "security")


async def test_security_is_asked_for_the_one_item_and_its_output_is_the_login(
    tmp_path: Path, security: Security
) -> None:
    (tmp_path / "item").write_text(stored_login(LOGIN) + "\n")
    security(
        f"printf '%s\\n' \"$@\" > {shlex.quote(str(tmp_path / 'asked'))}; cat {shlex.quote(str(tmp_path / 'item'))}"
    )
    source = security.item()
    assert source.present() is None
    found = await source.read()
    assert found is not None
    assert (found.secret, found.source, source.reads) == (LOGIN, "keychain", 1)
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked == ["find-generic-password", "-s", CLAUDE_SERVICE, "-a", "tester", "-w"]


async def test_an_item_that_does_not_exist_is_no_credential(security: Security) -> None:
    security("exit 44")
    assert await security.item().read() is None


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (36, "is locked; unlock it: security unlock-keychain"),
        (51, "denied access; allow `security` in Keychain Access"),
        (1, "security ended with exit code 1"),
        (128, "asked for permission and got none"),
        (60, "security ended with exit code 60"),
    ],
)
async def test_each_exit_code_of_security_has_its_own_words(security: Security, code: int, words: str) -> None:
    security(f"echo FAKE-secret; echo FAKE-secret >&2; exit {code}")
    with pytest.raises(CredentialUnavailable) as complaint:
        await security.item().read()
    assert words in str(complaint.value)
    assert f"{CLAUDE_SERVICE!r} (account 'tester')" in str(complaint.value)
    assert "FAKE" not in str(complaint.value)


async def test_without_security_the_complaint_says_so(security: Security, tmp_path: Path) -> None:
    with pytest.raises(CredentialUnavailable, match="security could not be run: No such file or directory"):
        await security.item().read()


async def test_security_sees_nothing_of_the_proxys_environment(
    tmp_path: Path, security: Security, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REAL_ANTHROPIC_API_KEY", KEY)
    security(f"env > {shlex.quote(str(tmp_path / 'env'))}; exit 44")
    await security.item().read()
    names = {line.partition("=")[0] for line in (tmp_path / "env").read_text().splitlines()}
    assert {"PATH", "HOME"} <= names
    assert KEY not in (tmp_path / "env").read_text()
    assert names <= {"PATH", "HOME", "PWD", "SHLVL", "_", "OLDPWD"}


def is_running(pid: int) -> bool:
    """Whether a process is there and no mere zombie that nobody has waited for yet."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


async def test_a_prompt_that_nobody_answers_is_killed_with_all_its_children(tmp_path: Path, security: Security) -> None:
    pids = tmp_path / "pids"
    written = shlex.quote(str(pids))
    security(f"sleep 300 & echo $! $$ > {written}.new; mv {written}.new {written}; wait")
    source = security.item(timeout=0.5)
    with pytest.raises(CredentialUnavailable, match=r"no answer within 0\.5 s"):
        await source.read()
    await eventually(pids.exists)
    child, parent = (int(word) for word in pids.read_text().split())
    try:
        await eventually(lambda: not is_running(child) and not is_running(parent))
    finally:
        for pid in (child, parent):
            if is_running(pid):
                os.kill(pid, signal.SIGKILL)


async def test_requests_that_come_together_show_one_prompt(tmp_path: Path, security: Security) -> None:
    asked, gate = tmp_path / "asked", tmp_path / "gate"
    os.mkfifo(gate)
    security(f"echo asked >> {shlex.quote(str(asked))}; cat {shlex.quote(str(gate))} > /dev/null; exit 44")
    source = security.item()
    waiting = [asyncio.create_task(source.read()) for _ in range(20)]
    await eventually(asked.exists)
    await asyncio.to_thread(gate.write_text, "answered")
    assert await asyncio.gather(*waiting) == [None] * 20
    assert asked.read_text() == "asked\n"
    assert source.reads == 1


# --- through keyring -------------------------------------------------------------------------------------


class FakeKeyring(KeyringBackend):
    """Gives what its test says, or raises it."""

    priority = 1.0

    def __init__(self, outcome: Callable[[], str | None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # keyring has no types there
        self.outcome = outcome
        self.asked: list[tuple[str, str]] = []

    def get_password(self, service: str, username: str) -> str | None:
        self.asked.append((service, username))
        return self.outcome()

    def set_password(self, service: str, username: str, password: str) -> None:
        raise AssertionError("nothing is ever written")

    def delete_password(self, service: str, username: str) -> None:
        raise AssertionError("nothing is ever deleted")


@pytest.fixture
def backend() -> Iterator[FakeKeyring]:
    """A keyring that holds a key; the one before comes back in the end."""
    before = keyring.get_keyring()
    fake = FakeKeyring(lambda: KEY)
    keyring.set_keyring(fake)
    try:
        yield fake
    finally:
        keyring.set_keyring(before)


def own_entry(timeout: float = 20) -> KeychainSource:
    return KeychainSource("keyring:minimax", OWN_SERVICE, "minimax", key_at, timeout=timeout)


def raising(error: Exception) -> Callable[[], str | None]:
    def outcome() -> str | None:
        raise error

    return outcome


async def test_an_entry_of_our_own_is_read_through_keyring(backend: FakeKeyring) -> None:
    found = await own_entry().read()
    assert found is not None
    assert (found.secret, found.source) == (KEY, "keyring:minimax")
    assert backend.asked == [(OWN_SERVICE, "minimax")]


async def test_claude_codes_item_is_read_through_keyring_where_there_is_no_security(
    backend: FakeKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    backend.outcome = lambda: stored_login(LOGIN)
    found = await KeychainSource("keychain", CLAUDE_SERVICE, "tester", read_login, timeout=20).read()
    assert found is not None
    assert found.secret == LOGIN


async def test_on_macos_claude_codes_item_goes_through_security_and_ours_through_keyring(
    backend: FakeKeyring, security: Security, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    security("exit 44")
    service, program = f"{CLAUDE_SERVICE}-01234567", str(tmp_path / "security")
    of_claude_code = KeychainSource("keychain", service, "tester", read_login, timeout=20, security=program)
    assert await of_claude_code.read() is None
    assert backend.asked == []
    assert await own_entry().read() is not None


async def test_an_entry_that_does_not_exist_is_no_credential(backend: FakeKeyring) -> None:
    backend.outcome = lambda: None
    assert await own_entry().read() is None


async def test_a_locked_keyring_is_told_with_the_remedy(backend: FakeKeyring) -> None:
    backend.outcome = raising(keyring.errors.KeyringLocked("Failed to unlock the collection!"))
    with pytest.raises(CredentialUnavailable, match=r"'claude-proxy' \(account 'minimax'\).*it is locked; unlock it"):
        await own_entry().read()


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(2, "No such file or directory"),
        TimeoutError("timed out"),
        RuntimeError("Environment variable DBUS_SESSION_BUS_ADDRESS is unset"),
        keyring.errors.InitError("no service"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_the_keyring_raises_is_a_complaint(backend: FakeKeyring, error: Exception) -> None:
    backend.outcome = raising(error)
    with pytest.raises(CredentialUnavailable, match=f"could not be read: {type(error).__name__}"):
        await own_entry().read()


async def test_a_keyring_that_comes_up_after_the_start_is_found(
    backend: FakeKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.outcome = raising(keyring.errors.NoKeyringError("no recommended backend"))
    later = FakeKeyring(lambda: KEY)
    monkeypatch.setattr("keyring.core.init_backend", lambda: keyring.set_keyring(later))
    source = own_entry()
    assert await source.read() is None
    assert await source.read() is not None


async def test_a_keyring_that_asks_and_is_not_answered_is_a_complaint_after_the_limit(backend: FakeKeyring) -> None:
    gate = threading.Event()

    def ask() -> str | None:
        assert gate.wait(60)
        return None

    backend.outcome = ask
    try:
        with pytest.raises(CredentialUnavailable, match=r"no answer within 0\.02 s.*may be locked"):
            await own_entry(timeout=0.02).read()
    finally:
        gate.set()

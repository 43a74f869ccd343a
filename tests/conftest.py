"""Fixtures, and the rule that a full run skips nothing."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import keyring
import pytest
from keyring.backends.fail import Keyring as NoKeyring

from tests.memory_keyring import MemoryKeyring

# How fast the machine is says nothing of the code.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

NODE_BIN = Path(__file__).parent / "node" / "node_modules" / ".bin"


def find_program(name: str) -> str | None:
    """A program of tests/node or of the PATH."""
    local = NODE_BIN / name
    return str(local) if local.exists() else shutil.which(name)


def need(name: str, remedy: str) -> str:
    """The path of a program that a test needs; skips the test with the remedy where it is missing."""
    found = find_program(name)
    if found is None:
        pytest.skip(f"{name} is not installed: {remedy}")
    return found


@pytest.fixture
def claude_program() -> str:
    """The real Claude Code."""
    return need("claude", "npm install --prefix tests/node")


@pytest.fixture
def aimock_program() -> str:
    """An independent stand-in of the API."""
    return need("aimock", "npm install --prefix tests/node")


@pytest.fixture
def memory_keyring() -> Iterator[MemoryKeyring]:
    """A keychain of the test's own process; the one before comes back in the end."""
    before = keyring.get_keyring()
    memory = MemoryKeyring()
    keyring.set_keyring(memory)
    try:
        yield memory
    finally:
        keyring.set_keyring(before)


@pytest.fixture
def no_keyring() -> Iterator[None]:
    """A machine without a keychain."""
    before = keyring.get_keyring()
    keyring.set_keyring(NoKeyring())  # type: ignore[no-untyped-call]  # keyring has no types there
    try:
        yield
    finally:
        keyring.set_keyring(before)


def pytest_configure() -> None:
    # What a shell runs in its background ignores Ctrl-C, and so would all that the tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With TESTS_MUST_NOT_SKIP set, as .ci/run sets it, a skipped test fails the run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if os.environ.get("TESTS_MUST_NOT_SKIP") and skipped and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED

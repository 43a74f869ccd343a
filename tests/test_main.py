"""The way in, `python -m claude_proxy` and the program `claude-proxy`: both are the command line."""

import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tests.running import clean_environment

WELL = "the built-in configuration: nothing wrong\n"


def run(home: Path, *command: str, env: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Exit code, what it printed, what it complained of; every warning is an error."""
    whole = clean_environment(home, env)
    done = subprocess.run(command, env=whole, cwd=home, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_the_package_runs_as_a_module(tmp_path: Path) -> None:
    assert run(tmp_path, sys.executable, "-m", "claude_proxy", "check") == (0, WELL, "")


def test_the_program_is_the_same(tmp_path: Path) -> None:
    (program,) = entry_points(group="console_scripts", name="claude-proxy")
    code = f"import sys, {program.module} as way_in; sys.argv[1:] = ['check']; way_in.{program.attr}()"
    assert run(tmp_path, sys.executable, "-c", code) == (0, WELL, "")


def test_it_calls_itself_by_the_programs_name(tmp_path: Path) -> None:
    code, _, said = run(tmp_path, sys.executable, "-m", "claude_proxy", "nothing")
    assert code == 2
    assert said.startswith("Usage: claude-proxy ")


def test_the_keys_of_tls_sessions_are_written_nowhere(tmp_path: Path) -> None:
    """OpenSSL creates the file as soon as a context is made, which aiohttp does when it is imported."""
    keys = tmp_path / "keys"
    command = [sys.executable, "-m", "claude_proxy", "explain", "--model", "x"]
    code, said, _ = run(tmp_path, *command, env={"SSLKEYLOGFILE": str(keys), "CLAUDE_PROXY_LISTEN__PORT": "0"})
    assert code == 0
    assert said.startswith("model      x\n")
    assert not keys.exists()


@pytest.mark.parametrize(("label", "ends"), [("claude-proxy", 0), ("0", 78), ("other", 78)])
def test_a_fault_that_stays_ends_with_0_under_launchd_which_would_try_for_ever(
    tmp_path: Path, label: str, ends: int
) -> None:
    command = [sys.executable, "-m", "claude_proxy", "serve"]
    env = {"XPC_SERVICE_NAME": label, "CLAUDE_PROXY_DRAIN_TIMEOUT": "soon"}
    code, _, said = run(tmp_path, *command, env=env)
    assert code == ends
    assert "drain_timeout: expected a duration" in said

"""The user's own `claude` is run at this terminal, with nothing in its environment that is not for it."""

import json
import signal
import sys
import threading
from pathlib import Path

import click
import pytest

from claude_proxy.commands.hand_over import environment_of_claude, hand_over
from claude_proxy.credentials import claude_program

NOTES = "import json, os, sys; json.dump([sys.argv[1:], dict(os.environ)], open(os.environ['HOME'] + '/notes', 'w'))"


def stub(home: Path, code: str) -> None:
    """Puts a `claude` on the PATH that does this."""
    program = home / "bin" / "claude"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\n{code}\n")
    program.chmod(0o700)


def test_claude_is_asked_to_log_in_with_the_arguments_that_were_given(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub(home, NOTES)
    monkeypatch.setenv("PATH", str(home / "bin"))
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:8082")
    monkeypatch.setenv("HAIKU_PROVIDER_API_KEY", "FAKE-key")
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(home))
    hand_over(("--console", "--email", "tester@mailbox.invalid"))
    arguments, environment = json.loads((home / "notes").read_text())
    assert arguments == ["auth", "login", "--console", "--email", "tester@mailbox.invalid"]
    assert environment["CLAUDE_CONFIG_DIR"] == str(home)
    assert not {"ANTHROPIC_BASE_URL", "HAIKU_PROVIDER_API_KEY"} & set(environment)


@pytest.mark.parametrize(
    "name",
    [
        "ANTHROPIC_BASE_URL",
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "ANTHROPIC_CUSTOM_HEADERS",
        "CLAUDE_CODE_OAUTH_TOKEN",
        "REAL_ANTHROPIC_API_KEY",
        "MINIMAX_API_KEY",
        "AUTH_TOKEN",
        "DASHBOARD_PASSWORD",
        "CLAUDE_PROXY_LISTEN__PORT",
        "KIMI",
        "minimax_api_key",
    ],
)
def test_what_is_none_of_its_business_is_kept_from_it(name: str) -> None:
    assert name not in environment_of_claude({name: "x", "PATH": "/bin"})


@pytest.mark.parametrize(
    "name",
    [
        *("HOME", "TERM", "DISPLAY", "BROWSER", "HTTPS_PROXY", "CLAUDE_CONFIG_DIR", "WSL_INTEROP"),
        *("NODE_EXTRA_CA_CERTS", "CLAUDE_CODE_CLIENT_CERT", "CLAUDE_CODE_CLIENT_KEY"),
    ],
)
def test_what_it_needs_to_run_and_to_open_a_browser_is_left_to_it(name: str) -> None:
    assert environment_of_claude({name: "/x"})[name] == "/x"


def test_it_is_found_where_the_daemon_finds_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub(home, NOTES)
    (home / ".local").mkdir()
    (home / "bin").rename(home / ".local" / "bin")
    monkeypatch.setenv("PATH", str(home))
    hand_over(())
    assert (home / "notes").exists()


def test_without_claude_the_remedy_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(home))
    monkeypatch.setattr(claude_program, "USUAL_PLACES", ())  # this machine may have one
    with pytest.raises(click.ClickException, match=r"`claude` is not on the PATH, nor in .*; install Claude Code"):
        hand_over(())


def test_that_it_did_not_log_in_is_told(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stub(home, "raise SystemExit(3)")
    monkeypatch.setenv("PATH", str(home / "bin"))
    with pytest.raises(SystemExit) as ended:
        hand_over(())
    assert ended.value.code == 1
    assert "`claude auth login` ended with exit code 3" in capsys.readouterr().err


def test_its_exit_code_is_told_although_ctrl_c_comes_as_it_ends(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The signal goes to another thread, so that this one hears of it when `claude` has ended and not before."""
    stub(home, "import os, signal; os.kill(os.getppid(), signal.SIGINT); raise SystemExit(3)")
    monkeypatch.setenv("PATH", str(home / "bin"))
    before, over = signal.getsignal(signal.SIGINT), threading.Event()
    other = threading.Thread(target=over.wait)
    other.start()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        with pytest.raises(SystemExit):
            hand_over(())
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        over.set()
        other.join()
    assert "`claude auth login` ended with exit code 3" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is before

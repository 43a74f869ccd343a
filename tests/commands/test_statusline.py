"""The status line as a command among others; tests/statusline runs it as Claude Code does."""

import pytest

from tests.commands.invoking import run


def test_it_is_listed_and_does_the_same(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    assert "statusline" in run("--help").stdout
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "https://gateway.example")
    for arguments in ((), ("--wrap", "true")):
        assert run("statusline", *arguments).exit_code == 0
    assert capfd.readouterr().out == "proxy off\nproxy off\n"

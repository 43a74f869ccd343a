"""A secret is asked for unseen at a terminal, and read from stdin elsewhere."""

import getpass
import io
import sys

import click
import pytest

from claude_proxy.commands.secret_input import read_secret


class Stdin(io.TextIOWrapper):
    """Standard input, at a terminal or not."""

    def __init__(self, given: bytes, *, terminal: bool = False) -> None:
        super().__init__(io.BytesIO(given))
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def given(monkeypatch: pytest.MonkeyPatch, text: bytes, *, terminal: bool = False) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(text, terminal=terminal))


@pytest.mark.parametrize("text", [b"FAKE-key", b"FAKE-key\n", b"  FAKE-key \r\n"])
def test_stdin_is_read_without_the_white_space_around(monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    given(monkeypatch, text)
    assert read_secret("The key") == "FAKE-key"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "nothing was entered"),
        (b" \n", "nothing was entered"),
        (b"FAKE\xff", "bytes that are no text"),
        (b"FAKE" * 5000, "more than any key has"),
    ],
    ids=["nothing", "white space", "bytes", "a book"],
)
def test_what_cannot_be_a_secret_is_told_and_not_quoted(
    monkeypatch: pytest.MonkeyPatch, text: bytes, words: str
) -> None:
    given(monkeypatch, text)
    with pytest.raises(click.ClickException, match=words) as told:
        read_secret("The key")
    assert "FAKE" not in told.value.message


def test_at_a_terminal_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """That it is not shown there is seen in tests/paths/test_own_keys.py, at a real one."""
    asked: list[str] = []

    def typed(question: str) -> str:
        asked.append(question)
        return " FAKE-key "

    given(monkeypatch, b"", terminal=True)
    monkeypatch.setattr(getpass, "getpass", typed)
    assert read_secret("The key") == "FAKE-key"
    assert asked == ["The key (not shown): "]


def test_a_terminal_that_would_show_it_is_refused_before_anything_is_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, b"FAKE-key\n", terminal=True)
    monkeypatch.setattr(getpass, "getpass", vars(getpass)["fallback_getpass"])  # what it does then by itself
    with pytest.raises(click.ClickException, match="cannot hide what is typed"):
        read_secret("The key")
    assert sys.stdin.readline() == "FAKE-key\n"


def test_a_terminal_that_is_closed_gives_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def closed(_: str) -> str:
        raise EOFError

    given(monkeypatch, b"", terminal=True)
    monkeypatch.setattr(getpass, "getpass", closed)
    with pytest.raises(click.ClickException, match="nothing was entered, and nothing stored"):
        read_secret("The key")
    assert capsys.readouterr().err == "\n", "what is told next stands on a line of its own"

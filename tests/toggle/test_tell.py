"""How the switch speaks: lines in columns, colours only where they are wanted."""

import pytest
from click import echo
from click.testing import CliRunner

from claude_proxy.toggle.edits import Line
from claude_proxy.toggle.refusals import AddressUnknown
from claude_proxy.toggle.tell import running_ones, tell, tell_lines, telling, warn

LINES = (Line("✓", "short", "was: not set"), Line("✓", "no note, however long it may be"), Line("·", "longer", "kept"))


def test_what_stands_in_parentheses_stands_in_a_column(capsys: pytest.CaptureFixture[str]) -> None:
    tell_lines(LINES, dry_run=False)
    assert capsys.readouterr().out.splitlines() == [
        "✓ short    (was: not set)",
        "✓ no note, however long it may be",
        "· longer   (kept)",
    ]


def test_a_trial_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    tell_lines(LINES, dry_run=True)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["would", "would", "·"]


@pytest.mark.parametrize(
    ("started", "end"),
    [
        (None, ". Running ones do not until restarted."),
        ([], "."),
        ([1.0], ". 1 running one does not until restarted."),
        ([1.0, 2.0], ". 2 running ones do not until restarted."),
    ],
)
def test_running_sessions(started: list[float] | None, end: str) -> None:
    assert running_ones(started, "do not", "does not") == end


def test_warnings_go_to_stderr_and_without_colour_into_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    warn("one", "two")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "! one\n! two\n")


@pytest.mark.parametrize(("no_color", "expected"), [("", "\x1b[31mred\x1b[0m\n"), ("1", "red\n")])
def test_colour_only_where_it_is_wanted(no_color: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    # As on a terminal: click then leaves colours in, unless it is told otherwise.
    with CliRunner().isolation(color=True) as (out, *_):
        tell("red", color="red")
        echo("", nl=False)
        assert out.getvalue().decode() == expected


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (AddressUnknown("where is it?"), 78, "program: where is it?\n"),
        (PermissionError(13, "Permission denied", "x"), 1, "program: [Errno 13] Permission denied: 'x'\n"),
    ],
)
def test_a_refusal_is_told_and_its_code_is_the_program_s(
    raised: Exception, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    @telling("program")
    def command() -> None:
        raise raised

    with pytest.raises(SystemExit) as ended:
        command()
    assert ended.value.code == code
    assert capsys.readouterr() == ("", said)


def test_that_nobody_reads_is_not_told_to_them() -> None:
    @telling("program")
    def command() -> None:
        raise BrokenPipeError(32, "Broken pipe")

    with pytest.raises(BrokenPipeError):
        command()

"""A group of commands that are imported when they are asked for, and not before."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from claude_proxy.commands.lazy import LazyGroup

TABLE = {"second": "made_up.second:command", "first": "made_up.first:command"}
COMMAND = (
    "import click\n@click.command({name!r})\ndef command():\n    '''Says who it is.'''\n    click.echo({name!r})\n"
)


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LazyGroup]:
    """Two commands in modules of their own, which nobody has imported."""
    package = tmp_path / "made_up"
    package.mkdir()
    for name in TABLE:
        (package / f"{name}.py").write_text(COMMAND.format(name=name))
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    yield LazyGroup("group", table=TABLE)
    for name in [name for name in sys.modules if name.partition(".")[0] == "made_up"]:
        del sys.modules[name]


def test_only_the_command_that_is_asked_for_is_imported(group: LazyGroup) -> None:
    assert CliRunner().invoke(group, ["first"]).output == "first\n"
    assert "made_up.first" in sys.modules
    assert "made_up.second" not in sys.modules


def test_help_lists_them_in_the_order_of_the_table(group: LazyGroup) -> None:
    listed = CliRunner().invoke(group, ["--help"]).output.partition("Commands:\n")[2].splitlines()
    assert [line.split() for line in listed] == [[name, "Says", "who", "it", "is."] for name in TABLE]


def test_a_name_that_is_nearly_right_is_told_without_importing_anything(group: LazyGroup) -> None:
    result = CliRunner().invoke(group, ["frist"])
    assert (result.exit_code, "Did you mean 'first'?" in result.output) == (2, True)
    assert not [name for name in sys.modules if name.startswith("made_up.")]


def test_an_option_that_is_not_there_is_told_as_one(group: LazyGroup) -> None:
    assert "No such option" in CliRunner().invoke(group, ["--frist"]).output


def test_what_is_no_command_is_a_fault_of_the_table(group: LazyGroup) -> None:
    group.table = {"first": "made_up.first:click"}
    with pytest.raises(AssertionError, match=r"made_up\.first:click is no command"):
        group.get_command(click.Context(group), "first")


def test_a_command_that_is_interrupted_ends_as_shells_expect(group: LazyGroup, tmp_path: Path) -> None:
    command = COMMAND.format(name="first").replace("    click.echo", "    raise KeyboardInterrupt\n    click.echo")
    (tmp_path / "made_up/first.py").write_text(command)
    result = CliRunner().invoke(group, ["first"])
    assert (result.exit_code, result.stdout) == (130, "")

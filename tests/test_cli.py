"""The command line as a whole: which commands there are, how each is explained, and what is said of a wrong name."""

import subprocess
import sys

import click
import pytest

from claude_proxy import __version__
from claude_proxy.cli import COMMANDS, main
from tests.commands.invoking import run


def test_the_version_is_printed() -> None:
    assert run("--version").stdout == f"claude-proxy, version {__version__}\n"


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_the_whole_is_explained_with_examples_first(option: str) -> None:
    said = run(option).stdout
    assert said.index("claude-proxy explain --model") < said.index("Commands:")
    listed = said.partition("Commands:\n")[2]
    assert [line.split()[0] for line in listed.splitlines()] == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_command_is_where_the_table_says_and_explains_itself(name: str, option: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.name == name
    result = run(name, option)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(f"Usage: main {name} ")


@pytest.mark.parametrize(
    ("typed", "meant"), [("statsu", "'status'"), ("servce", "'serve', 'service'"), ("lgoin", "'login'")]
)
def test_the_nearest_commands_are_told_of_a_name_that_is_not_there(typed: str, meant: str) -> None:
    result = run(typed)
    assert result.exit_code == 2
    assert f"No such command {typed!r}." in result.stderr
    assert meant in result.stderr


def test_a_name_that_is_like_nothing_is_refused_without_a_guess() -> None:
    result = run("xyzzy")
    assert (result.exit_code, "mean" in result.stderr) == (2, False)


def test_no_command_waits_for_what_it_does_not_need() -> None:
    """Nor does help, which imports them all."""
    code = "import sys; from claude_proxy.cli import main; main(standalone_mode=False); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "claude_proxy.commands.serve" in loaded
    assert not loaded & {"aiohttp", "asyncio", "keyring", "msgspec", "prometheus_client", "tenacity"}

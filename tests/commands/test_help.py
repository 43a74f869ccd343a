"""`claude-proxy help`: a command explained as by --help, and the exit codes of all."""

import re

import click
import pytest

from claude_proxy.cli import main
from claude_proxy.commands.help import EXIT_CODES
from tests.commands.invoking import run


def every_command(group: click.Group, *names: str) -> list[tuple[tuple[str, ...], click.Command]]:
    found: list[tuple[tuple[str, ...], click.Command]] = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found.append(((*names, name), command))
        if isinstance(command, click.Group):
            found += every_command(command, *names, name)
    return found


COMMANDS = every_command(main)
NAMES = [names for names, _ in COMMANDS]


@pytest.mark.parametrize("names", [(), *NAMES], ids=" ".join)
def test_a_command_is_explained_as_by_its_own_option(names: tuple[str, ...]) -> None:
    assert run("help", *names).output == run(*names, "--help").output


@pytest.mark.parametrize(("names", "command"), COMMANDS, ids=[" ".join(names) for names in NAMES])
def test_every_command_has_examples_which_name_it_and_its_options(
    names: tuple[str, ...], command: click.Command
) -> None:
    block = re.search(r"^ *Examples?\b.*:\n((?: +\S.*\n)+)", command.help or "", re.MULTILINE)
    assert block, f"{names} has no example"
    lines = [line for line in block[1].splitlines() if re.search(r"\b(?:claude-proxy|proxy-toggle)\b", line)]
    assert any(" ".join(names) in line for line in lines)
    known = {
        option
        for _, one in COMMANDS
        for parameter in one.params
        for option in parameter.opts + parameter.secondary_opts
    }
    ours = " ".join(re.findall(r"(?:claude-proxy|proxy-toggle)((?:(?! -- )[^|&>)])*)", "\n".join(lines)))
    for option in re.findall(r"(?<= )--?[a-z][a-z-]*", ours):
        assert option in known | {"--console"}, f"{names}: {option}"  # that one is `claude auth login`'s


def test_the_codes_are_listed_in_order_and_every_one_that_a_command_names_is_there() -> None:
    listed = run("help", "exit-codes").stdout.splitlines()
    assert [line[:3].strip() for line in listed] == [str(code) for code in sorted(EXIT_CODES)]
    assert all(len(line) > 5 for line in listed)
    named = 0
    for names, command in COMMANDS:
        said = re.search(r"[Ee]xit codes?:(.*)", (command.help or "").replace("\n", " "), re.DOTALL)
        for code in re.findall(r"(?:^|,|:|;) +(\d+)\b", said[1]) if said else ():
            assert int(code) in EXIT_CODES, f"{names} ends with {code}"
            named += 1
    assert named > 20


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("explian",), "Did you mean 'explain'?"),
        (("key", "delte"), "Did you mean 'delete'?"),
        (("status", "more"), "status has no commands of its own"),
    ],
)
def test_what_is_not_there_cannot_be_explained(words: tuple[str, ...], said: str) -> None:
    result = run("help", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr

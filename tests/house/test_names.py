"""Names say what a thing is, files are short, and the first line of each says which thing it is."""

import ast
import re
from pathlib import Path

import pytest

from tests.house.source import PACKAGE, REPOSITORY

BANNED = re.compile(r"(^|_)(util|utils|helper|helpers|manager|managers|common|base|misc|core|service|data)(_|$)")
MOST_LINES = 400

FILES = sorted(
    path
    for room in ("claude_proxy", "tests", "benchmarks")
    for path in (REPOSITORY / room).rglob("*.py")
    if "node_modules" not in path.parts
)


def relative(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_a_file_is_short_and_its_first_line_says_what_it_is(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= MOST_LINES
    said = ast.get_docstring(ast.parse(text))
    assert said, f"{path} does not say what it is"
    assert text.startswith('"""')


@pytest.mark.parametrize("path", [path for path in FILES if PACKAGE in path.parents], ids=relative)
def test_a_file_has_a_name_of_its_own(path: Path) -> None:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    for part in parts[1:] if parts[0] == "service" else parts:  # the room of the command of that name
        assert not BANNED.search(part), f"{part} says nothing"


@pytest.mark.parametrize("path", [path for path in FILES if path.name == "__init__.py"], ids=relative)
def test_a_room_s_own_file_does_nothing(path: Path) -> None:
    statements = ast.parse(path.read_text()).body[1:]
    assert all(isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__" for node in statements)

"""Every source file has its test file, and every test file of a room its source."""

from pathlib import Path

import pytest

from tests.house.source import PACKAGE, REPOSITORY

TESTS = REPOSITORY / "tests"
ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))

SOURCES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_a_source_file_has_a_test_file(source: Path) -> None:
    found = sorted((TESTS / source.parent).glob(f"test_{source.stem.strip('_')}*.py"))
    assert found, f"claude_proxy/{source} has no tests/{source.parent}/test_{source.stem}.py"


@pytest.mark.parametrize("room", ROOMS)
def test_a_test_file_of_a_room_is_named_for_a_source_file(room: str) -> None:
    sources = {path.stem.strip("_") for path in (PACKAGE / room).glob("*.py")}
    for path in (TESTS / room).glob("test_*.py"):
        name = path.stem.removeprefix("test_")
        assert any(name == source or name.startswith(f"{source}_") for source in sources), f"{path} mirrors nothing"

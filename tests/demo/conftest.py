"""Fixtures of the demo's tests."""

from pathlib import Path

import pytest

from tests.demo.playing import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Where a user is at home who has a login and a configuration."""
    return Place.below(tmp_path)

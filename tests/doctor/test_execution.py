"""A program is run for its version, and why it does not run is told."""

import sys
from pathlib import Path

import pytest

from claude_proxy import __version__
from claude_proxy.doctor.execution import DoesNotRun, version_of


def script(place: Path, text: str, mode: int = 0o700) -> str:
    place.write_text(text)
    place.chmod(mode)
    return str(place)


def test_our_own_says_its_version() -> None:
    assert version_of(str(Path(sys.executable).parent / "claude-proxy")) == __version__


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("#!/gone/python3\n", r"No such file or directory; it or its Python is gone$"),
        ("#!/bin/sh\necho 'No module named claude_proxy' >&2; exit 1\n", r"exit code 1: No module named claude_proxy$"),
        ("#!/bin/sh\n", r"exit code 0: without a word$"),
    ],
)
def test_why_one_does_not_run(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(DoesNotRun, match=why):
        version_of(script(tmp_path / "claude-proxy", text))


def test_one_that_may_not_be_run(tmp_path: Path) -> None:
    with pytest.raises(DoesNotRun, match="Permission denied"):
        version_of(script(tmp_path / "claude-proxy", "", 0o600))

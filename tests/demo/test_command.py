"""`claude-proxy demo` on the command line: what it shows by itself, its help, what it says where it cannot start."""

import os
import re
import sys
from pathlib import Path

from tests.test_main import run

DEMO = (sys.executable, "-m", "claude_proxy", "demo")


def test_it_asks_itself_shows_the_ways_and_ends(tmp_path: Path) -> None:
    code, said, complaint = run(tmp_path, *DEMO, "--once")
    assert (code, complaint) == (0, "")
    ways = re.findall(r"^\d\d:\d\d:\d\d main  (\S+) +→ (\w+) +200 +(\d)", said, re.MULTILINE)
    assert [(model.split("-")[1], upstream, tries) for model, upstream, tries in ways] == [
        ("opus", "claude", "1"),
        ("haiku", "minimax", "1"),
        ("haiku", "claude", "3"),
    ]
    assert said.count("· minimax failed: 529 overloaded") == 2
    assert said.endswith("\nEnded. Nothing was left behind.\n")
    assert "ANTHROPIC_BASE_URL" not in said  # nobody could use it


def test_its_help_begins_with_what_it_is_and_names_every_exit_code(tmp_path: Path) -> None:
    code, said, complaint = run(tmp_path, *DEMO, "--help")
    assert (code, complaint) == (0, "")
    assert said.startswith("Usage: claude-proxy demo [OPTIONS]\n\n  See the proxy at work without an account")
    for number in ("0", "1", "130"):
        assert number in said.partition("Exit codes:")[2].split(), number
    assert "claude-proxy demo --once" in said


def test_its_help_needs_no_server(tmp_path: Path) -> None:
    code = "import sys, claude_proxy.demo.command; sys.exit({'aiohttp', 'asyncio'} & set(sys.modules))"
    assert run(tmp_path, sys.executable, "-c", code.replace("sys.exit(", "print(")) == (0, "set()\n", "")


def test_without_a_temporary_directory_it_says_so_and_what_to_do(tmp_path: Path) -> None:
    # The directories that Python tries are not all of them to be taken away from root: its own choice is replaced.
    code = (
        "import sys, tempfile, claude_proxy.demo.command as way_in; "
        f"tempfile.tempdir = {str(tmp_path / 'none')!r}; sys.argv[1:] = []; way_in.demo(prog_name='claude-proxy demo')"
    )
    found = run(tmp_path, sys.executable, "-c", code)
    assert found == (
        1,
        "",
        "Error: no temporary directory could be made: No such file or directory; name one with TMPDIR\n",
    )


def test_an_unknown_option_is_told(tmp_path: Path) -> None:
    code, said, complaint = run(tmp_path, *DEMO, "--twice", env={"PATH": os.environ["PATH"]})
    assert (code, said) == (2, "")
    assert "No such option" in complaint

"""`python -m claude_proxy.demo`: the way in to the demo alone."""

import re
import sys
from pathlib import Path

from tests.test_main import run


def test_it_asks_itself_shows_the_ways_and_ends(tmp_path: Path) -> None:
    code, said, complaint = run(tmp_path, sys.executable, "-m", "claude_proxy.demo", "--once")
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


def test_the_keys_of_tls_sessions_are_written_nowhere(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    code, _, _ = run(tmp_path, sys.executable, "-m", "claude_proxy.demo", "--once", env={"SSLKEYLOGFILE": str(keys)})
    assert code == 0
    assert not keys.exists()

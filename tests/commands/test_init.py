"""`claude-proxy init`: what it writes, and what it leaves as it is."""

import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from claude_proxy.config.load import default_text, load
from tests.commands.invoking import run
from tests.running import clean_environment
from tests.terminal import at_terminal


def test_init_writes_the_manual_where_only_the_user_may_read_it(home: Path) -> None:
    result = run("init")
    file = home / ".config/claude-proxy/config.yaml"
    assert result.exit_code == 0
    assert result.stdout.startswith(f"wrote {file}\n")
    assert file.read_text() == default_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert run("check").stdout == f"{file}: nothing wrong\n"


def test_what_init_wrote_says_what_is_built_in(home: Path) -> None:
    before: dict[str, Any] = yaml.safe_load(default_text())
    run("init")
    settings = load(None, {})
    assert settings.listen.port == before["listen"]["port"]
    assert set(settings.upstreams) == set(before["upstreams"])


def test_init_writes_that_no_bodies_are_kept_where_it_is_told_so(home: Path) -> None:
    assert load(None, {}).ledger.bodies is True
    assert run("init", "--no-bodies").exit_code == 0
    assert load(None, {}).ledger.bodies is False
    written, manual = (home / ".config/claude-proxy/config.yaml").read_text().splitlines(), default_text().splitlines()
    assert [line for line, its in zip(written, manual, strict=True) if line != its] == [
        "  bodies: false                # false: no headers, prompts and answers are kept, only who, when, how much"
    ]
    run("init", "--bodies", "--force")
    assert load(None, {}).ledger.bodies is True


@pytest.mark.parametrize(("typed", "kept"), [("", True), ("y", True), ("n", False)])
def test_at_a_terminal_it_asks_whether_bodies_are_kept(tmp_path: Path, typed: str, kept: bool) -> None:
    file = tmp_path / "mine.yaml"
    with at_terminal(tmp_path, clean_environment(tmp_path), "init", "--config", str(file)) as terminal:
        terminal.shows("Keep prompts and answers, too? [Y/n]")
        terminal.types(f"{typed}\n")
        assert terminal.ends() == 0
    assert load(file, {}).ledger.bodies is kept


def test_init_leaves_a_file_that_is_there(home: Path) -> None:
    file = home / "mine.yaml"
    file.write_text("# precious\n")
    result = run("init", "--config", str(file))
    assert result.exit_code == 1
    assert f"{file} is there already and was left as it is" in result.stderr
    assert file.read_text() == "# precious\n"


def test_init_overwrites_a_file_where_it_is_told_to_and_makes_it_private(home: Path) -> None:
    file = home / "mine.yaml"
    file.write_text("# not precious\n")
    file.chmod(0o644)
    assert run("init", "--config", str(file), "--force").exit_code == 0
    assert file.read_text() == default_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_init_follows_no_link_that_leads_nowhere_yet(home: Path) -> None:
    link = home / "mine.yaml"
    link.symlink_to(home / "planted")
    result = run("init", "--config", str(link))
    assert result.exit_code == 1
    assert not (home / "planted").exists()


def test_init_tells_where_it_cannot_write(home: Path) -> None:
    (home / "file").write_text("")
    result = run("init", "--config", str(home / "file" / "config.yaml"))
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr
    assert "Traceback" not in result.output

"""`claude-proxy init`: what it writes, and what it leaves as it is."""

import stat
from pathlib import Path
from typing import Any

import yaml

from claude_proxy.config.load import default_text, load
from tests.commands.invoking import run


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

"""`claude-proxy paths`: where everything lies, and that it is where the rest of the program has it."""

import json
import re
from pathlib import Path

import pytest

from claude_proxy.commands.paths import NAMES, all_places
from claude_proxy.config.layers import default_path
from claude_proxy.credentials.key_file import keys_directory
from claude_proxy.service.launchd import Launchd
from claude_proxy.service.plan import Plan
from claude_proxy.service.systemd import Systemd
from tests.commands.invoking import as_json, run, written
from tests.toggle.user import User

PLAN = Plan(("/bin/claude-proxy", "serve"))


def environment_of(home: Path) -> dict[str, str]:
    return {"HOME": str(home)}


def test_every_place_is_told_with_what_lies_there(home: Path) -> None:
    (home / ".claude").mkdir()
    (home / ".claude/settings.json").write_text("{}")
    told = run("paths")
    assert (told.exit_code, told.stderr) == (0, "")
    lines = {line.split()[0]: line for line in told.stdout.splitlines()}
    assert tuple(lines) == NAMES
    assert lines["config"] == f"config    {home}/.config/claude-proxy/config.yaml  (your settings, not there yet)"
    assert lines["settings"].startswith(f"settings  {home}/.claude/settings.json  (Claude Code's settings")
    assert "not there yet" not in lines["settings"]


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_they_are_where_the_rest_of_the_program_has_them(home: Path, platform: str) -> None:
    places = all_places(None, environment_of(home), platform)
    assert tuple(places) == NAMES
    user = User(home)
    assert places["config"].path == default_path() == user.places.configuration
    assert places["keys"].path == keys_directory(environment_of(home))
    assert places["receipt"].path == user.places.receipt
    assert places["settings"].path == user.settings
    if platform == "darwin":
        agent = Launchd(PLAN, home)
        assert [places["service"].path] == list(agent.files())
        assert f"tail -F {places['logs'].path}" == agent.log()
    else:
        units = Systemd(PLAN, environment_of(home))
        assert places["service"].path in units.files()
        assert places["logs"].command == units.log()


def test_one_place_alone_is_a_path_and_nothing_else(home: Path) -> None:
    assert run("paths", "config").stdout == f"{home}/.config/claude-proxy/config.yaml\n"
    named = run("paths", "config", env={"CLAUDE_PROXY_CONFIG": "/srv/mine.yaml"})
    assert named.stdout == "/srv/mine.yaml\n"


def test_what_is_no_file_has_no_path(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claude_proxy.commands.paths.sys.platform", "linux")
    told = run("paths", "logs")
    assert (told.exit_code, told.stdout) == (1, "")
    assert "it is read with: journalctl --user --unit claude-proxy" in told.stderr


def test_programs_are_told_the_same(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claude_proxy.commands.paths.sys.platform", "linux")
    told = as_json(run("paths", "--json"))
    assert tuple(told) == NAMES
    assert told["config"] == {
        "path": f"{home}/.config/claude-proxy/config.yaml",
        "command": None,
        "exists": False,
        "holds": "your settings",
    }
    assert (told["logs"]["path"], told["logs"]["exists"]) == (None, None)
    assert list(json.loads(run("paths", "keys", "--json").stdout)) == ["keys"]


@pytest.mark.parametrize(
    "text", ["ledger: { url: 'sqlite:////srv/my ledger.db' }\n", "ledger: { url: null }\n", "x: ["]
)
def test_records_lie_where_the_configuration_says_if_it_can_be_read(home: Path, text: str) -> None:
    path = run("paths", "ledger", "--config", written(home, text)).stdout.strip()
    assert path == ("/srv/my ledger.db" if "srv" in text else f"{home}/.local/share/claude-proxy/ledger.db")


def test_the_directories_of_xdg_are_honoured(home: Path) -> None:
    names = {name: f"/x/{name}" for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "CLAUDE_CONFIG_DIR")}
    told = as_json(run("paths", "--json", env=names))
    found = {name: re.sub(r"/x/(\w+)/.*", r"\1", str(place["path"])) for name, place in told.items()}
    assert found["config"] == "XDG_CONFIG_HOME"
    assert found["keys"] == found["ledger"] == "XDG_DATA_HOME"
    assert found["state"] == found["receipt"] == "XDG_STATE_HOME"
    assert found["settings"] == "CLAUDE_CONFIG_DIR"

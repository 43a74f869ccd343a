"""`claude-proxy config show`: as YAML, with the sources, and for programs."""

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.commands.invoking import FIVE_FAULTS, run, written


def test_what_is_shown_is_a_configuration_that_says_just_that(home: Path) -> None:
    file = written(home, "listen: { port: 9 }\n")
    shown = run("config", "show", "--config", file)
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert yaml.safe_load(shown.stdout)["listen"] == {"host": "127.0.0.1", "port": 9}
    again = home / "again.yaml"
    again.write_text(shown.stdout)
    assert run("config", "show", "--config", str(again)).stdout == shown.stdout


def test_with_its_sources_there_is_a_line_for_each_setting(home: Path) -> None:
    file = written(home, "listen: { port: 9 }\n")
    environment = {"SERVER_HOST": "::1", "OPENAI_API_KEY": "FAKE", "AUTH_TOKEN": "FAKE-token"}
    shown = run("config", "show", "--config", file, "--sources", env=environment)
    lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in shown.stdout.splitlines()}
    assert lines["listen.port"] == f"9  {file}:1"
    assert lines["listen.host"] == '"::1"  variable SERVER_HOST (now CLAUDE_PROXY_LISTEN__HOST)'
    assert re.fullmatch(r'"info"  default\.yaml:\d+', lines["log.level"])
    assert lines["access.token.env"].endswith("AUTH_TOKEN is set")
    assert shown.stdout.splitlines()[-1].startswith("# OPENAI_API_KEY is not used: ")
    assert "FAKE" not in shown.output


def test_programs_are_told_the_same(home: Path) -> None:
    told = json.loads(run("config", "show", "--json", env={"PORT": "9", "OPENAI_API_KEY": "FAKE"}).stdout)
    assert told["file"] is None
    assert {"path": "listen.port", "value": 9, "source": "variable PORT (now CLAUDE_PROXY_LISTEN__PORT)"} in (
        told["settings"]
    )
    assert len(told["remarks"]) == 1


@pytest.mark.parametrize("option", [(), ("--sources",), ("--json",)])
def test_a_faulty_configuration_is_not_in_force(home: Path, option: tuple[str, ...]) -> None:
    shown = run("config", "show", "--config", written(home, FIVE_FAULTS), *option)
    assert (shown.exit_code, shown.stdout) == (78, "")
    assert "5 faults in the configuration" in shown.stderr

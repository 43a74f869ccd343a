"""The layers of a configuration: each over the one before, with all faults kept until the end."""

import json
import re
import runpy
from pathlib import Path

import pytest

from claude_proxy.config.layers import built_in, default_path, default_text, lay
from claude_proxy.config.tree import ConfigurationError, Node
from tests.config.trees import plain
from tests.house.source import PACKAGE, REPOSITORY


@pytest.fixture(autouse=True)
def no_file_of_the_developer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


def port(tree: Node) -> tuple[object, str]:
    """The port and where it was said."""
    node = tree.value["listen"].value["port"]
    return node.value, node.place


def test_each_layer_lies_over_the_one_before(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("listen: { port: 2 }\n")
    variable = {"CLAUDE_PROXY_LISTEN__PORT": "3"}
    assert port(lay(None, {}).tree)[0] == 8082
    assert port(lay(file, {}).tree) == (2, f"{file}:1:17")
    assert port(lay(file, variable).tree) == (3, "variable CLAUDE_PROXY_LISTEN__PORT")
    assert port(lay(file, variable, {"listen.port": 4}).tree) == (4, "the command line")


def test_the_users_own_file_is_named_where_there_is_one(tmp_path: Path) -> None:
    assert lay(None, {}).file is None
    default_path().parent.mkdir(parents=True)
    default_path().write_text("")
    assert lay(None, {}).file == default_path()


def test_faults_are_kept_and_told_together_in_the_order_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("a: 1\na: 2\nupstreams: { x: { api_key: sk-ant-api03-FAKE-secret } }\nb: 1\nb: 2\n")
    layers = lay(file, {})
    with pytest.raises(ConfigurationError) as refused:
        layers.refuse_if_faulty()
    assert [complaint.place for complaint in refused.value.complaints] == [f"{file}:2:1", f"{file}:3:28", f"{file}:5:1"]
    assert "FAKE" not in str(refused.value)


def test_what_is_not_faulty_is_not_refused() -> None:
    lay(None, {}).refuse_if_faulty()


def test_the_manual_comes_with_the_package() -> None:
    assert default_text().startswith("# The built-in configuration of claude-proxy")


def test_the_built_in_values_are_the_same_with_and_without_their_lines() -> None:
    """Otherwise run scripts/defaults: default.yaml was changed, or default.json was edited."""
    assert json.dumps(plain(built_in(lines=False))) == json.dumps(plain(built_in(lines=True)))
    assert (PACKAGE / "default.json").read_text("utf-8") == runpy.run_path(str(REPOSITORY / "scripts/defaults"))[
        "written"
    ]()


def test_what_is_built_in_is_told_with_its_lines_where_they_are_asked_for() -> None:
    assert port(lay(None, {}).tree) == (8082, "default.yaml")
    _, place = port(lay(None, {}, lines=True).tree)
    assert (line := re.fullmatch(r"default\.yaml:(\d+):9", place)) is not None
    assert default_text().splitlines()[int(line[1]) - 1].startswith("  port: 8082 ")

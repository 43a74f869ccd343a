"""What a document claims is so: settings, metrics, kinds of failure, variables, doors, dependencies."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from msgspec.structs import replace

from claude_proxy.config.environment import OLDER_NAMES
from claude_proxy.config.load import default_text, load
from claude_proxy.config.older_names import LEDGER, UNUSED
from claude_proxy.failures import FailureKind
from claude_proxy.ledger.prices import PriceList
from claude_proxy.observers.metrics import Metrics
from claude_proxy.observers.recorder import RecorderState
from claude_proxy.observers.scrape import (
    CountsCollector,
    LedgerCollector,
    PriceListCollector,
    QuotaCollector,
    StateCollector,
    registered,
)
from tests.house.source import PACKAGE, REPOSITORY, modules

README = (REPOSITORY / "README.md").read_text()
HTTP = (REPOSITORY / "docs/http.md").read_text()
SECRETS = ("AUTH_TOKEN", "DASHBOARD_PASSWORD", "REAL_ANTHROPIC_API_KEY", "HAIKU_PROVIDER_API_KEY")


def test_every_metric_is_documented_and_no_other() -> None:
    shown = registered(
        CountsCollector(Metrics(lambda _: True).counted),
        StateCollector(lambda: 0, dict, dict),
        QuotaCollector(dict),
        LedgerCollector(lambda: RecorderState(0, 0, 0, 0, 0)),
        PriceListCollector(PriceList),
    )
    suffix = {"counter": "_total", "info": "_info"}
    declared = {family.name + suffix.get(family.type, "") for family in shown.collect()}
    assert set(re.findall(r"^\| `(claude_proxy_\w+)` \|", HTTP, re.MULTILINE)) == declared


def test_every_kind_of_failure_is_documented() -> None:
    for kind in FailureKind:
        assert f"`{kind.value}`" in HTTP


def test_every_kind_of_refusal_is_documented() -> None:
    raised = set()
    for module in modules():
        raised |= set(re.findall(r"Refused\(\s*\d+,\s*\"(\w+)\"", module.path.read_text()))
    assert len(raised) > 10
    for kind in raised:
        assert f"`{kind}`" in HTTP, f"{kind} is not in docs/http.md"


def test_every_older_variable_stands_in_the_readme_and_in_the_code() -> None:
    table = re.findall(r"^\| (`[A-Z_`, ]+`) \|", README, re.MULTILINE)
    named = {name for row in table for name in re.findall(r"[A-Z_]{4,}", row)}
    assert named == {*OLDER_NAMES, *SECRETS, *LEDGER, *UNUSED}


def test_the_secrets_variables_are_named_in_the_built_in_configuration() -> None:
    for name in SECRETS:
        assert name in default_text()


def test_every_preset_is_named_in_the_manual_and_in_the_readme() -> None:
    presets = yaml.safe_load((PACKAGE / "presets.yaml").read_text())
    for name in presets:
        assert name in default_text()
        assert f"`{name}`" in README


def test_the_manual_is_a_configuration_that_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    written = tmp_path / "config.yaml"
    written.write_text(default_text())
    assert replace(load(written, {}), file=None) == load(None, {})


def test_every_dependency_stands_in_the_readme_with_its_reason() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["codecs"]]
    section = README.partition("## Dependencies")[2]
    for requirement in wanted:
        name = re.split(r"[<>=\[]", requirement)[0]
        assert re.search(rf"^\| .*\b{re.escape(name)}\b.* \| .+ \|$", section, re.MULTILINE), f"{name} has no reason"


def test_the_plan_names_every_room() -> None:
    plan = README.partition("## The plan of the house")[2]
    for path in PACKAGE.iterdir():
        if path.suffix == ".py" and not path.name.startswith("__"):
            assert f"`{path.name}`" in plan
        elif (path / "__init__.py").exists():
            assert f"`{path.name}/`" in plan

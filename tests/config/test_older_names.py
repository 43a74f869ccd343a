"""Every variable of older proxies works, or it is said why not: the README's table held against the code."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from claude_proxy.config.environment import OLDER_NAMES
from claude_proxy.config.layers import lay
from claude_proxy.config.older_names import LEDGER, SECRETS, UNUSED, ledger_url, without_effect
from claude_proxy.config.settings import Settings
from claude_proxy.config.tree import Complaint
from tests.config.loading import loaded
from tests.house.source import REPOSITORY

# What the product promises.
NAMES = {
    *("PORT", "SERVER_HOST", "TRUST_PROXY", "AUTH_ENABLED", "AUTH_TOKEN", "AUTH_API_KEY_HEADER"),
    *("AUTH_ALLOW_LOCALHOST_BYPASS", "DASHBOARD_PASSWORD", "DB_TYPE", "DATABASE_URL", "DB_PATH", "PROXY_PUBLIC_URL"),
    *("SUBAGENT_MAPPINGS", "ANTHROPIC_FORWARD_URL", "ANTHROPIC_MAX_RETRIES", "ANTHROPIC_RESPONSE_HEADER_TIMEOUT"),
    *("ANTHROPIC_DEMOTE_NONSTREAMING", "MAX_CONCURRENT_REQUESTS", "HAIKU_PROVIDER_API_KEY"),
    *("HAIKU_PROVIDER_BASE_URL", "REAL_ANTHROPIC_API_KEY", "OPENAI_API_KEY"),
}

# A value, where it is found, and as what. Keys of upstreams are read when a request needs them.
EFFECTS: Mapping[str, tuple[str, Callable[[Settings], Any], Any]] = {
    "ANTHROPIC_DEMOTE_NONSTREAMING": ("yes", lambda s: s.upstreams["claude"].transport.demote_nonstreaming, True),
    "ANTHROPIC_FORWARD_URL": ("http://127.0.0.1:9", lambda s: s.upstreams["claude"].base_url, "http://127.0.0.1:9"),
    "ANTHROPIC_MAX_RETRIES": ("7", lambda s: s.retry.max_retries, 7),
    "ANTHROPIC_RESPONSE_HEADER_TIMEOUT": ("90s", lambda s: s.upstreams["claude"].transport.header_timeout, 90),
    "AUTH_ALLOW_LOCALHOST_BYPASS": ("1", lambda s: s.access.localhost_bypass, True),
    "AUTH_API_KEY_HEADER": ("x-mine", lambda s: s.access.header, "x-mine"),
    "AUTH_ENABLED": ("false", lambda s: s.access.enabled, False),
    "AUTH_TOKEN": ("FAKE-token", lambda s: s.access.token, "FAKE-token"),
    "DASHBOARD_PASSWORD": ("FAKE-word", lambda s: s.access.dashboard_password, "FAKE-word"),
    "HAIKU_PROVIDER_API_KEY": (
        "FAKE-key",
        lambda s: s.credentials["minimax"].sources[0],
        "env:HAIKU_PROVIDER_API_KEY",
    ),
    "HAIKU_PROVIDER_BASE_URL": ("http://127.0.0.1:8", lambda s: s.upstreams["minimax"].base_url, "http://127.0.0.1:8"),
    "MAX_CONCURRENT_REQUESTS": ("3", lambda s: s.upstreams["minimax"].slots.max_concurrency, 3),
    "PORT": ("9000", lambda s: s.listen.port, 9000),
    "PROXY_PUBLIC_URL": ("https://a.example", lambda s: "a.example" in s.access.allowed_hosts, True),
    "REAL_ANTHROPIC_API_KEY": ("FAKE-key", lambda s: s.credentials["claude"].sources[0], "env:REAL_ANTHROPIC_API_KEY"),
    "SERVER_HOST": ("::1", lambda s: s.listen.host, "::1"),
    "TRUST_PROXY": ("true", lambda s: s.access.trust_proxy, True),
}
URL = "sqlite:///srv/ledger.db"
POSTGRES = "postgres://someone:FAKE-password@db.example/app"


@pytest.fixture(autouse=True)
def no_file_of_the_developer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


def kept(environment: Mapping[str, str]) -> tuple[Any, str]:
    """Where records are kept, and who says so."""
    found = lay(None, environment)
    found.refuse_if_faulty()
    node = found.tree.value["ledger"].value["url"]
    return node.value, node.place


def test_the_readme_names_every_variable_that_is_promised_and_the_code_knows_each() -> None:
    rows = re.findall(r"^\| (`[A-Z_`, ]+`) \|", (REPOSITORY / "README.md").read_text(), re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"[A-Z_]{4,}", row)} == NAMES
    assert {*EFFECTS, *LEDGER, *UNUSED} == NAMES
    assert {*OLDER_NAMES, *SECRETS, *LEDGER, *UNUSED} == NAMES


@pytest.mark.parametrize("name", EFFECTS)
def test_each_does_what_the_table_says(name: str, tmp_path: Path) -> None:
    text, find, expected = EFFECTS[name]
    assert find(loaded(tmp_path, "", {name: text})) == expected
    if name not in {"HAIKU_PROVIDER_API_KEY", "REAL_ANTHROPIC_API_KEY"}:
        assert find(loaded(tmp_path, "")) != expected


@pytest.mark.parametrize(("name", "path"), SECRETS.items())
def test_the_manual_looks_for_each_secret_where_the_table_says(name: str, path: str) -> None:
    section, *names = path.split(".")
    node = lay(None, {}).tree.value[section]
    for step in names:
        node = node.value[step]
    named = [one.value for one in node.value] if isinstance(node.value, list) else [f"env:{node.value['env'].value}"]
    assert f"env:{name}" in named


@pytest.mark.parametrize("name", UNUSED)
def test_what_is_not_used_changes_nothing_and_has_a_reason(name: str, tmp_path: Path) -> None:
    assert loaded(tmp_path, "", {name: "FAKE"}) == loaded(tmp_path, "")
    assert without_effect({name: "FAKE"}) == {name: UNUSED[name]}
    assert without_effect({name: " "}) == {}


def test_only_what_was_meant_for_us_is_worth_a_warning() -> None:
    assert list(without_effect(dict.fromkeys(UNUSED, "x"), harmless=False)) == ["SUBAGENT_MAPPINGS"]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"DATABASE_URL": URL}, ("DATABASE_URL", URL)),
        ({"DATABASE_URL": URL, "DB_PATH": "/elsewhere", "DB_TYPE": "sqlite"}, ("DATABASE_URL", URL)),
        ({"DB_PATH": "/srv/my ledger.db"}, ("DB_PATH", "sqlite:///srv/my ledger.db")),
        ({"DB_PATH": "/srv/ledger.db", "DB_TYPE": "SQLite"}, ("DB_PATH", URL)),
        ({"DB_PATH": "/srv/ledger.db", "DATABASE_URL": POSTGRES, "DB_TYPE": "sqlite"}, ("DB_PATH", URL)),
        ({"DB_TYPE": "sqlite"}, None),
        ({}, None),
    ],
)
def test_the_ledger_lies_where_older_names_say(environment: dict[str, str], expected: tuple[str, str] | None) -> None:
    complaints: list[Complaint] = []
    assert ledger_url(environment, complaints) == expected
    assert complaints == []
    name, url = expected or ("", None)
    assert kept(environment)[0] == url
    assert name in kept(environment)[1]


def test_a_path_may_begin_with_the_home_or_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert ledger_url({"DB_PATH": "~/x.db"}, []) == ("DB_PATH", f"sqlite://{tmp_path}/home/x.db")
    assert ledger_url({"DB_PATH": "x.db"}, []) == ("DB_PATH", f"sqlite://{tmp_path}/x.db")


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"DB_TYPE": "postgres"}, r"variable DB_TYPE ledger\.url: records are kept in SQLite alone .* unset DB_TYPE"),
        ({"DATABASE_URL": POSTGRES}, r"variable DATABASE_URL ledger\.url: expected sqlite:///PATH, .*DB_TYPE=sqlite"),
        ({"DATABASE_URL": "mysql://x"}, r"variable DATABASE_URL ledger\.url: expected sqlite:///PATH"),
        ({"DB_TYPE": "postgresql", "DATABASE_URL": POSTGRES}, r"variable DB_TYPE"),
    ],
)
def test_another_database_is_refused_with_a_remedy_and_no_password(environment: dict[str, str], said: str) -> None:
    [complaint] = lay(None, environment).complaints
    assert re.match(said, str(complaint))
    assert "FAKE" not in str(complaint)
    assert "mysql" not in str(complaint)
    assert lay(None, {**environment, "CLAUDE_PROXY_LEDGER__URL": URL}).complaints == []


def test_where_nothing_is_recorded_a_database_of_others_says_nothing(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("ledger: null\n")
    assert lay(file, {"DATABASE_URL": POSTGRES}).complaints == []

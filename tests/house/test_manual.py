"""The built-in configuration is the manual: it names every setting that is read, and reads every one."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from claude_proxy.config.load import default_text, load
from claude_proxy.config.reader import Reader

# Below these the user's own names stand; what is below such a name is explained in the comment above them.
NAMED_BY_THE_USER = ("credentials", "upstreams", "models")

# One of each kind, so that every setting is asked for.
EVERY_KIND = """
access: { token: { file: TOKEN } }
upstreams: { other: { preset: kimi, credential: minimax, auth: bearer } }
routes:
  - { model: x, agent: sub, background: title, to: [{ upstream: other, model: y }] }
  - { to: [{ upstream: claude }] }
"""


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> set[str]:
    """The paths of all settings that a configuration is asked for."""
    paths: set[str] = set()
    get, section = Reader.get, Reader.section

    def noting_get(self: Reader, key: str) -> object:
        paths.add(f"{self.path}.{key}".lstrip("."))
        return get(self, key)

    def noting_section(self: Reader, key: str) -> Reader:
        paths.add(f"{self.path}.{key}".lstrip("."))
        return section(self, key)

    monkeypatch.setattr(Reader, "get", noting_get)
    monkeypatch.setattr(Reader, "section", noting_section)
    file = tmp_path / "config.yaml"
    token = tmp_path / "token"
    token.write_text("FAKE-token")
    file.write_text(EVERY_KIND.replace("TOKEN", str(token)))
    load(file, {})
    return paths


def keys_of(value: object) -> Iterator[str]:
    """Every key, at any depth."""
    if isinstance(value, dict):
        yield from value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from keys_of(inner)


def test_every_setting_that_is_read_stands_in_the_manual(read: set[str]) -> None:
    written = set(keys_of(yaml.safe_load(default_text())))
    commented = "\n".join(re.findall(r"#.*", default_text()))
    assert len(read) > 50
    for path in sorted(read):
        section, _, name = path.partition(".")
        key = path.rpartition(".")[2]
        named_by_the_user = section in NAMED_BY_THE_USER and "." not in name
        explained = re.search(rf"\b{re.escape(key)}\b", commented) is not None
        assert named_by_the_user or key in written or explained, f"{path} does not stand in default.yaml"


def test_every_section_of_the_manual_is_read(read: set[str]) -> None:
    assert set(yaml.safe_load(default_text())) <= read


@pytest.mark.parametrize("unit", ["500ms", "10s", "5m", "2h"])
def test_the_manual_says_how_durations_are_written(unit: str) -> None:
    assert unit in default_text().partition("Durations:")[2].splitlines()[0]

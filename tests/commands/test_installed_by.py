"""The line that removes the program itself, by what has installed it."""

import json
import sys
from importlib import metadata
from pathlib import Path

import pytest

from claude_proxy.commands.installed_by import removal


@pytest.mark.parametrize(
    ("mark", "line"),
    [
        ("uv-receipt.toml", "uv tool uninstall claude-proxy"),
        ("pipx_metadata.json", "pipx uninstall claude-proxy"),
    ],
)
def test_a_tools_own_environment_is_known_by_its_mark(tmp_path: Path, mark: str, line: str) -> None:
    (tmp_path / mark).touch()
    assert removal(tmp_path) == line


@pytest.mark.parametrize(
    ("installer", "direct", "line"),
    [
        ("pip", None, f"{sys.executable} -m pip uninstall claude-proxy"),
        ("uv", None, f"uv pip uninstall --python {sys.executable} claude-proxy"),
        ("pip", {"url": "file:///a/wheel.whl", "archive_info": {}}, f"{sys.executable} -m pip uninstall claude-proxy"),
        (
            "uv",
            {"url": "file:///home/me/my%20clone", "dir_info": {"editable": True}},
            "it is a clone of the repository: remove /home/me/my clone",
        ),
        ("pip", "nonsense", f"{sys.executable} -m pip uninstall claude-proxy"),
    ],
)
def test_elsewhere_the_package_says_who_installed_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installer: str, direct: object, line: str
) -> None:
    package = tmp_path / "claude_proxy-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: claude-proxy\nVersion: 1\n")
    (package / "INSTALLER").write_text(f"{installer}\n")
    if direct is not None:
        (package / "direct_url.json").write_text(json.dumps(direct))
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert metadata.version("claude-proxy") == "1"
    assert removal(tmp_path) == line


def test_what_was_never_installed_is_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert removal(tmp_path) == f"it is a clone of the repository: remove {Path(__file__).parents[2]}"

"""Where the daemon listens, read without the rest of the configuration."""

import subprocess
import sys
from pathlib import Path

import pytest

from claude_proxy.config.address import DEFAULT_HOST, DEFAULT_PORT, listen_address
from claude_proxy.config.load import load
from claude_proxy.config.tree import ConfigurationError


@pytest.fixture(autouse=True)
def no_file_of_the_developer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


def written(directory: Path, text: str) -> Path:
    file = directory / "mine.yaml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("text", "environment"),
    [
        ("", {}),
        ("listen: { port: 9 }\n", {}),
        ("listen: { host: '::1', port: 9 }\n", {}),
        ("listen: { port: 9 }\n", {"PORT": "10"}),
        ("", {"SERVER_HOST": "[::1]", "CLAUDE_PROXY_LISTEN__PORT": "11"}),
    ],
)
def test_it_is_what_the_daemon_reads(tmp_path: Path, text: str, environment: dict[str, str]) -> None:
    file = written(tmp_path, text)
    listen = load(file, environment).listen
    assert listen_address(file, environment) == (listen.host, listen.port)


def test_a_fault_elsewhere_does_not_keep_it_from_being_known(tmp_path: Path) -> None:
    """The daemon goes on with what it read before, and has to be asked all the more."""
    assert listen_address(written(tmp_path, "drain_timeout: soon\nlisten: { port: 9 }\n"), {}) == ("127.0.0.1", 9)


@pytest.mark.parametrize("text", ["listen: { port: many }\n", "listen: [\n", "listen: { host: [1] }\n"])
def test_an_address_that_cannot_be_read_is_told(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"mine\.yaml:"):
        listen_address(written(tmp_path, text), {})


@pytest.mark.parametrize(("text", "needs_yaml"), [(None, False), ("", True)])
def test_reading_it_imports_no_room_of_the_house(tmp_path: Path, text: str | None, *, needs_yaml: bool) -> None:
    """Nor even YAML, where there is nothing to read."""
    own = None if text is None else str(written(tmp_path, text))
    code = (
        "import sys; from pathlib import Path; from claude_proxy.config.address import listen_address; "
        "listen_address(Path(sys.argv[1]) if sys.argv[1:] else None, {}); print(*sys.modules)"
    )
    command = [sys.executable, "-c", code, *([own] if own else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    loaded = set(done.stdout.split())
    assert ("yaml" in loaded) is needs_yaml
    assert not loaded & {"aiohttp", "asyncio", "msgspec", "claude_proxy.config.settings"}


def test_the_built_in_address_is_the_one_in_the_manual(tmp_path: Path) -> None:
    assert listen_address(None, {}) == listen_address(written(tmp_path, ""), {}) == (DEFAULT_HOST, DEFAULT_PORT)


@pytest.mark.parametrize("name", ["CLAUDE_PROXY_LOG__LEVEL", "CLAUDE_PROXY_NOTHING"])
def test_a_variable_that_says_nothing_of_it_is_no_fault_here(tmp_path: Path, name: str) -> None:
    """It is one of this shell's, which the daemon need not have."""
    assert listen_address(written(tmp_path, ""), {name: "a: b: c"}) == ("127.0.0.1", 8082)
    with pytest.raises(ConfigurationError, match="CLAUDE_PROXY_LISTEN__PORT"):
        listen_address(written(tmp_path, ""), {"CLAUDE_PROXY_LISTEN__PORT": "a: b: c"})

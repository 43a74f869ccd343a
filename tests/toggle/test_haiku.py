"""Whether Haiku is taken elsewhere, by what the running daemon says of its routes and keys."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from claude_proxy.toggle import haiku
from claude_proxy.toggle.haiku import goes_elsewhere, key_is_stored
from claude_proxy.toggle.health import Health, ask
from tests.in_process import in_process
from tests.secret_service import secret_service

KEY = "FAKE-minimax-key"
WITH_KEY = {"FAKE_MINIMAX_KEY": KEY}
CLAUDE = {"to": [{"upstream": "claude"}]}
MINIMAX = {"to": [{"upstream": "minimax"}, {"upstream": "claude"}]}


async def health_of(home: Path, config: Mapping[str, Any], env: Mapping[str, str]) -> Health:
    async with in_process(home, config, env) as daemon:
        found = await asyncio.to_thread(ask, daemon.url)
    assert isinstance(found, Health)
    return found


def nothing_is_stored(source: str) -> bool:
    raise AssertionError(f"{source} was looked for")


@pytest.mark.parametrize(
    ("routes", "env", "elsewhere"),
    [
        (None, WITH_KEY, True),
        (None, {}, False),
        ([CLAUDE], WITH_KEY, False),
        ([{"model": "*Haiku*", **MINIMAX}, CLAUDE], WITH_KEY, True),
        ([{"model": "claude-opus-*", **MINIMAX}, CLAUDE], WITH_KEY, False),
        ([{"model": "claude-haiku-*", "agent": "sub", **MINIMAX}, CLAUDE], WITH_KEY, False),
        ([{"model": "claude-haiku-*", "background": "title", **MINIMAX}, CLAUDE], WITH_KEY, False),
        # Everything goes there: Haiku is no exception.
        ([MINIMAX], WITH_KEY, False),
        ([{"model": "claude-haiku-*", **CLAUDE}, MINIMAX], WITH_KEY, True),
    ],
)
async def test_by_the_routes_and_keys_of_the_daemon(
    routes: list[dict[str, Any]] | None, env: dict[str, str], elsewhere: bool, tmp_path: Path
) -> None:
    config = {} if routes is None else {"routes": routes}
    assert goes_elsewhere(await health_of(tmp_path, config, env), nothing_is_stored) is elsewhere


async def test_an_upstream_that_needs_no_key_is_live(tmp_path: Path) -> None:
    config = {
        "upstreams": {"local": {"preset": "ollama"}},
        "routes": [{"model": "claude-haiku-*", "to": [{"upstream": "local"}]}, CLAUDE],
    }
    assert goes_elsewhere(await health_of(tmp_path, config, {}), nothing_is_stored)


@pytest.mark.parametrize("is_there", [True, False])
async def test_a_key_that_the_daemon_has_not_looked_for_yet_is_looked_for(is_there: bool, tmp_path: Path) -> None:
    config = {"credentials": {"claude": {"sources": ["client"]}, "minimax": {"sources": ["keyring:mine", "env:X"]}}}
    asked: list[str] = []

    def is_stored(source: str) -> bool:
        asked.append(source)
        return is_there and source == "keyring:mine"

    assert goes_elsewhere(await health_of(tmp_path, config, {}), is_stored) is is_there
    assert asked[0] == "keyring:mine"


def test_an_older_daemon_does_not_tell_its_routes() -> None:
    assert goes_elsewhere(Health({"upstreams": {}}, 0.0), nothing_is_stored) is None
    assert goes_elsewhere(Health({"routes": ["?"], "upstreams": []}, 0.0), nothing_is_stored) is False


def test_a_file_is_there_or_not(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY)
    assert key_is_stored(f"file:{tmp_path / 'key'}")
    assert not key_is_stored(f"file:{tmp_path / 'none'}")
    for other in ("env:HOME", "keychain", "file", "client", "file:"):
        assert not key_is_stored(other)


async def test_the_keychain_is_asked_for_our_own_entry_and_the_key_goes_nowhere(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async with secret_service() as keyring:
        for name, value in keyring.environment.items():
            monkeypatch.setenv(name, value)
        assert not await asyncio.to_thread(key_is_stored, "keyring:minimax")
        await keyring.store("claude-proxy", "minimax", KEY)
        assert await asyncio.to_thread(key_is_stored, "keyring:minimax")
        assert not await asyncio.to_thread(key_is_stored, "keyring:other")
    assert KEY not in "".join(capfd.readouterr())


def test_a_key_that_key_set_stored_needs_no_keychain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr("subprocess.run", nothing_is_stored)
    keys = tmp_path / "claude-proxy" / "keys"
    keys.mkdir(parents=True)
    (keys / "minimax").touch()  # a note that it lies in the keychain
    assert key_is_stored("keyring:minimax")


async def test_a_keychain_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(haiku, "_KEYRING_PATIENCE", 1.0)
    async with secret_service() as keyring:
        await keyring.store("claude-proxy", "minimax", KEY)
        for name, value in keyring.environment.items():
            monkeypatch.setenv(name, value)
        keyring.freeze()
        try:
            assert not await asyncio.to_thread(key_is_stored, "keyring:minimax")
        finally:
            keyring.thaw()


def test_nothing_is_imported_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keyring.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    assert not key_is_stored("keyring:minimax")
    assert not os.path.lexists(tmp_path / "run")

"""The user's own `claude`: found under a bare PATH too, and told nothing that it need not know."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from claude_proxy.credentials.claude_program import (
    clean_environment,
    find_program,
    login_directory,
    search_path,
)

BARE = "/usr/bin:/bin:/usr/sbin:/sbin"  # as launchd gives it


def install(directory: Path, name: str = "claude-of-the-test") -> str:
    directory.mkdir(parents=True, exist_ok=True)
    program = directory / name
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    return str(program)


NAME = "claude-of-the-test"


@pytest.mark.parametrize("place", [".local/bin", ".claude/local", ".npm-global/bin", ".nvm/versions/node/v22.1.0/bin"])
def test_it_is_found_in_the_usual_places_although_the_path_is_bare(tmp_path: Path, place: str) -> None:
    program = install(tmp_path / place)
    assert find_program(NAME, {"HOME": str(tmp_path), "PATH": BARE}) == program


def test_the_places_outside_the_home_directory_are_looked_into_as_well() -> None:
    assert {"/opt/homebrew/bin", "/usr/local/bin"} <= set(search_path({"HOME": "/home/u", "PATH": BARE}))


def test_the_path_comes_first(tmp_path: Path) -> None:
    install(tmp_path / ".local/bin")
    program = install(tmp_path / "own")
    assert find_program(NAME, {"HOME": str(tmp_path), "PATH": f"{tmp_path / 'own'}:{BARE}"}) == program


def test_of_several_nodes_the_newest_is_taken(tmp_path: Path) -> None:
    for version in ("v9.11.2", "v20.3.0", "v20.12.1", "system"):
        install(tmp_path / ".nvm/versions/node" / version / "bin")
    found = find_program(NAME, {"HOME": str(tmp_path), "PATH": BARE})
    assert found == str(tmp_path / ".nvm/versions/node/v20.12.1/bin" / NAME)


def test_a_directory_that_is_not_absolute_is_never_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would depend on where the daemon was started."""
    install(tmp_path)
    install(tmp_path / "bin")
    monkeypatch.chdir(tmp_path)
    assert find_program(NAME, {"HOME": "/nowhere", "PATH": f":.:bin:{BARE}"}) is None


def test_a_program_that_may_not_be_run_is_not_found(tmp_path: Path) -> None:
    Path(install(tmp_path / ".local/bin")).chmod(0o600)
    assert find_program(NAME, {"HOME": str(tmp_path), "PATH": BARE}) is None


@pytest.mark.parametrize("written", ["~/own/claude-of-the-test", "{home}/own/claude-of-the-test"])
def test_a_name_with_a_slash_is_the_place_itself(tmp_path: Path, written: str) -> None:
    program = install(tmp_path / "own")
    environment = {"HOME": str(tmp_path), "PATH": BARE}
    assert find_program(written.format(home=tmp_path), environment) == program
    assert find_program("~/own/another", environment) is None


SECRETS = {
    "ANTHROPIC_API_KEY": "sk-ant-api03-FAKE-1",
    "ANTHROPIC_AUTH_TOKEN": "FAKE-2",
    "ANTHROPIC_BASE_URL": "http://127.0.0.1:8082",
    "ANTHROPIC_CUSTOM_HEADERS": "x-claude-proxy-token: FAKE-3",
    "CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-FAKE-4",
    "REAL_ANTHROPIC_API_KEY": "sk-ant-api03-FAKE-5",
    "HAIKU_PROVIDER_API_KEY": "FAKE-6",
    "KIMI_API_KEY": "FAKE-7",
    "AUTH_TOKEN": "FAKE-8",
    "CLAUDE_CODE_CLIENT_KEY_PASSPHRASE": "FAKE-9",
    "NODE_OPTIONS": "--require /tmp/other.js",
    "SSLKEYLOGFILE": "/tmp/keys",
    "LD_PRELOAD": "/tmp/other.so",
    "CLAUDE_PROXY_LISTEN__PORT": "8082",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
}
NEEDED = {
    "HOME": "/home/u",
    "USER": "u",
    "LANG": "de_DE.UTF-8",
    "LC_ALL": "C",
    "XDG_RUNTIME_DIR": "/run/user/1",
    "CLAUDE_CONFIG_DIR": "/home/u/claude",
    "HTTPS_PROXY": "http://proxy:3128",
    "https_proxy": "http://proxy:3128",
    "NO_PROXY": "localhost",
    "NODE_EXTRA_CA_CERTS": "/etc/ca.pem",
    "SSL_CERT_FILE": "/etc/ca.pem",
}


def test_it_is_given_what_it_needs_to_find_its_login_and_the_network_and_nothing_else() -> None:
    given = clean_environment({**SECRETS, **NEEDED, "PATH": BARE})
    path = given.pop("PATH")
    assert given == {**NEEDED, "DISABLE_AUTOUPDATER": "1"}
    assert path.startswith(BARE)
    assert "/home/u/.local/bin" in path.split(":"), "a script of npm's looks for its node there"


@pytest.mark.parametrize(
    ("environment", "directory"),
    [
        ({}, "/home/u/.claude"),
        ({"CLAUDE_CONFIG_DIR": ""}, "/home/u/.claude"),
        ({"CLAUDE_CONFIG_DIR": "/a"}, "/a"),
        ({"CLAUDE_CONFIG_DIR": "/a", "CLAUDE_SECURESTORAGE_CONFIG_DIR": "/b"}, "/b"),
    ],
    ids=["none", "empty", "moved", "moved for secrets alone"],
)
def test_the_login_lies_where_claude_code_was_told_to_keep_it(environment: Mapping[str, str], directory: str) -> None:
    assert login_directory({"HOME": "/home/u", **environment}) == Path(directory)


def test_without_a_home_in_the_environment_it_is_the_users() -> None:
    assert login_directory({}) == Path.home() / ".claude"

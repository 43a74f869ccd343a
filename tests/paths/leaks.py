"""What the leak tests share: every secret in one home and one daemon at once, and where each of them may be found."""

import asyncio
import contextlib
import stat
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.claude_request import stored_login
from tests.paths.canaries import (
    ACCESS_TOKEN,
    CLIENT_BEARER,
    CLIENT_KEY,
    CONFIGURED_KEY,
    COOKIE,
    FILE_KEY,
    GATEWAY_KEY,
    HAIKU_KEY,
    KEYRING_KEY,
    QUERY_KEY,
    SETUP_TOKEN,
    STORED_ACCESS_TOKEN,
    STORED_REFRESH_TOKEN,
    TENANT,
    found_in,
    on_the_wire,
)
from tests.paths.logins import write_login_file
from tests.process_watch import Program
from tests.running import clean_environment
from tests.stand_in import StandIn

# What the daemon, and a user who types commands, may have in the environment.
SECRET_VARIABLES = {
    "AUTH_TOKEN": ACCESS_TOKEN,
    "HAIKU_PROVIDER_API_KEY": HAIKU_KEY,
    "REAL_ANTHROPIC_API_KEY": CONFIGURED_KEY,
    "MY_GATEWAY": GATEWAY_KEY,  # a name from which nothing can be told
}

# What the client sends beside its login, and where.
BROUGHT = {
    "Cookie": f"session={COOKIE}",
    "X-Gateway-Key": GATEWAY_KEY,
    "X-Tenant": TENANT,
    "x-claude-proxy-token": ACCESS_TOKEN,
}
LOGIN = {"Authorization": f"Bearer {CLIENT_BEARER}", "x-api-key": CLIENT_KEY}
QUERY = f"?beta=true&api_key={QUERY_KEY}"

_TO_ANTHROPIC = {
    "the client's cookie",
    "the client's key for a gateway",
    "the client's tenant",
    "the client's key in the query",
}
_OF_THE_CLIENT = {"the client's bearer", "the client's key"}

OWN_HOST: Mapping[str, set[str]] = {
    "claude": {*_TO_ANTHROPIC, *_OF_THE_CLIENT, "the stored access token", "the renewed access token"},
    "billed": {*_TO_ANTHROPIC, "the configured key"},
    "yearly": {*_TO_ANTHROPIC, "the setup-token"},
    "minimax": {"MiniMax's key in the environment"},
    "kept": {"MiniMax's key in the keyring"},
    "filed": {"the key in a file"},
}
"""The upstreams of `configuration`, and which secrets each of them, and it alone, is sent."""

# Programs that whoever starts them has given their environment.
_OURS = ("-m claude_proxy", "scripts/sync-credentials")

NATIVE = frozenset({"claude", "billed", "yearly"})
BROUGHT_SECRETS = _TO_ANTHROPIC | _OF_THE_CLIENT


@dataclass(frozen=True)
class Places:
    """Where secrets lie in a home."""

    home: Path

    @property
    def login(self) -> Path:
        return self.home / ".claude" / ".credentials.json"

    @property
    def copied_login(self) -> Path:
        return self.home / ".claude" / "claude-credentials.json"

    @property
    def key_file(self) -> Path:
        return self.home / "key"

    def own(self, name: str) -> Path:
        return self.home / ".local" / "share" / "claude-proxy" / "keys" / name

    @property
    def keys(self) -> dict[Path, set[str]]:
        """The files of keys that `store` fills, and what each holds."""
        return {
            self.key_file: {"the key in a file"},
            self.own("minimax"): {"MiniMax's key in the keyring"},
            self.own("setup-token"): {"the setup-token"},
        }

    def store(self, **login: Any) -> None:
        """Every store holds something, as the user and the commands have put it there."""
        write_login_file(self.login.parent, stored_login(STORED_ACCESS_TOKEN, STORED_REFRESH_TOKEN, **login))
        for path, secret in (
            (self.key_file, FILE_KEY),
            (self.own("minimax"), KEYRING_KEY),
            (self.own("setup-token"), SETUP_TOKEN),
        ):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(f"{secret}\n")

    def assert_nothing_else_holds_a_secret(self, holds: Mapping[Path, set[str]]) -> None:
        """Of all files below the home these hold these secrets, readable by the user alone, and no other any."""
        found = {path: found_in(path.read_text("latin-1")) for path in self.home.rglob("*") if path.is_file()}
        assert {path: names for path, names in found.items() if names} == holds
        for path in holds:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def configuration(hosts: Mapping[str, StandIn], home: Path) -> dict[str, Any]:
    """A daemon in which all of these secrets are in use, each for one host."""
    sources = {
        "claude": ["client", "file"],
        "billed": ["env:REAL_ANTHROPIC_API_KEY"],
        "yearly": ["keyring:setup-token"],
        "minimax": ["env:HAIKU_PROVIDER_API_KEY"],
        "kept": ["keyring:minimax"],
        "filed": [f"file:{Places(home).key_file}"],
    }
    particular: dict[str, dict[str, Any]] = {
        "claude": {"dialect": "anthropic"},
        "billed": {"dialect": "anthropic"},
        "yearly": {"dialect": "anthropic", "demote_nonstreaming": True},
        "minimax": {"dialect": "minimax"},
        "kept": {"dialect": "minimax"},
        "filed": {"dialect": "compatible", "max_concurrency": 1, "max_queue": 0},
    }
    everywhere = [{"upstream": name} for name in ("minimax", "kept", "filed", "billed", "yearly", "claude")]
    return {
        "listen": {"host": "127.0.0.1", "port": 0},
        "credentials": {name: {"sources": where} for name, where in sources.items()},
        "upstreams": {
            name: {"base_url": hosts[name].url, "credential": name, **its} for name, its in particular.items()
        },
        "routes": [
            *({"model": f"{name}-*", "to": [{"upstream": name}]} for name in particular if name != "claude"),
            {"model": "everywhere-*", "to": everywhere},
            {"to": [{"upstream": "claude"}]},
        ],
        # A breaker that opens would keep later journeys from their upstream.
        "breaker": {"failures": 1000, "cooldown": "1ms", "max_cooldown": "1ms"},
        "retry": {"first_wait": "10ms", "max_wait": "10ms", "max_elapsed": "30ms"},
    }


@contextlib.asynccontextmanager
async def all_hosts() -> AsyncIterator[Mapping[str, StandIn]]:
    """A stand-in for each upstream of `configuration`."""
    async with contextlib.AsyncExitStack() as stack:
        yield {name: await stack.enter_async_context(StandIn()) for name in OWN_HOST}


def assert_each_secret_came_to_its_own_host(hosts: Mapping[str, StandIn]) -> None:
    assert {name: on_the_wire(host.received) for name, host in hosts.items()} == OWN_HOST


def assert_programs_know_nothing(programs: Iterable[Program]) -> None:
    """No command line holds a secret, and the environment of no program that is not ours."""
    for program in programs:
        assert found_in(program.command_line) == set(), program.command_line
        if not any(words in program.command_line for words in _OURS):
            assert found_in(" ".join(program.environment)) == set(), program.command_line


async def claude_proxy(
    home: Path, env: Mapping[str, str], *arguments: str, given: bytes = b"", program: tuple[str, ...] = ()
) -> tuple[int, str]:
    """What a command prints to either side, and its exit code; `given` is piped into it."""
    process = await asyncio.create_subprocess_exec(
        *(program or (sys.executable, "-m", "claude_proxy")),
        *arguments,
        env=clean_environment(home, env),
        cwd=home,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(30):
        output, _ = await process.communicate(given)
    assert process.returncode is not None
    return process.returncode, output.decode()

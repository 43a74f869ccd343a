"""Each secret reaches its own host and nothing else: no other host, log, page, error, argument or file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.asking import Reply, ask
from tests.claude_request import SENTINEL, SESSION, claude_body, claude_headers, stored_login
from tests.paths.canaries import (
    ACCESS_TOKEN,
    CLIENT_BEARER,
    CLIENT_KEY,
    CONFIGURED_KEY,
    COOKIE,
    HAIKU_KEY,
    KEYRING_KEY,
    REPEATING,
    SETUP_TOKEN,
    STAND_INS_REQUEST_ID,
    STORED_ACCESS_TOKEN,
    STORED_REFRESH_TOKEN,
    command,
    command_lines,
    files_with_secrets,
    found_in,
    on_the_wire,
)
from tests.paths.logins import write_login_file
from tests.recording_keyring import RecordingKeyring
from tests.running import Daemon, running
from tests.stand_in import Received, StandIn, Wire, says

HAIKU = "claude-haiku-4-5-20251001"
SONNET = "claude-sonnet-4-5"

BEARER = {"Authorization": f"Bearer {CLIENT_BEARER}"}
KEY = {"x-api-key": CLIENT_KEY}
COOKIES = {"Cookie": f"session={COOKIE}"}
PLACEHOLDER = {"x-api-key": SENTINEL}


@dataclass(frozen=True)
class Household:
    """What the client brings, what the environment holds, and what each upstream may see of all secrets."""

    brought: Mapping[str, str]
    claude_sees: set[str]
    minimax_sees: set[str]
    env: Mapping[str, str] = field(default_factory=dict)
    log_format: str = "key-value"


HOUSEHOLDS = {
    "the client's own login": Household(
        {**BEARER, **KEY, **COOKIES},
        {"the client's bearer", "the client's key", "the client's cookie"},
        {"MiniMax's key in the environment"},
        {"HAIKU_PROVIDER_API_KEY": HAIKU_KEY},
    ),
    "a configured key": Household(
        {**BEARER, **KEY, **COOKIES},
        {"the configured key", "the client's cookie"},
        {"MiniMax's key in the environment"},
        {"HAIKU_PROVIDER_API_KEY": HAIKU_KEY, "REAL_ANTHROPIC_API_KEY": CONFIGURED_KEY},
    ),
    "a stored login": Household(
        {**PLACEHOLDER, **COOKIES},
        {"the stored access token", "the client's cookie"},
        {"MiniMax's key in the keyring"},
        log_format="json",
    ),
    "a setup-token": Household(
        {**PLACEHOLDER, **COOKIES},
        {"the setup-token", "the client's cookie"},
        {"MiniMax's key in the keyring"},
        {"CLAUDE_CODE_OAUTH_TOKEN": SETUP_TOKEN},
    ),
}


def stores(home: Path) -> RecordingKeyring:
    """Every store holds something in every household; most of it is not asked for."""
    login = stored_login(STORED_ACCESS_TOKEN, STORED_REFRESH_TOKEN)
    write_login_file(home / ".claude", login)
    keychain = RecordingKeyring(home.parent / "keychain")
    keychain.put(login)
    keychain.put(KEYRING_KEY, service="claude-proxy", account="minimax")
    return keychain


def configuration(claude: StandIn, minimax: StandIn) -> dict[str, Any]:
    return {
        "upstreams": {"claude": {"base_url": claude.url}, "minimax": {"base_url": minimax.url}},
        "access": {"token": {"env": "AUTH_TOKEN"}},
        # A breaker that opens would keep later journeys from their upstream.
        "breaker": {"failures": 1000, "cooldown": "1ms", "max_cooldown": "1ms"},
        "retry": {"first_wait": "10ms", "max_wait": "10ms", "max_elapsed": "30ms"},
    }


class Journeys:
    """All the ways that a request can go, and the replies that came of it."""

    def __init__(self, daemon: Daemon, household: Household, claude: StandIn, minimax: StandIn) -> None:
        self._daemon = daemon
        self._household = household
        self._claude = claude
        self._minimax = minimax
        self.replies: list[tuple[str, Reply]] = []
        self.arguments = ""

    async def all(self) -> None:
        self._claude.answer = self._minimax.answer = self._noting_arguments
        await self._both_models("success")
        for path in ("/v1/messages/count_tokens", "/v1/models", "/v1/unknown"):
            await self._ask(path, path, claude_body(model=HAIKU), "GET" if "model" in path else "POST")
        for name, body in {
            "no JSON": b"{",
            "no object": b"[]",
            "no model": b"{}",
            "not UTF-8": b"\xff",
        }.items():
            await self._ask(name, "/v1/messages", body)
        for name, repeating in REPEATING.items():
            self._minimax.answer, self._claude.answer = repeating, says()
            await self._both_models(f"{name} at MiniMax")
            self._claude.answer = repeating
            await self._both_models(f"{name} at both")
        await self._minimax.stop()
        await self._both_models("MiniMax refuses connections")
        await self._claude.stop()
        await self._both_models("both refuse connections")

    async def _both_models(self, name: str) -> None:
        for model in (HAIKU, SONNET):
            for stream in (False, True):
                await self._daemon.reload()  # or a key that was refused before would not be used again
                body = claude_body(model=model, stream=stream)
                await self._ask(f"{name}, {model}, {stream=}", "/v1/messages?beta=true", body)

    async def _ask(self, name: str, path: str, body: bytes, method: str = "POST") -> None:
        headers = claude_headers({**self._household.brought, "x-claude-proxy-token": ACCESS_TOKEN})
        sent = None if method == "GET" else body
        self.replies.append((name, await ask(self._daemon.url + path, sent, headers, method=method)))

    async def _noting_arguments(self, received: Received, wire: Wire) -> None:
        self.arguments += command_lines(self._daemon.process.pid)
        await says()(received, wire)


@pytest.mark.parametrize("name", HOUSEHOLDS)
async def test_each_secret_reaches_its_own_host_and_nothing_else(tmp_path: Path, name: str) -> None:
    household = HOUSEHOLDS[name]
    home = tmp_path / "home"
    keychain = stores(home)
    env = {**keychain.environment, **household.env, "AUTH_TOKEN": ACCESS_TOKEN}
    options = ("--log-level", "debug", "--log-format", household.log_format)
    async with (
        StandIn() as claude,
        StandIn() as minimax,
        running(home, configuration(claude, minimax), env, *options, wait=False) as daemon,
    ):
        # In either format of the log.
        daemon.url = (await daemon.logged(r'listening"?,? "?url"?[=:] ?"?(http[^" ]+)'))[1]
        journeys = Journeys(daemon, household, claude, minimax)
        await journeys.all()
        pages = {
            page: (await ask(daemon.url + page, method="GET")).body.decode()
            for page in ("/health", "/livez", "/metrics")
        }
        commands = {
            f"explain {model}": await command(home, env, "explain", "--model", model) for model in (HAIKU, SONNET)
        }
        commands["check"] = await command(home, env, "check")
        assert await daemon.stop() == 0

    assert on_the_wire(claude.received) == household.claude_sees
    assert on_the_wire(minimax.received) == household.minimax_sees
    assert not any(SENTINEL in str(request.headers) for request in claude.received + minimax.received)

    for journey, reply in journeys.replies:
        allowed = household.claude_sees if is_claudes_own(reply) else set()
        assert found_in(f"{reply.headers} {reply.body.decode()}") <= allowed, journey
    for place, text in {**pages, **commands, "log": daemon.log, "arguments": journeys.arguments}.items():
        assert text, place
        assert found_in(text) == set(), place
    assert files_with_secrets(home) == {home / ".claude" / ".credentials.json"}


def is_claudes_own(reply: Reply) -> bool:
    """Whether these are the words of Claude's own upstream, which the client gets as they are."""
    from_claude = reply.headers.get("x-claude-proxy-upstream") == "claude"
    return from_claude and (reply.status == 200 or STAND_INS_REQUEST_ID.encode() in reply.body)


@pytest.mark.parametrize(
    "carrier",
    [
        {"Authorization": f"Bearer {ACCESS_TOKEN}"},
        {"x-api-key": ACCESS_TOKEN},
        {"X_Api_Key": ACCESS_TOKEN},
        {"x-claude-proxy-token": ACCESS_TOKEN},
        {"x-claude-proxy-token": ACCESS_TOKEN, "Authorization": f"Bearer {ACCESS_TOKEN}"},
    ],
    ids=["bearer", "key", "key with another spelling", "own header", "two"],
)
async def test_the_proxys_access_token_is_no_credential_for_any_upstream(
    tmp_path: Path, carrier: dict[str, str]
) -> None:
    env = {"AUTH_TOKEN": ACCESS_TOKEN}
    async with (
        StandIn() as claude,
        StandIn() as minimax,
        running(tmp_path, configuration(claude, minimax), env) as daemon,
    ):
        for model in (HAIKU, SONNET):
            reply = await ask(f"{daemon.url}/v1/messages", claude_body(model=model), claude_headers(carrier))
            assert reply.headers.get("x-claude-proxy-error") != "access_token", "it does open the door"
        assert on_the_wire(claude.received) == set()
        assert on_the_wire(minimax.received) == set()
        assert found_in(daemon.log) == set()


async def test_a_wrong_access_token_is_neither_repeated_nor_logged(tmp_path: Path) -> None:
    wrong = f"{ACCESS_TOKEN}-but-mistyped"
    async with (
        StandIn() as claude,
        running(tmp_path, configuration(claude, claude), {"AUTH_TOKEN": ACCESS_TOKEN}) as daemon,
    ):
        headers = claude_headers({"x-claude-proxy-token": wrong})
        reply = await ask(f"{daemon.url}/v1/messages", claude_body(), headers)
        assert reply.status == 403
        assert found_in(f"{reply.headers} {reply.body.decode()} {daemon.log}") == set()
        assert claude.received == []


async def test_nothing_that_identifies_the_client_reaches_minimax(tmp_path: Path) -> None:
    env = {"HAIKU_PROVIDER_API_KEY": HAIKU_KEY}
    async with StandIn() as claude, StandIn() as minimax:
        config = {"upstreams": {"claude": {"base_url": claude.url}, "minimax": {"base_url": minimax.url}}}
        async with running(tmp_path, config, env) as daemon:
            body = claude_body(model=HAIKU)
            reply = await ask(f"{daemon.url}/v1/messages?beta=true", body, claude_headers({**BEARER, **COOKIES}))
            assert reply.status == 200
            assert claude.received == []
            request = minimax.received[0]
            sent = f"{request.target} {request.headers} {request.body.decode()}".lower()
            for identifier in (
                SESSION,
                "user_id",
                "device_id",
                "anthropic-beta",
                "claude-code",
                "claude-cli",
            ):
                assert identifier not in sent

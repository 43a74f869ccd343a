"""All secrets at once in one daemon, on every way of a request: each comes to its own host and nowhere else."""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.asking import Reply, ask
from tests.claude_request import SENTINEL, claude_body, claude_headers
from tests.paths.canaries import (
    ACCESS_TOKEN,
    FILE_KEY,
    HAIKU_KEY,
    RENEWED_ACCESS_TOKEN,
    RENEWED_REFRESH_TOKEN,
    REPEATING,
    STAND_INS_REQUEST_ID,
    found_in,
)
from tests.paths.leaks import (
    BROUGHT,
    BROUGHT_SECRETS,
    LOGIN,
    NATIVE,
    OWN_HOST,
    QUERY,
    SECRET_VARIABLES,
    Places,
    all_hosts,
    assert_each_secret_came_to_its_own_host,
    assert_programs_know_nothing,
    claude_proxy,
    configuration,
)
from tests.paths.quota_headers import ALLOWED, SPENT, headers
from tests.process_watch import ProcessWatch
from tests.running import Daemon, running
from tests.scripted_claude import ScriptedClaude
from tests.stand_in import Answer, Received, StandIn, Wire, hangs, message_start, says

PLACEHOLDER = {"x-api-key": SENTINEL}
MODELS = {
    "the client's own login": ("claude-x", LOGIN),
    "a stored login": ("claude-x", PLACEHOLDER),
    "a configured key": ("billed-x", LOGIN),
    "a setup-token": ("yearly-x", PLACEHOLDER),
    "a key in the environment": ("minimax-x", LOGIN),
    "a key that was kept": ("kept-x", PLACEHOLDER),
    "a key in a file": ("filed-x", LOGIN),
    "one after the other": ("everywhere-x", LOGIN),
}
PAGES = ("/health", "/livez", "/metrics", "/openapi.json", "/openapi.yaml", "/v1/models", "/", "/api/hello")


class Journeys:
    """What was asked, the replies that came of it, and what the daemon and the commands say meanwhile."""

    def __init__(self, daemon: Daemon, hosts: Mapping[str, StandIn], env: Mapping[str, str]) -> None:
        self.daemon = daemon
        self.hosts = hosts
        self.env = env
        self.replies: list[tuple[str, Reply]] = []
        self.texts: dict[str, str] = {}

    def all_answer(self, answer: Answer) -> None:
        for host in self.hosts.values():
            host.answer = answer

    async def every_model(self, name: str, *, stream: bool) -> None:
        for kind, (model, login) in MODELS.items():
            await self.ask(f"{name}, {kind}, {stream=}", login, claude_body(model=model, stream=stream))

    async def ask(
        self, name: str, login: Mapping[str, str], body: bytes | None, path: str = "/v1/messages", **more: Any
    ) -> Reply:
        method = "GET" if body is None else "POST"
        url = f"{self.daemon.url}{path}{QUERY}"
        reply = await ask(url, body, claude_headers({**login, **BROUGHT, **more}), method=method)
        self.replies.append((name, reply))
        return reply

    async def all(self) -> None:
        self.all_answer(says("hello", headers(ALLOWED)))
        for stream in (False, True):
            await self.every_model("success", stream=stream)
        for kind, (model, login) in MODELS.items():
            await self.ask(f"count, {kind}", login, claude_body(model=model), "/v1/messages/count_tokens")
        for path in ("/v1/unknown", "/v1/models/x", "/nowhere", "/v1/chat/completions", "/v1/%41"):
            await self.ask(path, LOGIN, claude_body(), path)
            await self.ask(path, LOGIN, None, path)
        for body in (b"{", b"[]", b"{}", b"\xff", b'{"model": 1}'):
            await self.ask(f"the body {body!r}", LOGIN, body)
        for name, answer in {**REPEATING, "the plan": repeats_in_quota}.items():
            self.all_answer(answer)
            for stream in (False, True):
                await self.daemon.reload()  # or a key that was refused before would not be used again
                await self.every_model(name, stream=stream)
            await self.pages(f"after {name}")
            if name in {"401", "403", "429"}:  # breakers are open now, and the reason is told
                await self.commands(f"after {name}")
        await self.refused_at_the_door()
        await self.no_place()

    async def pages(self, when: str) -> None:
        for page in PAGES:
            self.texts[f"{page} {when}"] = str(await ask(self.daemon.url + page, None, BROUGHT, method="GET"))

    async def commands(self, when: str) -> None:
        for model in ("claude-x", "everywhere-x"):
            self.texts[f"explain {model} {when}"] = await self.told("explain", "--model", model)
        for command in (("status",), ("status", "--json"), ("check",)):
            self.texts[f"{command} {when}"] = await self.told(*command)

    async def told(self, *arguments: str) -> str:
        """What a command says beside this daemon, in its own environment."""
        env = {**self.env, "CLAUDE_PROXY_LISTEN__PORT": self.daemon.url.rpartition(":")[2]}
        home = self.daemon.home
        _, said = await claude_proxy(home, env, *arguments, "--config", str(home / "config.yaml"))
        assert "Traceback" not in said, said
        return said

    async def refused_at_the_door(self) -> None:
        body = claude_body()
        await self.ask("a page of another site", LOGIN, body, Origin="https://site.example")
        await self.ask("no media type", LOGIN, body, **{"Content-Type": "text/plain"})
        await self.ask("a wrong coding", LOGIN, body, **{"Content-Encoding": "gzip"})
        await self.ask("a wrong access token", LOGIN, body, **{"x-claude-proxy-token": f"{ACCESS_TOKEN}, mistyped"})
        await self.ask("other software", PLACEHOLDER, body, **{"User-Agent": "curl/8"})

    async def no_place(self) -> None:
        """One request has the only place, the next is refused; the client of the first leaves."""
        self.all_answer(hangs([message_start()]))
        filed = self.hosts["filed"]
        before = len(filed.received)
        body = claude_body(model="filed-x", stream=True)
        first = asyncio.create_task(self.ask("first", LOGIN, body))
        await filed.wait_for(lambda: len(filed.received) > before)
        assert (await self.ask("no place", LOGIN, body)).headers["x-claude-proxy-error"] == "queue_full"
        first.cancel()
        await asyncio.wait([first])
        self.all_answer(says())


async def repeats_in_quota(received: Received, wire: Wire) -> None:
    """What is told of the plan in headers, with all that it was called with."""
    secrets = [word for _, value in received.headers if found_in(word := value.replace("=", " ").split(" ")[-1])]
    careless = dict(SPENT)
    for number, secret in enumerate(secrets):
        careless |= {f"w{number}-status": secret, f"{secret}-status": "allowed", f"o{number}": secret}
        careless |= {"representative-claim": secret, "overage-disabled-reason": secret}
    await says("hello", headers(careless))(received, wire)


@pytest.mark.parametrize(("log_format", "debug"), [("key-value", ""), ("json", "1")])
async def test_each_secret_comes_to_its_own_host_and_nowhere_else(tmp_path: Path, log_format: str, debug: str) -> None:
    home = tmp_path / "home"
    places, claude = Places(home), ScriptedClaude(tmp_path / "bin")
    places.store()
    env = {**SECRET_VARIABLES, "PATH": claude.path, "CLAUDE_PROXY_CREDENTIALS__CLAUDE__REFRESH": "delegate"}
    env["PYTHONASYNCIODEBUG"] = debug  # with this asyncio has much to tell
    options = ("--log-level", "debug", "--log-format", log_format)
    async with all_hosts() as hosts:
        config = configuration(hosts, home)
        with ProcessWatch(tmp_path / "seen") as watch:
            async with running(home, config, env, *options, wait=False) as daemon:
                daemon.url = (await daemon.logged(r'listening"?,? "?url"?[=:] ?"?(http[^" ]+)'))[1]
                journeys = Journeys(daemon, hosts, env)
                await journeys.all()
                await renewed(journeys, places, claude, watch)
                await configuration_with_secrets(journeys, config)
                await journeys.pages("in the end")
                await journeys.commands("in the end")
                await stopped_while_answering(journeys)
    journeys.texts["log"] = daemon.log
    assert_each_secret_came_to_its_own_host(hosts)
    assert not any(SENTINEL in str(got.headers) for host in hosts.values() for got in host.received)
    assert all(journeys.texts.values())
    assert "refused the credential" in journeys.texts["/health after 401"]
    assert "breaker open" in journeys.texts["explain everywhere-x after 401"]
    leaks = {place: found_in(text) for place, text in journeys.texts.items()}
    for journey, reply in journeys.replies:
        leaks[journey] = found_in(f"{reply.headers} {reply.body.decode()}") - allowed_in(reply)
    assert {place: names for place, names in leaks.items() if names} == {}
    assert watch.of("-m claude_proxy serve")
    assert watch.of(str(claude.program))
    assert_programs_know_nothing(watch.programs)
    places.assert_nothing_else_holds_a_secret(
        {**places.keys, places.login: {"the renewed access token", "the renewed refresh token"}}
    )


async def renewed(journeys: Journeys, places: Places, claude: ScriptedClaude, watch: ProcessWatch) -> None:
    """The stored login has expired, and `claude` renews it."""
    places.store(expiresAt=1_000_000_000_000)
    claude.renews(places.login, RENEWED_ACCESS_TOKEN, watch.until_seen, refresh_token=RENEWED_REFRESH_TOKEN)
    await journeys.daemon.reload()
    reply = await journeys.ask("renewed", PLACEHOLDER, claude_body())
    assert reply.status == 200
    assert found_in(f"{claude.arguments} {claude.environment}") == set()


async def configuration_with_secrets(journeys: Journeys, config: dict[str, Any]) -> None:
    """Whoever writes a secret where its name belongs is told so, and it is not repeated."""
    mistakes: list[dict[str, Any]] = [
        {"credentials": {**config["credentials"], "minimax": {"sources": [secret]}}} for secret in (FILE_KEY, HAIKU_KEY)
    ]
    mistakes += [{"access": {"token": ACCESS_TOKEN}}, {"drain_timeout": FILE_KEY}]
    mistakes += [{"upstreams": {**config["upstreams"], "x": {"base_url": f"https://x:{FILE_KEY}@x.example"}}}]
    mistakes += [{"upstreams": {**config["upstreams"], "x": {"preset": "kimi", "api_key": FILE_KEY}}}]
    file = journeys.daemon.home / "config.yaml"
    for mistake in mistakes:
        file.write_text(yaml.safe_dump({**config, **mistake}))
        await journeys.daemon.reload()
    assert len(re.findall("reload_refused", journeys.daemon.log)) >= len(mistakes)
    file.write_text(yaml.safe_dump(config))
    await journeys.daemon.reload()


async def stopped_while_answering(journeys: Journeys) -> None:
    """An answer is under way when the daemon is told to stop; what comes meanwhile is refused."""
    daemon, claude = journeys.daemon, journeys.hosts["claude"]
    gate = asyncio.Event()

    async def waits(received: Received, wire: Wire) -> None:
        await gate.wait()
        await says()(received, wire)

    claude.answer = waits
    before = len(claude.received)
    last = asyncio.create_task(journeys.ask("the last", LOGIN, claude_body()))
    await claude.wait_for(lambda: len(claude.received) > before)
    daemon.signal(15)
    await daemon.logged("draining")
    refused = await journeys.ask("draining", LOGIN, claude_body())
    assert refused.headers["x-claude-proxy-error"] == "draining"
    journeys.texts["/health draining"] = str(await ask(f"{daemon.url}/health", None, BROUGHT, method="GET"))
    gate.set()
    assert (await last).status == 200
    assert await daemon.ended() == 0


def allowed_in(reply: Reply) -> set[str]:
    """What a client may read: the words of Anthropic's own API as they are, though no credential that is not its own
    in a refusal. Of our own words and of a stranger's, nothing."""
    upstream = reply.headers.get("x-claude-proxy-upstream", "")
    if upstream not in NATIVE:
        return set()
    if reply.status == 200:
        return OWN_HOST[upstream]
    return BROUGHT_SECRETS if STAND_INS_REQUEST_ID.encode() in reply.body else set()

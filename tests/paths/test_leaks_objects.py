"""What the living objects of the house say of themselves, and what is told of a fault of ours: never a secret."""

import asyncio
import gc
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from claude_proxy.credentials.chain import SupplyChain
from claude_proxy.credentials.credential import Credential
from claude_proxy.dialects.anthropic import AnthropicDialect
from claude_proxy.exchange import Attempt, Exchange
from claude_proxy.failures import Failure
from claude_proxy.logline import KeyValueFormatter, Redactor
from claude_proxy.observers.chain import ObserverChain
from claude_proxy.upstreams.route import Route, RouteTable, Target
from claude_proxy.upstreams.upstream import Upstream
from claude_proxy.wire.headers import Headers
from claude_proxy.wire.messages import ClientRequest
from tests.asking import Reply, ask
from tests.claude_request import claude_body, claude_headers
from tests.in_process import InProcess, in_process
from tests.observers.closed_exchanges import exchange
from tests.paths.canaries import CLIENT_BEARER, GATEWAY_KEY, REPEATING, found_in
from tests.paths.leaks import BROUGHT, LOGIN, QUERY, SECRET_VARIABLES, Places, all_hosts, configuration
from tests.running import eventually
from tests.stand_in import Answer, Received, StandIn, Wire, message_end, message_start, says

MODELS = ("claude-x", "billed-x", "yearly-x", "minimax-x", "kept-x", "filed-x", "everywhere-x")

# What the sweeps below must have met to have a meaning.
HOLD_SECRETS = {
    *("AccessSettings", "Answer", "Attempts", "ClientRequest", "Credential", "EnvironmentSource", "Exchange"),
    *("Failure", "FileSource", "Forwarder", "Guard", "House", "Members", "Outbound", "OwnKeySource", "PassThrough"),
    *("Route", "RouteTable", "Said", "Settings", "SupplyChain", "Target", "Task", "TokenStore", "Upstream"),
}


class Sweeps:
    """Has every object of ours speak for itself, and every task and callback, again and again."""

    def __init__(self) -> None:
        self.met: set[str] = set()
        self.leaks: dict[str, set[str]] = {}

    def sweep(self) -> None:
        for thing in gc.get_objects():
            kind = type(thing)
            ours = str(kind.__module__).startswith("claude_proxy.")
            if ours or issubclass(kind, (asyncio.Future, asyncio.Handle)):
                self.met.add(kind.__name__)
                if names := found_in(repr(thing)):
                    self.leaks.setdefault(kind.__name__, set()).update(names)

    def before(self, answer: Answer) -> Answer:
        """This answer, after a sweep at the moment in which the daemon waits for it."""

        async def swept(received: Received, wire: Wire) -> None:
            self.sweep()
            await answer(received, wire)

        return swept

    async def amid(self, _: Received, wire: Wire) -> None:
        """A stream, and a sweep while it is under way."""

        def under_way() -> bool:
            self.sweep()
            return "Answer" in self.met

        await wire.start_stream()
        await wire.chunk(message_start())
        await eventually(under_way)
        for event in message_end():
            await wire.chunk(event)
        await wire.end()


@asynccontextmanager
async def with_every_secret(home: Path) -> AsyncIterator[tuple[InProcess, Mapping[str, StandIn]]]:
    """The house in this process, with all secrets in use. What was there before it is no object that is looked at."""
    gc.collect()
    gc.freeze()
    try:
        home.mkdir()
        Places(home).store()
        async with all_hosts() as hosts:
            config = {**configuration(hosts, home), "access": {"token": {"env": "AUTH_TOKEN"}}}
            async with in_process(home, config, SECRET_VARIABLES) as daemon:
                yield daemon, hosts
    finally:
        gc.unfreeze()


async def ask_one(daemon: InProcess, model: str, *, stream: bool = False) -> Reply:
    body = claude_body(model=model, stream=stream)
    return await ask(f"{daemon.url}/v1/messages{QUERY}", body, claude_headers({**LOGIN, **BROUGHT}))


async def test_no_object_tells_a_secret_of_its_own_accord(tmp_path: Path) -> None:
    sweeps = Sweeps()
    async with with_every_secret(tmp_path / "home") as (daemon, hosts):
        for number, answer in enumerate((says(), *REPEATING.values())):
            for host in hosts.values():
                host.answer = sweeps.before(answer)
            daemon.house.reload(daemon.house.settings)  # or a key that was refused before would not be used again
            for model in MODELS:
                await ask_one(daemon, model, stream=number % 2 == 0)
        hosts["claude"].answer = sweeps.amid
        daemon.house.reload(daemon.house.settings)
        assert (await ask_one(daemon, "claude-x", stream=True)).status == 200
        sweeps.sweep()
        assert found_in(repr(daemon.house.settings)) == set()
    assert HOLD_SECRETS - sweeps.met == set()
    assert sweeps.leaks == {}


# --- a fault of ours -------------------------------------------------------------------------------------


class Faulty(AnthropicDialect):
    """Has all secrets of a request in its hands when it fails, and fails again while that is being handled."""

    def headers(self, headers: Headers, access_header: str) -> Headers:
        secrets = dict(headers)
        try:
            return self._broken(secrets)
        except ZeroDivisionError:
            raise RuntimeError("a fault in the test's dialect") from None

    def _broken(self, secrets: dict[str, str]) -> Headers:
        return tuple(secrets.items())[: 1 // 0]


class FaultyRefusal(AnthropicDialect):
    """Fails at an upstream's refusal, which repeats what it was called with."""

    def refusal(self, status: int, headers: Headers, body: bytes, request: ClientRequest) -> Failure:
        failure = super().refusal(status, headers, body, request)
        raise LookupError(f"a fault in the test's dialect, for {failure.kind.name}")


class FaultySupply(SupplyChain):
    """Fails when it is asked for another credential, while an upstream's words are being looked through."""

    async def replaces(self, refused: Credential) -> Credential | None:
        raise LookupError(f"a fault in the test's supply, for {refused}")


FAULTS: Mapping[str, Callable[[Upstream], Upstream]] = {
    "on the way up": lambda upstream: replace(upstream, dialect=Faulty()),
    "on the way down": lambda upstream: replace(upstream, dialect=FaultyRefusal()),
    "at a refused credential": lambda upstream: replace(upstream, supply=FaultySupply([upstream.supply])),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_of_ours_is_told_with_its_place_and_without_a_secret(tmp_path: Path, fault: str) -> None:
    async with with_every_secret(tmp_path / "home") as (daemon, hosts):
        hosts["billed"].answer = REPEATING["401"]
        table = daemon.house.forwarder.routes
        claude = FAULTS[fault](table.upstreams["billed"])
        everything = Route(table.routes[-1].match, (Target(claude),))
        daemon.house.forwarder.routes = RouteTable([everything], {"billed": claude}, table.sentinels)
        reply = await ask_one(daemon, "claude-x")
        told = json.dumps(daemon.records)
    assert (reply.status, reply.headers["x-claude-proxy-error"]) == (500, "internal")
    assert found_in(f"{reply.headers} {reply.body.decode()}") == set()
    assert "Traceback" in told
    assert "a fault in the test's" in told
    assert found_in(told) == set()


class FaultyObserver:
    """Stumbles over the request's own bytes."""

    def began(self, exchange: Exchange) -> None: ...

    def skipped(self, exchange: Exchange, upstream: str, failure: Failure) -> None: ...

    def quota_read(self, exchange: Exchange, attempt: Attempt) -> None: ...

    def attempt_failed(self, exchange: Exchange, attempt: Attempt) -> None: ...

    def closed(self, exchange: Exchange) -> None:
        raw = " ".join(value for _, value in exchange.request.headers).encode() + b"\xff"
        raw.decode()


def test_an_observer_that_stumbles_over_a_secret_does_not_have_it_logged(caplog: pytest.LogCaptureFixture) -> None:
    headers = tuple(claude_headers({"Authorization": CLIENT_BEARER, "X-Gateway-Key": GATEWAY_KEY}).items())
    request = ClientRequest("POST", "/v1/messages", headers)
    with caplog.at_level(logging.DEBUG):
        ObserverChain([FaultyObserver()]).closed(exchange(request))
    told = "\n".join(KeyValueFormatter(Redactor()).format(record) for record in caplog.records)
    assert "observer=FaultyObserver" in told
    assert "UnicodeDecodeError" in told
    assert found_in(told) == set()

"""The forwarding room over real sockets, as the house puts it together: configuration, routes, transport, observer."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from claude_proxy.assembly import build_routes
from claude_proxy.config.load import load
from claude_proxy.exchange import Attempt, Exchange
from claude_proxy.failures import Failure, FailureKind, ProxyError
from claude_proxy.forwarding.attempt import Attempts
from claude_proxy.forwarding.forwarder import Forwarder
from claude_proxy.forwarding.reply import Reply
from claude_proxy.upstreams.breakers import Breakers
from claude_proxy.upstreams.connection import Pool
from claude_proxy.upstreams.transport import Transport
from claude_proxy.wire.headers import Headers, first
from claude_proxy.wire.messages import ClientRequest
from claude_proxy.wire.quota import Quota
from tests.stand_in import StandIn

CLIENT_KEY = "sk-ant-api03-FAKE-of-the-client"
BRINGS_KEY = ("x-api-key", CLIENT_KEY)
BRINGS_SENTINEL = ("x-api-key", "proxy-managed")
OUR_KEY = "sk-ant-api03-FAKE-of-the-proxy"
MINIMAX_KEY = "FAKE-minimax-key"

TRIES = 4
"""How often the only target is asked."""

QUICK = {"first_wait": "1ms", "max_wait": "2ms", "max_elapsed": "20s", "max_retries": TRIES - 1}
NOBODY = "http://127.0.0.1:9"  # the discard port: where a test has no upstream, nothing is reached
DIALECTS = {"claude": "anthropic", "gateway": "anthropic", "minimax": "minimax", "kimi": "compatible"}


def to(*upstreams: str, model: str | None = None) -> dict[str, Any]:
    """A route: for this model, or for all, to these upstreams in order."""
    route: dict[str, Any] = {"to": [{"upstream": name} for name in upstreams]}
    return {"model": model, **route} if model else route


class Watcher:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.begun: list[Exchange] = []
        self.skips: list[tuple[str, FailureKind]] = []
        self.failed: list[tuple[str, FailureKind]] = []
        self.closes: list[Exchange] = []
        self.quotas: list[tuple[str, Quota | None]] = []

    def began(self, exchange: Exchange) -> None:
        assert exchange.route
        assert not exchange.attempts
        self.begun.append(exchange)

    def skipped(self, exchange: Exchange, upstream: str, failure: Failure) -> None:
        self.skips.append((upstream, failure.kind))

    def quota_read(self, exchange: Exchange, attempt: Attempt) -> None:
        assert attempt.ended is None
        self.quotas.append((attempt.upstream, attempt.quota))

    def attempt_failed(self, exchange: Exchange, attempt: Attempt) -> None:
        assert attempt.failure is not None
        assert attempt.ended is not None
        self.failed.append((attempt.upstream, attempt.failure.kind))

    def closed(self, exchange: Exchange) -> None:
        self.closes.append(exchange)


@dataclass
class Told:
    """What became of a request: what the client would be told, and the exchange as it was closed."""

    exchange: Exchange
    status: int = 0
    headers: Headers = ()
    chunks: list[bytes] = field(default_factory=list)
    failure: Failure | None = None
    """Why there was no answer, or why it broke."""

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        return first(self.headers, name)

    @property
    def kind(self) -> FailureKind | None:
        return self.failure.kind if self.failure else None

    @property
    def client_status(self) -> int:
        """The status that the client would see."""
        return self.failure.client_status if self.failure and not self.status else self.status


class House:
    """What a test asks through."""

    def __init__(self, forwarder: Forwarder, watcher: Watcher, learned: list[str]) -> None:
        self.forwarder = forwarder
        self.watcher = watcher
        self.learned = learned

    async def ask(self, request: ClientRequest, after_each: Callable[[], Awaitable[None]] | None = None) -> Told:
        """Sends a request and reads all of the answer, with a pause `after_each` chunk."""
        told = Told(Exchange(request))
        try:
            async with asyncio.timeout(60), self.forwarder.forward(told.exchange) as reply:
                told.status, told.headers = reply.status, reply.headers
                if reply.body is not None:
                    told.chunks.append(reply.body)
                else:
                    async for chunk in pieces(reply):
                        told.chunks.append(chunk)
                        if after_each is not None:
                            await after_each()
        except ProxyError as error:
            told.failure = error.failure
        return told

    def breaker(self, upstream: str) -> Breakers:
        return self.forwarder.routes.upstreams[upstream].breaker


async def pieces(reply: Reply) -> AsyncIterator[bytes]:
    """The body of a reply that streams, as it is written. Raises what `pour` raises."""
    if reply.opening:
        yield reply.opening
    written: asyncio.Queue[bytes | None] = asyncio.Queue()

    def write(block: bytes) -> bool:
        written.put_nowait(block)
        return True

    async def no_rest() -> None:
        raise AssertionError("nobody has asked for one")

    pouring = asyncio.create_task(reply.pour(write, no_rest))
    pouring.add_done_callback(lambda _: written.put_nowait(None))
    try:
        while (block := await written.get()) is not None:
            yield block
        await pouring
    finally:
        pouring.cancel()


@asynccontextmanager
async def forwarding(
    home: Path,
    upstreams: Mapping[str, StandIn | str],
    *,
    routes: Iterable[Mapping[str, Any]] | None = None,
    sources: Mapping[str, list[str]] | None = None,
    environment: Mapping[str, str] | None = None,
    of_upstreams: Mapping[str, Mapping[str, Any]] | None = None,
    **settings: Any,
) -> AsyncIterator[House]:
    """The house with these upstreams, asked in their order unless `routes` say otherwise. `claude` and `gateway`
    speak Anthropic's dialect, `minimax` its own, `kimi` a compatible one; `of_upstreams` sets more for one of
    them, and further arguments are sections of the configuration.

    Claude's credential is the client's own, then OUR_KEY where the environment names it; the others have a key.
    """
    credentials = {
        "claude": ["client", "env:OUR_KEY"],
        "gateway": ["client", "env:OUR_KEY"],
        "minimax": ["env:MINIMAX_API_KEY"],
        "kimi": ["env:KIMI_API_KEY"],
        **(sources or {}),
    }
    urls = {name: upstream if isinstance(upstream, str) else upstream.url for name, upstream in upstreams.items()}
    configuration = {
        "retry": QUICK,
        "credentials": {name: {"sources": named} for name, named in credentials.items()},
        "upstreams": {
            name: {
                "base_url": urls.get(name, NOBODY),
                "credential": name,
                "dialect": dialect,
                **(of_upstreams or {}).get(name, {}),
            }
            for name, dialect in DIALECTS.items()
        },
        "routes": list(routes) if routes is not None else [to(*upstreams)],
        **settings,
    }
    path = home / "config.yaml"
    path.write_text(yaml.safe_dump(configuration))
    loaded = load(path, {})
    given = {"MINIMAX_API_KEY": MINIMAX_KEY, "KIMI_API_KEY": "FAKE-kimi-key", "HOME": str(home), **(environment or {})}
    learned: list[str] = []
    watcher = Watcher()
    async with Pool() as pool:
        attempts = Attempts(Transport(pool), loaded.retry, watcher, loaded.access.carried_in)
        yield House(Forwarder(build_routes(loaded, given, learned.append), attempts, watcher), watcher, learned)

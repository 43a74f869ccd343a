"""The house put together: with `supplies.py` the only file that knows every concrete class. Lifetimes nest."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

import msgspec
from msgspec.structs import replace

from claude_proxy.aside import imported
from claude_proxy.bookkeeping import answers_kept, reading, recording
from claude_proxy.config.sections import takes_login
from claude_proxy.config.settings import Settings, UpstreamSettings
from claude_proxy.credentials.chain import SupplyChain
from claude_proxy.credentials.credential import (
    CredentialSupply,
)
from claude_proxy.credentials.refresh import Refresher
from claude_proxy.credentials.upkeep import EVERY, upkeep
from claude_proxy.dialects.anthropic import AnthropicDialect
from claude_proxy.dialects.compatible import CompatibleDialect, CompatibleTraits
from claude_proxy.dialects.dialect import Dialect
from claude_proxy.dialects.minimax import MINIMAX_TRAITS, MiniMaxDialect
from claude_proxy.exchange import Observer
from claude_proxy.forwarding.attempt import Attempts
from claude_proxy.forwarding.forwarder import Forwarder
from claude_proxy.ledger.prices import PriceList
from claude_proxy.ledger.pricing import Pricing
from claude_proxy.observers.chain import ObserverChain
from claude_proxy.observers.lag import lag_watched
from claude_proxy.observers.live import LiveEvents
from claude_proxy.observers.log import ExchangeLog
from claude_proxy.observers.metrics import CONTENT_TYPE, Metrics, UpstreamState
from claude_proxy.observers.quota import QuotaWatch
from claude_proxy.observers.recorder import Recorder
from claude_proxy.observers.recording import Recording
from claude_proxy.supplies import Learn, supply
from claude_proxy.upstreams.breakers import Breakers
from claude_proxy.upstreams.connection import Pool
from claude_proxy.upstreams.route import Route, RouteTable, Target
from claude_proxy.upstreams.slots import Slots
from claude_proxy.upstreams.transport import Transport
from claude_proxy.upstreams.upstream import Upstream
from claude_proxy.web.app import App
from claude_proxy.web.conversations import ConversationsDoor
from claude_proxy.web.drain import Drain
from claude_proxy.web.events import EventsDoor
from claude_proxy.web.guard import Guard
from claude_proxy.web.health import Health
from claude_proxy.web.messages import MessagesDoor
from claude_proxy.web.models import ModelsDoor
from claude_proxy.web.requests import RequestsDoor
from claude_proxy.web.stats import StatsDoor


class House(msgspec.Struct):
    """What the daemon needs of it."""

    app: App
    drain: Drain
    forwarder: Forwarder
    transport: Transport
    observer: Observer
    settings: Settings
    environment: Mapping[str, str]
    learn: Learn
    models: dict[str, str]
    quotas: QuotaWatch
    refresher: Refresher
    pricing: Pricing
    recorder: Recorder | None

    def __repr__(self) -> str:
        return "House(…)"

    def reload(self, settings: Settings) -> None:
        """Puts another configuration in force for new requests; breakers and places are kept by name.

        Where it listens, who may come in and its limits belong to the process, and so does the ledger's file: they
        stay until a restart.
        """
        was = self.settings
        settings = replace(settings, access=was.access, limits=was.limits, listen=was.listen)
        kept = {
            name: upstream
            for name, upstream in self.forwarder.routes.upstreams.items()
            # Of another address or with other limits they say nothing.
            if settings.upstreams.get(name) == was.upstreams.get(name) and settings.breaker == was.breaker
        }
        for upstream in kept.values():
            upstream.breaker.forgive()
        addresses = {name: upstream.base_url for name, upstream in was.upstreams.items()}
        self.quotas.keep(name for name, its in settings.upstreams.items() if its.base_url == addresses.get(name))
        self.pricing.prices = self.pricing.prices.under(settings.prices)
        if self.recorder is not None:
            its = self.recorder.settings
            self.recorder.settings = replace(settings.ledger, enabled=its.enabled, path=its.path)
            self.forwarder.keeps = answers_kept(settings.ledger)
        self.models.clear()
        self.models.update(listed_models(settings))
        learn_proxy_logins(settings, self.learn)
        self.forwarder.routes = build_routes(settings, self.environment, self.learn, kept, self.refresher)
        self.forwarder.attempts = Attempts(self.transport, settings.retry, self.observer, settings.access.carried_in)
        self.settings = settings
        self.read_ahead()

    def read_ahead(self) -> None:
        """Begins to read what takes its time, so that no request waits for it. For who serves: while a process starts
        it would share the processor with that."""
        self.transport.prepare(upstream.transport for upstream in self.settings.upstreams.values())


@asynccontextmanager
async def assemble(
    settings: Settings,
    environment: Mapping[str, str],
    port: int,
    learn: Learn,
    check_every: float = EVERY,
    *,
    observers: Sequence[Observer] = (),
    await_rest: Callable[[float], object] = lambda _: None,
) -> AsyncIterator[House]:
    """The house, standing until the block ends. `port` is the one that the daemon listens on.

    `check_every` is in seconds: how often a stored login is looked after that is in use. `observers` are told after
    those of the house. `await_rest` returns once the event loop has nothing to do, or after so many seconds.
    """
    known: set[str] = set()
    learn = _both(learn, known.add)
    for secret in filter(None, (settings.access.token, settings.access.dashboard_password)):
        learn(secret)
    drain = Drain()
    pricing = Pricing(PriceList(settings.prices))
    async with (
        Pool() as pool,
        Refresher(environment) as refresher,
        recording(settings.ledger, Recording(lambda: tuple(known), pricing.of), await_rest) as recorder,
    ):
        transport = Transport(pool)
        learn_proxy_logins(settings, learn)
        routes = build_routes(settings, environment, learn, refresher=refresher)
        models = listed_models(settings)
        metrics = Metrics(models.__contains__, pricing)
        quotas = QuotaWatch()
        live = LiveEvents(pricing)
        observer = ObserverChain(
            [ExchangeLog(pricing), metrics, quotas, live, *([recorder] if recorder else []), *observers]
        )
        header = settings.access.carried_in
        forwarder = Forwarder(routes, Attempts(transport, settings.retry, observer, header), observer)
        if recorder is not None:
            forwarder.keeps = answers_kept(settings.ledger)
        scrape = partial(_scrape, metrics, quotas, pricing, recorder, drain, forwarder)
        guard = Guard(settings.access, port)
        reads = reading(settings.ledger)
        app = App(
            guard,
            drain,
            MessagesDoor(forwarder, guard, settings.limits),
            ModelsDoor(models),
            Health(drain, forwarder, scrape, CONTENT_TYPE, quotas.shown),
            EventsDoor(live, drain),
            RequestsDoor(reads),
            StatsDoor(reads),
            ConversationsDoor(reads),
        )
        async with upkeep(partial(_supplies, forwarder), check_every), lag_watched(metrics.loop_lag.observe):
            yield House(
                app,
                drain,
                forwarder,
                transport,
                observer,
                settings,
                environment,
                learn,
                models,
                quotas,
                refresher,
                pricing,
                recorder,
            )


def _both(first: Learn, second: Learn) -> Learn:
    def learn(secret: str) -> None:
        first(secret)
        second(secret)

    return learn


def learn_proxy_logins(settings: Settings, learn: Learn) -> None:
    """What proxies on the way out ask for is never logged."""
    for upstream in settings.upstreams.values():
        egress = upstream.transport.egress
        if egress is not None and egress.proxy_login:
            learn(egress.proxy_login)
            learn(egress.proxy_login.partition(":")[2])


def build_routes(
    settings: Settings,
    environment: Mapping[str, str],
    learn: Learn,
    before: Mapping[str, Upstream] | None = None,
    refresher: Refresher | None = None,
) -> RouteTable:
    """The route table with everything that it leads to; what is learnt of upstreams that stay is taken over.

    Reads no credential and asks nobody. Without a `refresher` no stored login is ever renewed for it.
    """
    sentinels = settings.sentinels | ({settings.access.token} if settings.access.token else frozenset())
    kept = before or {}
    supplies = {
        name: supply(credential, sentinels, environment, learn, refresher)
        for name, credential in settings.credentials.items()
    }
    upstreams = {
        name: _upstream(upstream, settings, supplies, sentinels, kept.get(name))
        for name, upstream in settings.upstreams.items()
    }
    routes = [
        Route(route.match, tuple(Target(upstreams[target.upstream], target.model) for target in route.targets))
        for route in settings.routes
    ]
    return RouteTable(routes, upstreams, sentinels)


def listed_models(settings: Settings) -> dict[str, str]:
    """Model ids and display names: those of the configuration, and those that routes name exactly."""
    models = dict(settings.models)
    for route in settings.routes:
        if route.match.model and not set(route.match.model) & set("*?["):
            models.setdefault(route.match.model, route.match.model)
        for target in route.targets:
            if target.model:
                models.setdefault(target.model, target.model)
    return models


def _dialect(settings: UpstreamSettings) -> Dialect:
    match settings.dialect:
        case "anthropic":
            return AnthropicDialect()
        case "minimax":
            traits = replace(
                MINIMAX_TRAITS, cache_control=settings.cache_control, context_window=settings.context_window
            )
            return MiniMaxDialect(settings.name, traits)
        case _:
            traits = CompatibleTraits(cache_control=settings.cache_control, context_window=settings.context_window)
            return CompatibleDialect(settings.name, traits)


def _upstream(
    settings: UpstreamSettings,
    whole: Settings,
    supplies: Mapping[str, CredentialSupply],
    sentinels: frozenset[str],
    before: Upstream | None,
) -> Upstream:
    named = whole.credentials.get(settings.credential or "")
    return Upstream(
        name=settings.name,
        base_url=settings.base_url,
        dialect=_dialect(settings),
        credential=settings.credential or "none",
        supply=supplies.get(settings.credential or "", SupplyChain([])),
        breaker=before.breaker if before else Breakers(settings.name, whole.breaker),
        slots=before.slots if before else Slots(settings.name, settings.slots),
        transport=settings.transport,
        count_tokens=settings.count_tokens,
        pass_through=named is not None and "client" in named.sources,
        anonymous=settings.credential is None,
        auth=settings.auth,
        sentinels=sentinels,
        takes_login=takes_login(settings.dialect, settings.base_url),
        sources=named.sources if named is not None else (),
        plan=settings.plan,
    )


async def _scrape(
    metrics: Metrics,
    quotas: QuotaWatch,
    pricing: Pricing,
    recorder: Recorder | None,
    drain: Drain,
    forwarder: Forwarder,
) -> bytes:
    """What Prometheus gets."""
    # Imported when it is first asked for, by whoever does: it leads to prometheus_client, a thirtieth of the start.
    # Aside: on the loop all requests waited for 25 to 35 ms, beside it for 5 at a time, after which Python lets it in.
    await imported("claude_proxy.observers.scrape")
    from claude_proxy.observers import scrape

    return scrape.text(
        scrape.CountsCollector(metrics.counted),
        scrape.QuotaCollector(lambda: quotas.readings),
        scrape.PriceListCollector(lambda: pricing.prices),
        *([scrape.LedgerCollector(lambda: recorder.state)] if recorder is not None else []),
        scrape.StateCollector(lambda: drain.in_flight, partial(_states, forwarder), partial(_reads, forwarder)),
    )


def _states(forwarder: Forwarder) -> Mapping[str, UpstreamState]:
    return {name: _state(upstream) for name, upstream in forwarder.routes.upstreams.items()}


def _state(upstream: Upstream) -> UpstreamState:
    open_for = [(str(part.of), part.breaker.cause.value) for part in upstream.breaker.parts() if part.breaker.cause]
    return UpstreamState(str(upstream.breaker.state), open_for, upstream.slots.in_use, upstream.slots.waiting)


def _supplies(forwarder: Forwarder) -> list[CredentialSupply]:
    """Those in force, each once: several upstreams may share one."""
    return list({id(upstream.supply): upstream.supply for upstream in forwarder.routes.upstreams.values()}.values())


def _reads(forwarder: Forwarder) -> Mapping[tuple[str, str], int]:
    return {
        (upstream.credential, source.name): source.reads
        for upstream in forwarder.routes.upstreams.values()
        for source in upstream.supply.sources()
    }

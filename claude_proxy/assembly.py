"""The house put together: the only file that knows every concrete class. Lifetimes nest."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from claude_proxy.config.sections import takes_login
from claude_proxy.config.settings import CredentialSettings, Settings, UpstreamSettings
from claude_proxy.credentials.account import login_file
from claude_proxy.credentials.chain import SupplyChain
from claude_proxy.credentials.credential import (
    Credential,
    CredentialSource,
    CredentialSupply,
    Scheme,
    anthropic_credential,
    one_word,
)
from claude_proxy.credentials.environment import EnvironmentSource
from claude_proxy.credentials.file import FileSource
from claude_proxy.credentials.guard import SubscriptionGuard
from claude_proxy.credentials.key_file import keys_directory
from claude_proxy.credentials.keychain import KeychainSource, claude_item
from claude_proxy.credentials.login import read_login
from claude_proxy.credentials.own_key import OwnKeySource
from claude_proxy.credentials.pass_through import PassThrough
from claude_proxy.credentials.refresh import Refresher
from claude_proxy.credentials.spelling import SETUP_TOKEN, STORED_SETUP_TOKEN, is_login_file
from claude_proxy.credentials.token_store import TokenStore
from claude_proxy.credentials.upkeep import EVERY, upkeep
from claude_proxy.dialects.anthropic import AnthropicDialect
from claude_proxy.dialects.compatible import CompatibleDialect, CompatibleTraits
from claude_proxy.dialects.dialect import Dialect
from claude_proxy.dialects.minimax import MINIMAX_TRAITS, MiniMaxDialect
from claude_proxy.exchange import Observer
from claude_proxy.forwarding.attempt import Attempts
from claude_proxy.forwarding.forwarder import Forwarder
from claude_proxy.observers.chain import ObserverChain
from claude_proxy.observers.lag import lag_watched
from claude_proxy.observers.log import ExchangeLog
from claude_proxy.observers.metrics import CONTENT_TYPE, Metrics, QuotaCollector, StateCollector, UpstreamState
from claude_proxy.observers.quota import QuotaWatch
from claude_proxy.upstreams.breakers import Breakers
from claude_proxy.upstreams.connection import Pool
from claude_proxy.upstreams.route import Route, RouteTable, Target
from claude_proxy.upstreams.slots import Slots
from claude_proxy.upstreams.transport import Transport
from claude_proxy.upstreams.upstream import Upstream
from claude_proxy.web.app import App
from claude_proxy.web.drain import Drain
from claude_proxy.web.guard import Guard
from claude_proxy.web.health import Health
from claude_proxy.web.messages import MessagesDoor
from claude_proxy.web.models import ModelsDoor

Learn = Callable[[str], None]


@dataclass(slots=True, repr=False)
class House:
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

    def reload(self, settings: Settings) -> None:
        """Puts another configuration in force for new requests; breakers and places are kept by name.

        Where it listens, who may come in and its limits belong to the process: they stay until a restart.
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
        self.models.clear()
        self.models.update(listed_models(settings))
        self.forwarder.routes = build_routes(settings, self.environment, self.learn, kept, self.refresher)
        self.forwarder.attempts = Attempts(self.transport, settings.retry, self.observer, settings.access.carried_in)
        self.settings = settings


@asynccontextmanager
async def assemble(
    settings: Settings,
    environment: Mapping[str, str],
    port: int,
    learn: Learn,
    check_every: float = EVERY,
    *,
    observers: Sequence[Observer] = (),
) -> AsyncIterator[House]:
    """The house, standing until the block ends. `port` is the one that the daemon listens on.

    `check_every` is in seconds: how often a stored login is looked after that is in use. `observers` are told after
    those of the house.
    """
    if settings.access.token:
        learn(settings.access.token)
    drain = Drain()
    async with Pool() as pool, Refresher(environment) as refresher:
        transport = Transport(pool)
        routes = build_routes(settings, environment, learn, refresher=refresher)
        models = listed_models(settings)
        metrics = Metrics(models.__contains__)
        quotas = QuotaWatch()
        metrics.registry.register(QuotaCollector(lambda: quotas.readings))
        observer = ObserverChain([ExchangeLog(), metrics, quotas, *observers])
        header = settings.access.carried_in
        forwarder = Forwarder(routes, Attempts(transport, settings.retry, observer, header), observer)
        metrics.registry.register(
            StateCollector(lambda: drain.in_flight, partial(_states, forwarder), partial(_reads, forwarder))
        )
        guard = Guard(settings.access, port)
        app = App(
            guard,
            drain,
            MessagesDoor(forwarder, guard, settings.limits),
            ModelsDoor(models),
            Health(drain, forwarder, metrics.render, CONTENT_TYPE, quotas.shown),
        )
        async with upkeep(partial(_supplies, forwarder), check_every), lag_watched(metrics.loop_lag.observe):
            yield House(
                app, drain, forwarder, transport, observer, settings, environment, learn, models, quotas, refresher
            )


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
    )


def supply(
    settings: CredentialSettings,
    sentinels: frozenset[str],
    environment: Mapping[str, str],
    learn: Learn,
    refresher: Refresher | None = None,
) -> CredentialSupply:
    """The supply for a list of sources: `client` where it stands, runs of other sources around it as stores."""
    guard = SubscriptionGuard()
    supplies: list[CredentialSupply] = []
    run: list[CredentialSource] = []

    def close_run() -> None:
        if run:
            stored = any(source.name in {"keychain", "file"} for source in run)
            supplies.append(
                TokenStore(
                    tuple(run),
                    guard,
                    ttl=settings.cache_ttl,
                    learn=learn,
                    refresh=settings.refresh if stored else None,
                    refresher=refresher,
                )
            )
            run.clear()

    for name in settings.sources:
        if name == "client":
            close_run()
            supplies.append(PassThrough(sentinels))
        else:
            run.append(source_named(name, settings, environment))
    close_run()
    return supplies[0] if len(supplies) == 1 else SupplyChain(supplies)


def source_named(name: str, settings: CredentialSettings, environment: Mapping[str, str]) -> CredentialSource:
    """The source of this spelling; all but `client`, which is no place."""
    timeout = settings.read_timeout
    kind, _, rest = name.partition(":")
    match kind, rest:
        case "env", "CLAUDE_CODE_OAUTH_TOKEN":
            return EnvironmentSource(rest, environment, _setup_token)
        case "env", variable:
            return EnvironmentSource(variable, environment, _key)
        case "keychain", _:
            service, account = claude_item(environment)
            return KeychainSource(name, service, account, read_login, timeout=timeout)
        case "keyring", _ if name == STORED_SETUP_TOKEN:
            keys = keys_directory(environment)
            # Asked for in every household, and there in few: no keychain is read for nothing.
            return OwnKeySource(name, SETUP_TOKEN, _setup_token_text, keys, timeout=timeout, noted_only=True)
        case "keyring", entry:
            return OwnKeySource(name, entry, _key_text, keys_directory(environment), timeout=timeout)
        case "file", "":
            return FileSource(name, login_file(environment), read_login, timeout=timeout)
        case "file", path if is_login_file(name):
            return FileSource(name, Path(path).expanduser(), read_login, timeout=timeout, private=True)
        case _:
            return FileSource(name, Path(rest).expanduser(), _key_text, timeout=timeout, private=True)


def _key(secret: str, source: str) -> Credential:
    """A key as Anthropic's own API takes it; any other upstream sets its own header (`auth`)."""
    return anthropic_credential(one_word(secret, source), source)


def _setup_token(secret: str, source: str) -> Credential:
    """What `claude setup-token` printed: a login for a year, which nobody renews."""
    return Credential(one_word(secret, source), Scheme.BEARER, source, stored_login=True)


def _key_text(text: str, source: CredentialSource) -> Credential | None:
    return anthropic_credential(one_word(text, source.place), source.name) if text.strip() else None


def _setup_token_text(text: str, source: CredentialSource) -> Credential | None:
    return _setup_token(text, source.name) if text.strip() else None


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

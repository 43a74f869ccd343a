"""What a configuration comes to: the settings of every room, checked and typed."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from claude_proxy.credentials.credential import Scheme
from claude_proxy.credentials.refresh import RefreshSettings
from claude_proxy.forwarding.retry import RetrySettings
from claude_proxy.ledger.prices import PriceSettings
from claude_proxy.ledger.settings import LedgerSettings
from claude_proxy.upstreams.breaker import BreakerSettings
from claude_proxy.upstreams.route import Match
from claude_proxy.upstreams.slots import SlotSettings
from claude_proxy.upstreams.transport import TransportSettings
from claude_proxy.upstreams.upstream import CountTokens
from claude_proxy.web.guard import AccessSettings
from claude_proxy.web.protocol import LimitSettings


class ListenSettings(msgspec.Struct, frozen=True):
    """`port` 0 is any free one."""

    host: str
    port: int


class LogSettings(msgspec.Struct, frozen=True):
    level: str
    format: str


class CredentialSettings(msgspec.Struct, frozen=True):
    """`sources` as spelt in the configuration; times in seconds."""

    name: str
    sources: tuple[str, ...]
    cache_ttl: float
    read_timeout: float
    refresh: RefreshSettings = msgspec.field(default_factory=RefreshSettings)


class UpstreamSettings(msgspec.Struct, frozen=True):
    """One API that may be called. `auth` is None where the kind of credential decides; `plan` says that its key
    belongs to a subscription."""

    name: str
    base_url: str
    credential: str | None
    dialect: str
    auth: Scheme | None
    count_tokens: CountTokens
    cache_control: bool
    context_window: int
    transport: TransportSettings
    slots: SlotSettings
    plan: bool = False


class TargetSettings(msgspec.Struct, frozen=True):
    upstream: str
    model: str | None


class RouteSettings(msgspec.Struct, frozen=True):
    match: Match
    targets: tuple[TargetSettings, ...]


class Settings(msgspec.Struct, frozen=True):
    """The whole configuration. `file` is the user's own file, None where there is none."""

    file: Path | None
    listen: ListenSettings
    drain_timeout: float
    log: LogSettings
    access: AccessSettings
    limits: LimitSettings
    credentials: Mapping[str, CredentialSettings]
    sentinels: frozenset[str]
    upstreams: Mapping[str, UpstreamSettings]
    routes: tuple[RouteSettings, ...]
    retry: RetrySettings
    breaker: BreakerSettings
    models: Mapping[str, str]
    prices: PriceSettings
    ledger: LedgerSettings

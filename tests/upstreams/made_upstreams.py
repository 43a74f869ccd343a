"""Upstreams without a configuration: Anthropic's own API, and a stranger."""

from claude_proxy.credentials.chain import SupplyChain
from claude_proxy.credentials.credential import Scheme
from claude_proxy.dialects.anthropic import AnthropicDialect
from claude_proxy.dialects.compatible import CompatibleDialect, CompatibleTraits
from claude_proxy.upstreams.breaker import BreakerSettings
from claude_proxy.upstreams.breakers import Breakers
from claude_proxy.upstreams.slots import Slots, SlotSettings
from claude_proxy.upstreams.transport import TransportSettings
from claude_proxy.upstreams.upstream import CountTokens, Upstream


def made_upstream(name: str, *, native: bool = True, auth: Scheme | None = None, demotes: bool = False) -> Upstream:
    return Upstream(
        name=name,
        base_url="http://127.0.0.1:9",
        dialect=AnthropicDialect() if native else CompatibleDialect(name, CompatibleTraits()),
        credential=name,
        supply=SupplyChain([]),
        breaker=Breakers(name, BreakerSettings()),
        slots=Slots(name, SlotSettings()),
        transport=TransportSettings(demote_nonstreaming=demotes),
        count_tokens=CountTokens.PASS if native else CountTokens.ESTIMATE,
        pass_through=native,
        anonymous=False,
        auth=auth,
        sentinels=frozenset(),
    )

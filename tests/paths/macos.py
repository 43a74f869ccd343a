"""A machine with macOS, as far as a login goes: its keychain is read through a `security` of the test's."""

from collections.abc import Mapping

from msgspec.structs import replace

from claude_proxy.assembly import House
from claude_proxy.credentials.chain import SupplyChain
from claude_proxy.credentials.guard import SubscriptionGuard
from claude_proxy.credentials.keychain import KeychainSource, claude_item
from claude_proxy.credentials.login import read_login
from claude_proxy.credentials.pass_through import PassThrough
from claude_proxy.credentials.refresh import RefreshSettings
from claude_proxy.credentials.token_store import TokenStore
from claude_proxy.upstreams.route import Match, Route, RouteTable, Target
from tests.claude_request import SENTINEL
from tests.fake_security import FakeSecurity

SENTINELS = frozenset({SENTINEL})


def on_a_mac(house: House, security: FakeSecurity, environment: Mapping[str, str], timeout: float) -> None:
    """Puts the supply in force that the house would build on macOS, but for the program's path."""
    service, account = claude_item(environment)
    keychain = KeychainSource(
        "keychain",
        service,
        account,
        read_login,
        timeout=timeout,
        through_security=True,
        security=str(security.program),
    )
    store = TokenStore(
        [keychain],
        SubscriptionGuard(),
        ttl=300.0,
        learn=house.learn,
        refresh=RefreshSettings(command=("claude",)),
        refresher=house.refresher,
    )
    routes = house.forwarder.routes
    claude = replace(routes.upstreams["claude"], supply=SupplyChain([PassThrough(SENTINELS), store]))
    everything = Route(Match(None, None, None), (Target(claude, None),))
    house.forwarder.routes = RouteTable([everything], {"claude": claude}, SENTINELS)

"""One API that we may call, with everything that is particular to it."""

from enum import StrEnum

import msgspec
from msgspec.structs import replace

from claude_proxy.credentials.credential import Credential, CredentialSupply, Scheme
from claude_proxy.credentials.pass_through import brought
from claude_proxy.dialects.dialect import Dialect
from claude_proxy.upstreams.breakers import Breakers, Caller
from claude_proxy.upstreams.slots import Slots
from claude_proxy.upstreams.transport import TransportSettings
from claude_proxy.wire.headers import Headers
from claude_proxy.wire.messages import ClientRequest


class CountTokens(StrEnum):
    """How an upstream's tokens are counted: by itself, by our estimate, or not at all (501)."""

    PASS = "pass"  # noqa: S105 - a word, not a secret
    ESTIMATE = "estimate"
    REJECT = "reject"


class Upstream(msgspec.Struct, frozen=True):
    """`base_url` has no trailing slash. `pass_through` says that the client's own login may serve it, `anonymous`
    that it asks for no credential, `auth` in which header it takes one (None: by the kind of credential),
    `takes_login` that a Claude login may be sent to its address, `sources` where its credential is looked for, in
    order and as spelt, `plan` that its key belongs to a subscription."""

    name: str
    base_url: str
    dialect: Dialect
    credential: str
    supply: CredentialSupply
    breaker: Breakers
    slots: Slots
    transport: TransportSettings
    count_tokens: CountTokens
    pass_through: bool
    anonymous: bool
    auth: Scheme | None
    sentinels: frozenset[str]  # one of them is the proxy's own access token
    takes_login: bool = True
    sources: tuple[str, ...] = ()
    plan: bool = False

    def __repr__(self) -> str:
        return f"Upstream({self.name})"

    @property
    def native(self) -> bool:
        """Whether it is Anthropic's own API: bytes pass unchanged, server tools work, tokens are counted."""
        return self.dialect.native

    def admits(self, headers: Headers, model: str) -> bool:
        """Whether the breakers would let a request with these headers through, as far as can be told of its
        credential without reading one."""
        found = brought(headers, self.sentinels) if self.pass_through else None
        caller = Caller(self.breaker.ours, True, model) if found is None else Caller(hash(found[1]), False, model)
        return self.breaker.admits(caller)

    def demotes(self, request: ClientRequest) -> bool:
        """Whether this request for a whole message is sent as one for a stream, and the message put together here."""
        return self.transport.demote_nonstreaming and self.native and request.is_messages and not request.stream

    def dressed(self, credential: Credential) -> Credential:
        """A credential in the header in which this upstream takes it; the client's own stays as it came."""
        if not credential.ours:
            return credential
        scheme = self.auth or (credential.scheme if self.native else Scheme.BEARER)
        return replace(credential, scheme=scheme)

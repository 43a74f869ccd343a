"""The client's own login, handed on as it came."""

from claude_proxy.credentials.credential import (
    Credential,
    CredentialSource,
    Scheme,
    SupplyState,
    client_secrets,
)
from claude_proxy.wire.headers import Headers
from claude_proxy.wire.messages import ClientRequest


class PassThrough:
    """Supplies what the client itself brought, where that is a real credential and no sentinel."""

    def __init__(self, sentinels: frozenset[str]) -> None:
        self._sentinels = sentinels

    async def obtain(self, request: ClientRequest) -> Credential | None:
        for name, secret in client_secrets(request.headers):
            if secret and secret not in self._sentinels:
                return Credential(secret, Scheme(name), "client", ours=False)
        return None

    async def replaces(self, refused: Credential) -> Credential | None:
        return None

    def state(self) -> SupplyState:
        return SupplyState("pass-through", "client", "what the client brings is handed on")

    def sources(self) -> tuple[CredentialSource, ...]:
        return ()

    def forget(self) -> None:
        return None


def brings_sentinel(headers: Headers, sentinels: frozenset[str]) -> bool:
    """Whether the client sent a placeholder: it relies on us for the credential."""
    return any(secret in sentinels for _, secret in client_secrets(headers))


def drop_sentinels(headers: Headers, sentinels: frozenset[str]) -> Headers:
    """The headers without placeholders, which are never forwarded anywhere."""
    if not brings_sentinel(headers, sentinels):
        return headers
    return tuple(pair for pair in headers if not brings_sentinel((pair,), sentinels))

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
        found = brought(request.headers, self._sentinels)
        return None if found is None else Credential(found[1], Scheme(found[0]), "client", ours=False)

    async def replaces(self, refused: Credential) -> Credential | None:
        return None

    async def keep_fresh(self, horizon: float) -> float:
        return horizon

    def state(self) -> SupplyState:
        return SupplyState("pass-through", "client", "what the client brings is handed on")

    def sources(self) -> tuple[CredentialSource, ...]:
        return ()

    def forget(self) -> None:
        return None


def brought(headers: Headers, sentinels: frozenset[str]) -> tuple[str, str] | None:
    """The credential that the client itself brought, with the canonical name of its header; None where it has none."""
    return next((pair for pair in client_secrets(headers) if pair[1] and pair[1] not in sentinels), None)


def brings_sentinel(headers: Headers, sentinels: frozenset[str]) -> bool:
    """Whether the client sent a placeholder: it relies on us for the credential."""
    return any(secret in sentinels for _, secret in client_secrets(headers))


def drop_sentinels(headers: Headers, sentinels: frozenset[str]) -> Headers:
    """The headers without placeholders, which are never forwarded anywhere."""
    if not brings_sentinel(headers, sentinels):
        return headers
    return tuple(pair for pair in headers if not brings_sentinel((pair,), sentinels))

"""Several supplies in their configured order: the first that has a credential is the one."""

from collections.abc import Sequence

from msgspec.structs import replace

from claude_proxy.credentials.credential import (
    Credential,
    CredentialSource,
    CredentialSupply,
    CredentialUnavailable,
    SupplyState,
)
from claude_proxy.wire.messages import ClientRequest


class SupplyChain:
    """Asks its supplies in order. One that cannot be read is passed over while another has a credential."""

    def __init__(self, supplies: Sequence[CredentialSupply]) -> None:
        self._supplies = tuple(supplies)

    async def obtain(self, request: ClientRequest) -> Credential | None:
        complaint: CredentialUnavailable | None = None
        for supply in self._supplies:
            try:
                credential = await supply.obtain(request)
            except CredentialUnavailable as error:
                complaint = complaint or error
                continue
            if credential is not None:
                return credential
        if complaint is not None:
            raise complaint
        return None

    async def replaces(self, refused: Credential) -> Credential | None:
        for supply in self._supplies:
            if credential := await supply.replaces(refused):
                return credential
        return None

    async def keep_fresh(self, horizon: float) -> float:
        return min([await supply.keep_fresh(horizon) for supply in self._supplies], default=horizon)

    def state(self) -> SupplyState:
        states = [supply.state() for supply in self._supplies]
        told = [state for state in states if state.state not in {"absent", "not read"}]
        # What a request meets first is what matters: a key of ours stands before the client's own login.
        first = (told or states or [SupplyState("absent")])[0]
        # Who renews a stored login is told wherever it stands.
        stored = next((state for state in states if state.refresh is not None), first)
        return replace(
            first,
            refresh=stored.refresh,
            refreshed_at=stored.refreshed_at,
            refresh_outcome=stored.refresh_outcome,
        )

    def sources(self) -> tuple[CredentialSource, ...]:
        return tuple(source for supply in self._supplies for source in supply.sources())

    def forget(self) -> None:
        for supply in self._supplies:
            supply.forget()

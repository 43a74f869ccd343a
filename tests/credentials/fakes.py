"""Stand-ins of a place that holds a credential, and of a whole supply."""

import asyncio
import math
from collections.abc import Sequence

from msgspec.structs import replace

from claude_proxy.credentials.credential import (
    Credential,
    CredentialSource,
    CredentialUnavailable,
    SupplyState,
    anthropic_credential,
)
from claude_proxy.wire.messages import ClientRequest

LOGIN = "sk-ant-oat01-FAKE-login"
OTHER_LOGIN = "sk-ant-oat01-FAKE-renewed-login"
KEY = "sk-ant-api03-FAKE-key"


def key_of(secret: str, source: str) -> Credential:
    """As the house makes one of a plain text."""
    return anthropic_credential(secret, source)


def key_at(text: str, source: CredentialSource) -> Credential | None:
    """As the house reads one out of a place of its own."""
    return key_of(text.strip(), source.name)


class FakeSource:
    """Holds a secret, nothing, or a complaint; counts its reads, and holds them up while `gate` is not set."""

    def __init__(
        self,
        name: str = "fake",
        secret: str | None = None,
        *,
        expires_at: float | None = None,
        is_there: bool | None = None,
        asks: bool = False,
        login: bool = False,
    ) -> None:
        self.name = name
        self.place = f"the place of {name}"
        self.secret = secret
        self.expires_at = expires_at
        self.complaint = ""
        self.reads = 0
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self._is_there = is_there
        self.asks = asks
        self._login = login

    def present(self) -> bool | None:
        return self._is_there

    async def read(self) -> Credential | None:
        self.reads += 1
        self.begun.set()
        await self.gate.wait()
        if self.complaint:
            raise CredentialUnavailable(self.complaint)
        if self.secret is None:
            return None
        found = anthropic_credential(self.secret, self.name, self.expires_at)
        return replace(found, stored_login=self._login)


class FakeSupply:
    """Supplies a credential, None, or a complaint, and counts what it was asked."""

    def __init__(
        self,
        credential: Credential | None = None,
        *,
        complaint: CredentialUnavailable | None = None,
        replacement: Credential | None = None,
        state: SupplyState | None = None,
        sources: Sequence[CredentialSource] = (),
    ) -> None:
        self.asked = 0
        self.forgotten = 0
        self.kept_fresh = 0
        self.again_in = math.inf
        self._credential = credential
        self._complaint = complaint
        self._replacement = replacement
        self._state = state or SupplyState("present")
        self._sources = tuple(sources)

    async def obtain(self, request: ClientRequest) -> Credential | None:
        self.asked += 1
        if self._complaint is not None:
            raise self._complaint
        return self._credential

    async def replaces(self, refused: Credential) -> Credential | None:
        return self._replacement

    async def keep_fresh(self, horizon: float) -> float:
        self.kept_fresh += 1
        return min(horizon, self.again_in)

    def state(self) -> SupplyState:
        return self._state

    def sources(self) -> tuple[CredentialSource, ...]:
        return self._sources

    def forget(self) -> None:
        self.forgotten += 1

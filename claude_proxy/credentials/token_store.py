"""A credential of the proxy's own: sources in order, a cache with an end, one read at a time."""

import asyncio
import time
from collections.abc import Callable, Sequence

from claude_proxy.credentials.credential import (
    Credential,
    CredentialSource,
    CredentialUnavailable,
    SubscriptionGuarded,
    SupplyState,
)
from claude_proxy.credentials.guard import SubscriptionGuard
from claude_proxy.wire.messages import ClientRequest

EXPIRY_SKEW = 300.0
"""A token this close to its expiry, in seconds, is not used any more; it also covers a clock that is off."""

ABSENCE_TTL = 30.0
"""How long, in seconds, a store that held nothing or could not be read is not asked again."""


class TokenStore:
    """Reads its sources when a request needs a credential, and remembers what they said.

    All requests that come while a read is under way wait for that one read. `clock` is Unix time (an expiry is a
    date), `monotonic` measures the age of the cache. `learn` is told each secret, so that it can be kept out of
    every log.
    """

    def __init__(
        self,
        sources: Sequence[CredentialSource],
        guard: SubscriptionGuard,
        *,
        ttl: float,
        learn: Callable[[str], None],
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sources = tuple(sources)
        self._guard = guard
        self._ttl = ttl
        self._learn = learn
        self._clock = clock
        self._monotonic = monotonic
        self._held: Credential | None = None
        self._complaint = ""
        self._fresh_until: float | None = None
        self._reading: asyncio.Task[None] | None = None

    async def obtain(self, request: ClientRequest) -> Credential | None:
        if not self._is_fresh():
            await self._read_once()
        if self._held is not None:
            if self._held.is_login and not self._guard.admits(request):
                raise SubscriptionGuarded(self._guard.refusal)
            return self._held
        if self._complaint:
            raise CredentialUnavailable(self._complaint)
        return None

    async def replaces(self, refused: Credential) -> Credential | None:
        if all(source.name != refused.source for source in self._sources):
            return None
        if self._held is None or self._held.secret == refused.secret:
            # Not where another request has read a newer one already: then that one is the answer.
            self.forget()
            await self._read_once()
        held = self._held
        return held if held is not None and held.secret != refused.secret else None

    def forget(self) -> None:
        self._held = None
        self._complaint = ""
        self._fresh_until = None

    def _is_fresh(self) -> bool:
        if self._fresh_until is None or self._monotonic() >= self._fresh_until:
            return False
        held = self._held
        return held is None or held.expires_at is None or self._clock() < held.expires_at - EXPIRY_SKEW

    async def _read_once(self) -> None:
        if self._reading is None:
            # A task of its own: a client that leaves must not end the read that others wait for.
            self._reading = asyncio.create_task(self._read_all(), name="credential read")
            self._reading.add_done_callback(self._read_ended)
        await asyncio.shield(self._reading)

    def _read_ended(self, _: asyncio.Task[None]) -> None:
        self._reading = None

    async def _read_all(self) -> None:
        held: Credential | None = None
        complaints: list[str] = []
        for source in self._sources:
            try:
                found = await source.read()
            except CredentialUnavailable as error:
                complaints.append(str(error))
                continue
            if found is None:
                continue
            self._learn(found.secret)
            if found.expires_at is not None and self._clock() >= found.expires_at - EXPIRY_SKEW:
                complaints.append(
                    f"the login in {source.place} has expired or is about to; "
                    "run `claude` once, which renews it, and try again"
                )
                continue
            held = found
            break
        self._held = held
        self._complaint = "; ".join(complaints) if held is None else ""
        self._fresh_until = self._monotonic() + (self._ttl if held is not None else min(self._ttl, ABSENCE_TTL))

    def state(self) -> SupplyState:
        if self._held is not None:
            return SupplyState("present", self._held.source, expires_at=self._held.expires_at)
        if self._complaint:
            return SupplyState("unusable", None, self._complaint)
        names = ", ".join(source.name for source in self._sources)
        if self._fresh_until is None:
            for source in self._sources:
                if source.present():
                    return SupplyState("present", source.name)
            if all(source.present() is False for source in self._sources):
                return SupplyState("absent", None, f"nothing in {names}")
            return SupplyState("not read", None, f"would be looked for in {names}")
        return SupplyState("absent", None, f"nothing in {names}")

    def sources(self) -> tuple[CredentialSource, ...]:
        return self._sources

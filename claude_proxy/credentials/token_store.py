"""A credential of the proxy's own: sources in order, a cache with an end, one read at a time."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from claude_proxy.credentials.credential import (
    Credential,
    CredentialSource,
    CredentialUnavailable,
    SubscriptionGuarded,
    SupplyState,
)
from claude_proxy.credentials.guard import SubscriptionGuard
from claude_proxy.credentials.refresh import Refresher, RefreshSettings
from claude_proxy.wire.messages import ClientRequest

EXPIRY_SKEW = 300.0
"""A token this close to its expiry, in seconds, is not used any more; it also covers a clock that is off."""

ABSENCE_TTL = 30.0
"""How long, in seconds, a store that held nothing or could not be read is not asked again."""

LOOK_AGAIN = 5.0
"""How long, in seconds, a store is not asked again for what would replace a refused or an expired credential."""

_JUST_READ = 1.0  # seconds


class TokenStore:
    """Reads its sources when a request needs a credential, and remembers what they said.

    All requests that come while a read is under way wait for that one read, and so for one renewal of a login that
    has expired. `clock` is Unix time (an expiry is a date), `monotonic` measures the age of the cache. `learn` is
    told each secret, so that it can be kept out of every log. `refresh` is None where no source is a stored login;
    without a `refresher` nobody is asked to renew one.
    """

    def __init__(
        self,
        sources: Sequence[CredentialSource],
        guard: SubscriptionGuard,
        *,
        ttl: float,
        learn: Callable[[str], None],
        refresh: RefreshSettings | None = None,
        refresher: Refresher | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sources = tuple(sources)
        self._guard = guard
        self._ttl = ttl
        self._learn = learn
        self._refresh = refresh
        self._refresher = refresher
        self._clock = clock
        self._monotonic = monotonic
        self._held: Credential | None = None
        self._expired = False
        self._complaint = ""
        self._not_renewed = ""
        self._fresh_until: float | None = None
        self._read_at = -math.inf
        self._used_at = -math.inf
        self._refused = ""
        self._looked_at = -math.inf
        self._reading: asyncio.Task[None] | None = None
        self._renewing: asyncio.Task[None] | None = None

    async def obtain(self, request: ClientRequest) -> Credential | None:
        if not self._is_fresh():
            await self._read_once()
        if self._held is None and self._expired:
            if not self._guard.admits(request):
                raise SubscriptionGuarded(self._guard.refusal)
            await self._renew_once()
        if self._held is not None:
            if self._held.is_login:
                if not self._guard.admits(request):
                    raise SubscriptionGuarded(self._guard.refusal)
                self._used_at = self._monotonic()
            return self._held
        if self._complaint:
            raise CredentialUnavailable(self._why())
        return None

    async def replaces(self, refused: Credential) -> Credential | None:
        if all(source.name != refused.source for source in self._sources):
            return None
        if self._held is None or self._held.secret == refused.secret:
            # Not where another request has read a newer one already: then that one is the answer.
            if self._reading is None:
                now = self._monotonic()
                if refused.secret == self._refused and now - self._looked_at < LOOK_AGAIN:
                    return None
                self._refused, self._looked_at = refused.secret, now
                self.forget()
            await self._read_once()
        held = self._held
        return held if held is not None and held.secret != refused.secret else None

    async def keep_fresh(self, horizon: float) -> float:
        held = self._held
        if self._renewal is None or held is None or not held.stored_login or held.expires_at is None:
            return horizon
        if self._monotonic() - self._used_at > 2 * horizon:
            return horizon  # nobody uses it: the next request will ask
        # Not earlier: Claude Code renews its login in its last five minutes and not before (seen with 2.1.197).
        left = held.expires_at - EXPIRY_SKEW - self._clock()
        if left > 0:
            return min(horizon, left + _JUST_READ)
        await self._renew_once()
        return horizon

    def forget(self) -> None:
        self._held = None
        self._expired = False
        self._complaint = ""
        self._not_renewed = ""
        self._fresh_until = None

    def _is_fresh(self) -> bool:
        if self._fresh_until is None or self._monotonic() >= self._fresh_until:
            return False
        return self._held is None or not self._is_ending(self._held)

    def _is_ending(self, credential: Credential) -> bool:
        return credential.expires_at is not None and self._clock() >= credential.expires_at - EXPIRY_SKEW

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
        expired, keeps = False, False
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
            if self._is_ending(found):
                complaints.append(
                    f"the login in {source.place} has expired or is about to; "
                    "run `claude` once, which renews it, and try again"
                )
                expired = expired or found.stored_login
                continue
            held, keeps = found, source.asks and found.expires_at is not None
            break
        self._held = held
        self._expired = expired and held is None
        self._complaint = "; ".join(complaints) if held is None else ""
        self._not_renewed = ""
        self._read_at = now = self._monotonic()
        ttl = self._ttl if held is not None else min(self._ttl, LOOK_AGAIN if expired else ABSENCE_TTL)
        # A keychain is read once in a token's life: it may ask the user each time.
        self._fresh_until = math.inf if keeps else now + ttl

    @property
    def _renewal(self) -> tuple[RefreshSettings, Refresher] | None:
        """How a login is renewed, where that is our affair."""
        if self._refresh is None or not self._refresh.delegate or self._refresher is None:
            return None
        return self._refresh, self._refresher

    async def _renew_once(self) -> None:
        if self._renewal is None:
            return
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew(*self._renewal), name="login refresh")
            self._renewing.add_done_callback(self._renewal_ended)
        await asyncio.shield(self._renewing)

    def _renewal_ended(self, _: asyncio.Task[None]) -> None:
        self._renewing = None

    async def _renew(self, settings: RefreshSettings, refresher: Refresher) -> None:
        just_read = self._monotonic() - self._read_at < _JUST_READ
        not_renewed = await refresher.renew(settings, self._is_renewed, just_read=just_read)
        self._not_renewed = not_renewed

    async def _is_renewed(self) -> bool:
        await self._read_once()
        return self._held is not None

    def _why(self) -> str:
        asked = f"; `claude` was asked to renew it, but {self._not_renewed}" if self._not_renewed else ""
        return self._complaint + asked

    def state(self) -> SupplyState:
        state = self._state()
        if self._refresh is None:
            return state
        last = self._refresher.last if self._refresher is not None else None
        return replace(
            state,
            refresh="delegate" if self._refresh.delegate else "never",
            refreshed_at=last.at if last is not None else None,
            refresh_outcome=last.outcome if last is not None else None,
        )

    def _state(self) -> SupplyState:
        if self._held is not None:
            return SupplyState("present", self._held.source, expires_at=self._held.expires_at)
        if self._complaint:
            return SupplyState("unusable", None, self._why())
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

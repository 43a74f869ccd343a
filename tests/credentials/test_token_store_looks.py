"""How often a store is looked into: once in a token's life where a look may open a dialog, and seldom when refused."""

import asyncio

import pytest

from claude_proxy.credentials.credential import CredentialUnavailable
from claude_proxy.credentials.guard import SubscriptionGuard
from claude_proxy.credentials.token_store import EXPIRY_SKEW, LOOK_AGAIN, TokenStore
from tests.client_requests import message_request
from tests.credentials.fakes import KEY, LOGIN, OTHER_LOGIN, FakeSource, key_of
from tests.frozen_clock import FrozenClock

TTL = 300.0
LIFE = 8 * 3600.0


class Stored:
    """A store over one fake source, with clocks that a test moves together."""

    def __init__(self, source: FakeSource) -> None:
        self.source = source
        self.clock, self.monotonic = FrozenClock(), FrozenClock(5000.0)
        self.store = TokenStore(
            (source,),
            SubscriptionGuard(),
            ttl=TTL,
            learn=lambda _: None,
            clock=self.clock,
            monotonic=self.monotonic,
        )

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.monotonic.advance(seconds)

    def put(self, secret: str, life: float) -> None:
        self.source.secret, self.source.expires_at = secret, self.clock() + life

    async def secret(self) -> str | None:
        credential = await self.store.obtain(message_request())
        return credential.secret if credential else None

    async def refused(self, secret: str) -> str | None:
        found = await self.store.replaces(key_of(secret, self.source.name))
        return found.secret if found else None


# --- once in a token's life ------------------------------------------------------------------------------


async def test_a_keychain_is_read_once_in_the_life_of_each_token() -> None:
    """The user's own client renews the login, as it does in its last minutes; a request comes every minute."""
    stored = Stored(FakeSource("keychain", asks=True, login=True))
    for life in range(3):
        stored.put(f"{LOGIN}-{life}", LIFE)
        for _ in range(int(LIFE - EXPIRY_SKEW) // 60):
            assert await stored.secret() == f"{LOGIN}-{life}"
            stored.pass_time(60)
        assert stored.source.reads == life + 1


async def test_a_file_is_read_again_after_its_time_in_the_cache() -> None:
    stored = Stored(FakeSource("file", login=True))
    stored.put(LOGIN, LIFE)
    await stored.secret()
    stored.put(OTHER_LOGIN, LIFE)
    stored.pass_time(TTL)
    assert await stored.secret() == OTHER_LOGIN


async def test_what_lies_in_a_keychain_without_an_end_is_read_again() -> None:
    stored = Stored(FakeSource("keyring:anthropic", KEY, asks=True))
    await stored.secret()
    stored.pass_time(TTL)
    await stored.secret()
    assert stored.source.reads == 2


async def test_a_keychain_that_holds_nothing_or_cannot_be_read_is_asked_again() -> None:
    stored = Stored(FakeSource("keychain", asks=True, login=True))
    assert await stored.secret() is None
    stored.source.complaint = "it is locked"
    stored.pass_time(30)
    with pytest.raises(CredentialUnavailable):
        await stored.secret()
    stored.source.complaint = ""
    stored.put(LOGIN, LIFE)
    stored.pass_time(30)
    assert await stored.secret() == LOGIN


async def test_a_refused_token_makes_even_a_keychain_be_read_again() -> None:
    stored = Stored(FakeSource("keychain", asks=True, login=True))
    stored.put(LOGIN, LIFE)
    await stored.secret()
    stored.put(OTHER_LOGIN, LIFE)
    assert await stored.refused(LOGIN) == OTHER_LOGIN
    assert stored.source.reads == 2


# --- while one is refused --------------------------------------------------------------------------------


async def test_for_the_same_refused_secret_the_store_is_read_every_few_seconds_only() -> None:
    stored = Stored(FakeSource(secret=LOGIN))
    await stored.secret()
    for _ in range(100):
        assert await stored.refused(LOGIN) is None
    assert stored.source.reads == 2
    stored.pass_time(LOOK_AGAIN - 0.1)
    assert await stored.refused(LOGIN) is None
    assert stored.source.reads == 2
    stored.source.secret = OTHER_LOGIN
    stored.pass_time(0.1)
    assert await stored.refused(LOGIN) == OTHER_LOGIN
    assert stored.source.reads == 3


async def test_another_refused_secret_is_looked_for_at_once() -> None:
    stored = Stored(FakeSource(secret=LOGIN))
    await stored.secret()
    assert await stored.refused(LOGIN) is None
    stored.source.secret = OTHER_LOGIN
    stored.pass_time(LOOK_AGAIN)
    assert await stored.refused(LOGIN) == OTHER_LOGIN
    assert await stored.refused(OTHER_LOGIN) is None
    assert stored.source.reads == 4


async def test_what_another_request_has_read_meanwhile_is_the_answer_at_any_time() -> None:
    stored = Stored(FakeSource(secret=LOGIN))
    await stored.secret()
    assert await stored.refused(LOGIN) is None
    stored.source.secret = OTHER_LOGIN
    stored.store.forget()
    await stored.secret()
    assert await stored.refused(LOGIN) == OTHER_LOGIN
    assert stored.source.reads == 3


async def test_requests_refused_while_the_store_is_read_wait_for_what_it_says() -> None:
    stored = Stored(FakeSource(secret=LOGIN))
    await stored.secret()
    stored.source.secret = OTHER_LOGIN
    stored.source.begun.clear()
    stored.source.gate.clear()
    first = asyncio.create_task(stored.refused(LOGIN))
    await stored.source.begun.wait()
    second = asyncio.create_task(stored.refused(LOGIN))
    await asyncio.sleep(0)
    assert not second.done()
    stored.source.gate.set()
    assert await first == await second == OTHER_LOGIN
    assert stored.source.reads == 2


async def test_an_expired_token_is_looked_for_again_after_a_few_seconds() -> None:
    stored = Stored(FakeSource("file", login=True))
    stored.put(LOGIN, EXPIRY_SKEW)
    with pytest.raises(CredentialUnavailable):
        await stored.secret()
    stored.put(OTHER_LOGIN, LIFE)
    stored.pass_time(LOOK_AGAIN - 0.1)
    with pytest.raises(CredentialUnavailable):
        await stored.secret()
    stored.pass_time(0.1)
    assert await stored.secret() == OTHER_LOGIN

"""The store of the proxy's own credentials: one read at a time, a cache with an end, one more look when refused."""

import asyncio
import gc
import weakref
from pathlib import Path

import pytest

from claude_proxy.credentials.credential import Credential, CredentialUnavailable, SubscriptionGuarded
from claude_proxy.credentials.file import FileSource
from claude_proxy.credentials.guard import SubscriptionGuard
from claude_proxy.credentials.login import read_login
from claude_proxy.credentials.token_store import TokenStore
from tests.claude_request import stored_login
from tests.client_requests import headers_of, message_request
from tests.credentials.fakes import KEY, LOGIN, OTHER_LOGIN, FakeSource, key_of
from tests.frozen_clock import FrozenClock
from tests.running import eventually

TTL = 300.0
MARGIN = 300  # seconds before its expiry from which a login is not used any more
ABSENCE = 30  # seconds for which an empty store is not asked again


class Stored:
    """A store over fake sources, with clocks that stand still."""

    def __init__(self, *sources: FakeSource, ttl: float = TTL) -> None:
        self.clock = FrozenClock()
        self.monotonic = FrozenClock(5000.0)
        self.learned: list[str] = []
        self.store = TokenStore(
            sources,
            SubscriptionGuard(),
            ttl=ttl,
            learn=self.learned.append,
            clock=self.clock,
            monotonic=self.monotonic,
        )

    async def secret(self) -> str | None:
        """The secret that a request of Claude Code's is given."""
        credential = await self.store.obtain(message_request())
        return credential.secret if credential else None

    async def refused(self, secret: str, source: str = "fake") -> str | None:
        """The secret that replaces one which the upstream refused."""
        found = await self.store.replaces(key_of(secret, source))
        return found.secret if found else None


# --- one read --------------------------------------------------------------------------------------------


async def test_nothing_is_read_before_a_request_needs_it() -> None:
    source = FakeSource(secret=LOGIN)
    stored = Stored(source)
    stored.store.state()
    assert source.reads == 0


async def test_fifty_requests_at_once_wait_for_one_read() -> None:
    source = FakeSource(secret=LOGIN)
    stored = Stored(source)
    source.gate.clear()
    waiting = [asyncio.create_task(stored.secret()) for _ in range(50)]
    await source.begun.wait()
    source.gate.set()
    assert await asyncio.gather(*waiting) == [LOGIN] * 50
    assert source.reads == 1


async def test_a_request_that_gives_up_does_not_end_the_read_of_the_others() -> None:
    source = FakeSource(secret=LOGIN)
    stored = Stored(source)
    source.gate.clear()
    first, second = (asyncio.create_task(stored.secret()) for _ in range(2))
    await source.begun.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    source.gate.set()
    assert await second == LOGIN
    assert source.reads == 1


async def test_what_was_read_is_kept_though_all_who_waited_have_left() -> None:
    source = FakeSource(secret=LOGIN)
    stored = Stored(source)
    source.gate.clear()
    only = asyncio.create_task(stored.secret())
    await source.begun.wait()
    only.cancel()
    with pytest.raises(asyncio.CancelledError):
        await only
    source.gate.set()
    await eventually(lambda: stored.store.state().state == "present")
    assert await stored.secret() == LOGIN
    assert source.reads == 1


async def test_every_secret_that_is_read_is_learned_so_that_logs_can_keep_it_out() -> None:
    expired = FakeSource("first", LOGIN, expires_at=1.0)
    stored = Stored(expired, FakeSource("second", KEY))
    await stored.secret()
    assert stored.learned == [LOGIN, KEY]


# --- the cache -------------------------------------------------------------------------------------------


async def test_a_credential_is_read_again_when_its_time_in_the_cache_is_over() -> None:
    source = FakeSource(secret=LOGIN)
    stored = Stored(source)
    await stored.secret()
    source.secret = OTHER_LOGIN
    stored.monotonic.advance(TTL - 1)
    assert await stored.secret() == LOGIN
    stored.monotonic.advance(1)
    assert await stored.secret() == OTHER_LOGIN
    assert source.reads == 2


async def test_a_login_that_nears_its_expiry_is_read_again_before_the_cache_ends() -> None:
    source = FakeSource(secret=LOGIN)
    stored = Stored(source, ttl=10_000)
    source.expires_at = stored.clock() + MARGIN + 60
    await stored.secret()
    stored.clock.advance(59)
    assert await stored.secret() == LOGIN
    source.secret, source.expires_at = OTHER_LOGIN, stored.clock() + 8 * 3600
    stored.clock.advance(1)
    assert await stored.secret() == OTHER_LOGIN
    assert source.reads == 2


async def test_a_login_about_to_expire_is_not_used_and_the_remedy_is_named() -> None:
    source = FakeSource("keychain", LOGIN)
    stored = Stored(source)
    source.expires_at = stored.clock() + MARGIN
    with pytest.raises(CredentialUnavailable, match=r"login in the place of keychain has expired.*run `claude`"):
        await stored.secret()


async def test_a_login_with_a_second_left_before_the_margin_is_used() -> None:
    source = FakeSource(secret=LOGIN)
    stored = Stored(source)
    source.expires_at = stored.clock() + MARGIN + 1
    assert await stored.secret() == LOGIN


async def test_an_expired_login_gives_way_to_the_next_source() -> None:
    stored = Stored(FakeSource("keychain", LOGIN, expires_at=1.0), FakeSource("file", OTHER_LOGIN))
    assert await stored.secret() == OTHER_LOGIN


async def test_an_empty_store_is_asked_again_after_a_short_while_only() -> None:
    source = FakeSource()
    stored = Stored(source)
    assert await stored.secret() is None
    source.secret = LOGIN
    stored.monotonic.advance(ABSENCE - 1)
    assert await stored.secret() is None
    assert source.reads == 1
    stored.monotonic.advance(1)
    assert await stored.secret() == LOGIN


async def test_a_store_that_cannot_be_read_is_asked_again_after_a_short_while_only() -> None:
    source = FakeSource()
    source.complaint = "it is locked"
    stored = Stored(source)
    for _ in range(2):
        with pytest.raises(CredentialUnavailable, match="it is locked"):
            await stored.secret()
    assert source.reads == 1
    source.complaint, source.secret = "", LOGIN
    stored.monotonic.advance(ABSENCE)
    assert await stored.secret() == LOGIN


async def test_absence_is_never_remembered_longer_than_a_credential_would_be() -> None:
    source = FakeSource()
    stored = Stored(source, ttl=2)
    await stored.secret()
    stored.monotonic.advance(2)
    await stored.secret()
    assert source.reads == 2


async def test_forgetting_makes_the_next_request_read_anew() -> None:
    source = FakeSource(secret=LOGIN)
    stored = Stored(source)
    await stored.secret()
    stored.store.forget()
    assert stored.store.state().state == "not read"
    await stored.secret()
    assert source.reads == 2


async def test_a_complaint_does_not_hold_on_to_the_requests_that_met_it() -> None:
    source = FakeSource()
    source.complaint = "it is locked"
    stored = Stored(source)
    request = message_request()
    watch = weakref.ref(request)
    with pytest.raises(CredentialUnavailable):
        await stored.store.obtain(request)
    del request
    gc.collect()
    assert watch() is None


# --- the order -------------------------------------------------------------------------------------------


async def test_the_first_source_that_has_one_is_taken_and_the_rest_are_not_read() -> None:
    empty, full, unread = FakeSource("a"), FakeSource("b", KEY), FakeSource("c", LOGIN)
    stored = Stored(empty, full, unread)
    assert await stored.secret() == KEY
    assert (empty.reads, full.reads, unread.reads) == (1, 1, 0)


async def test_a_source_that_cannot_be_read_gives_way_to_the_next() -> None:
    locked = FakeSource("keychain")
    locked.complaint = "it is locked"
    assert await Stored(locked, FakeSource("file", LOGIN)).secret() == LOGIN


async def test_all_complaints_are_told_when_no_source_has_one() -> None:
    locked, broken = FakeSource("keychain"), FakeSource("file")
    locked.complaint, broken.complaint = "it is locked", "it is no JSON"
    with pytest.raises(CredentialUnavailable, match=r"^it is locked; it is no JSON$"):
        await Stored(locked, FakeSource("env"), broken).secret()


# --- the guard -------------------------------------------------------------------------------------------


async def test_a_login_is_refused_to_a_request_that_is_not_claude_codes() -> None:
    stored = Stored(FakeSource(secret=LOGIN))
    with pytest.raises(SubscriptionGuarded, match="does not come from Claude Code"):
        await stored.store.obtain(message_request(headers=headers_of(user_agent="curl/8")))


async def test_an_api_key_serves_any_request() -> None:
    stored = Stored(FakeSource(secret=KEY))
    credential = await stored.store.obtain(message_request(headers=headers_of(user_agent="curl/8")))
    assert credential is not None
    assert credential.secret == KEY


# --- one more look ---------------------------------------------------------------------------------------


async def test_a_refused_credential_that_was_renewed_in_its_store_is_replaced() -> None:
    source = FakeSource(secret=LOGIN)
    stored = Stored(source)
    await stored.secret()
    source.secret = OTHER_LOGIN
    assert await stored.refused(LOGIN) == OTHER_LOGIN
    assert await stored.secret() == OTHER_LOGIN
    assert source.reads == 2


async def test_a_refused_credential_that_is_still_in_its_store_is_not_replaced() -> None:
    source = FakeSource(secret=LOGIN)
    stored = Stored(source)
    await stored.secret()
    assert await stored.refused(LOGIN) is None
    assert source.reads == 2


async def test_a_refused_credential_that_has_gone_from_its_store_is_not_replaced() -> None:
    source = FakeSource(secret=LOGIN)
    stored = Stored(source)
    await stored.secret()
    source.secret = None
    assert await stored.refused(LOGIN) is None


async def test_a_newer_credential_that_was_read_meanwhile_is_the_answer_without_another_read() -> None:
    source = FakeSource(secret=OTHER_LOGIN)
    stored = Stored(source)
    await stored.secret()
    assert await stored.refused(LOGIN) == OTHER_LOGIN
    assert source.reads == 1


async def test_many_refused_requests_look_into_the_store_once() -> None:
    source = FakeSource(secret=LOGIN)
    stored = Stored(source)
    await stored.secret()
    source.secret = OTHER_LOGIN
    source.begun.clear()
    source.gate.clear()
    waiting = [asyncio.create_task(stored.refused(LOGIN)) for _ in range(20)]
    await source.begun.wait()
    source.gate.set()
    assert await asyncio.gather(*waiting) == [OTHER_LOGIN] * 20
    assert source.reads == 2


async def test_a_request_that_comes_while_a_refused_credential_is_looked_for_anew_waits_for_the_answer() -> None:
    source = FakeSource(secret=LOGIN)
    stored = Stored(source)
    await stored.secret()
    source.secret = OTHER_LOGIN
    source.begun.clear()
    source.gate.clear()
    replacing = asyncio.create_task(stored.refused(LOGIN))
    await source.begun.wait()
    asking = asyncio.create_task(stored.secret())
    await asyncio.sleep(0)
    assert not asking.done(), "it was given the refused one"
    source.gate.set()
    assert await replacing == await asking == OTHER_LOGIN
    assert source.reads == 2


async def test_a_credential_of_another_store_is_not_looked_for_here() -> None:
    source = FakeSource(secret=LOGIN)
    stored = Stored(source)
    assert await stored.refused(KEY, "env:ELSEWHERE") is None
    assert source.reads == 0


async def test_a_login_renewed_in_its_file_replaces_the_refused_one(tmp_path: Path) -> None:
    path = tmp_path / ".credentials.json"
    path.write_text(stored_login(LOGIN))
    source = FileSource("file", path, read_login, timeout=20)
    store = TokenStore((source,), SubscriptionGuard(), ttl=TTL, learn=lambda _: None)
    refused = await store.obtain(message_request())
    assert refused is not None
    path.write_text(stored_login(OTHER_LOGIN))
    found = await store.replaces(refused)
    assert isinstance(found, Credential)
    assert found.secret == OTHER_LOGIN


# --- what may be said of it ------------------------------------------------------------------------------


async def test_the_state_of_a_store_that_was_read_names_the_source_and_the_expiry() -> None:
    stored = Stored(FakeSource("empty"), FakeSource("file", LOGIN, expires_at=9e9))
    await stored.secret()
    state = stored.store.state()
    assert (state.state, state.source, state.expires_at) == ("present", "file", 9e9)


async def test_the_state_of_a_store_that_cannot_be_used_says_why() -> None:
    source = FakeSource()
    source.complaint = "it is locked"
    stored = Stored(source)
    with pytest.raises(CredentialUnavailable):
        await stored.secret()
    assert (stored.store.state().state, stored.store.state().detail) == ("unusable", "it is locked")


async def test_the_state_of_a_store_found_empty_says_where_was_looked() -> None:
    stored = Stored(FakeSource("keychain"), FakeSource("file"))
    await stored.secret()
    assert (stored.store.state().state, stored.store.state().detail) == ("absent", "nothing in keychain, file")


@pytest.mark.parametrize(
    ("there", "expected"),
    [((None, True), "present"), ((False, False), "absent"), ((False, None), "not read")],
    ids=["one is there", "none is there", "one may be there"],
)
async def test_the_state_before_the_first_read_is_told_without_reading(
    there: tuple[bool | None, bool | None], expected: str
) -> None:
    sources = [FakeSource(f"source{number}", is_there=is_there) for number, is_there in enumerate(there)]
    stored = Stored(*sources)
    assert stored.store.state().state == expected
    assert [source.reads for source in sources] == [0, 0]
    assert stored.store.sources() == tuple(sources)

"""A stored login that has expired is renewed by `claude` for the requests that need it, and ahead of them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from claude_proxy.credentials.credential import CredentialSource, CredentialUnavailable, SubscriptionGuarded
from claude_proxy.credentials.file import FileSource
from claude_proxy.credentials.guard import SubscriptionGuard
from claude_proxy.credentials.login import read_login
from claude_proxy.credentials.refresh import RUNS_APART, Refresher, RefreshSettings
from claude_proxy.credentials.token_store import EXPIRY_SKEW, LOOK_AGAIN, TokenStore
from tests.claude_request import stored_login
from tests.client_requests import headers_of, message_request
from tests.credentials.fakes import KEY, LOGIN, FakeSource
from tests.frozen_clock import FrozenClock
from tests.running import eventually
from tests.scripted_claude import RENEWED, ScriptedClaude, expired_login

HORIZON = 1800.0
SETTINGS = RefreshSettings(command=("claude",), timeout=20.0)
CURL = message_request(headers=headers_of(user_agent="curl/8"))


class Household:
    """A store over the login's file (and what a test puts before it), with clocks that a test moves."""

    def __init__(self, home: Path, *before: CredentialSource, settings: RefreshSettings = SETTINGS) -> None:
        self.claude = ScriptedClaude(home / "bin")
        self.file = home / ".claude" / ".credentials.json"
        self.file.parent.mkdir()
        self.file.write_text(expired_login())
        self.clock, self.monotonic = FrozenClock(), FrozenClock(5000.0)
        self.refresher = Refresher({"HOME": str(home), "PATH": self.claude.path}, clock=self.clock)
        self.source = FileSource("file", self.file, read_login, timeout=20)
        self.store = TokenStore(
            (*before, self.source),
            SubscriptionGuard(),
            ttl=300.0,
            learn=lambda _: None,
            refresh=settings,
            refresher=self.refresher,
            clock=self.clock,
            monotonic=self.monotonic,
        )

    async def secret(self) -> str | None:
        credential = await self.store.obtain(message_request())
        return credential.secret if credential else None

    def holds(self, token: str, seconds_left: float) -> None:
        """Puts a login into the file that ends so many seconds from the frozen now."""
        login = json.loads(stored_login(token))
        login["claudeAiOauth"]["expiresAt"] = int((self.clock() + seconds_left) * 1000)
        self.file.write_text(json.dumps(login))

    def renews(self, seconds: float = 8 * 3600) -> None:
        """Lets `claude` renew the login for so long, by the frozen clock."""
        self.claude.renews(self.file)
        login = json.loads(stored_login(RENEWED))
        login["claudeAiOauth"]["expiresAt"] = int((self.clock() + seconds) * 1000)
        (self.claude.directory / "renewed").write_text(json.dumps(login))


Make = Callable[..., Household]


@pytest_asyncio.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    made: list[Household] = []

    def make_one(*before: CredentialSource, settings: RefreshSettings = SETTINGS) -> Household:
        made.append(Household(tmp_path, *before, settings=settings))
        return made[-1]

    yield make_one
    for household in made:
        await household.refresher.__aexit__()


async def test_fifty_requests_wait_for_one_renewal_and_are_given_the_new_login(make: Make) -> None:
    house = make()
    house.renews()
    assert await asyncio.gather(*(house.secret() for _ in range(50))) == [RENEWED] * 50
    assert len(house.claude.runs) == 1
    assert house.source.reads == 2


async def test_a_request_that_gives_up_does_not_end_the_renewal_of_the_others(tmp_path: Path, make: Make) -> None:
    house = make()
    house.renews()
    ready = house.claude.program.read_text()
    house.claude.does(f"while [ ! -e {tmp_path}/go ]; do sleep 0.01; done\n{ready}")
    first, second = (asyncio.create_task(house.secret()) for _ in range(2))
    await eventually(lambda: house.claude.runs != [])
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    (tmp_path / "go").touch()
    assert await second == RENEWED


async def test_a_renewal_that_fails_is_told_with_its_reason_and_the_remedy(make: Make) -> None:
    house = make()
    house.claude.does("exit 5")
    with pytest.raises(CredentialUnavailable) as complaint:
        await house.secret()
    assert f"the login in {house.file} has expired or is about to; run `claude` once" in str(complaint.value)
    assert "`claude` was asked to renew it, but it ended with exit code 5" in str(complaint.value)
    assert "exit code 5" in house.store.state().detail


async def test_after_a_failure_the_store_is_looked_into_every_few_seconds(make: Make) -> None:
    """The user was told to run `claude`, and does."""
    house = make()
    with pytest.raises(CredentialUnavailable):
        await house.secret()
    house.holds(LOGIN, 3600)
    reads = house.source.reads
    house.monotonic.advance(LOOK_AGAIN - 1)
    with pytest.raises(CredentialUnavailable):
        await house.secret()
    assert house.source.reads == reads
    house.monotonic.advance(1)
    assert await house.secret() == LOGIN
    assert len(house.claude.runs) == 1


async def test_with_refresh_never_claude_is_not_asked(make: Make) -> None:
    house = make(settings=RefreshSettings(delegate=False, command=("claude",)))
    with pytest.raises(CredentialUnavailable, match="run `claude` once") as complaint:
        await house.secret()
    assert "was asked" not in str(complaint.value)
    assert house.claude.runs == []
    assert house.store.state().refresh == "never"


async def test_a_request_that_may_not_have_the_login_causes_no_run_and_is_told_so(make: Make) -> None:
    house = make()
    with pytest.raises(SubscriptionGuarded, match="API key"):
        await house.store.obtain(CURL)
    assert house.claude.runs == []


async def test_a_key_behind_an_expired_login_is_used_and_nothing_renewed(make: Make) -> None:
    house = make()
    store = TokenStore(
        (house.source, FakeSource("env:KEY", KEY)),
        SubscriptionGuard(),
        ttl=300.0,
        learn=lambda _: None,
        refresh=SETTINGS,
        refresher=house.refresher,
    )
    found = await store.obtain(CURL)
    assert found is not None
    assert found.secret == KEY
    assert house.claude.runs == []


async def test_an_expired_login_in_the_keychain_is_renewed_too(make: Make) -> None:
    keychain = FakeSource("keychain", LOGIN, expires_at=1.0, asks=True, login=True)
    house = make(keychain)
    house.file.unlink()
    with pytest.raises(CredentialUnavailable, match="the place of keychain"):
        await house.secret()
    assert len(house.claude.runs) == 1
    assert keychain.reads == 2


async def test_a_credential_that_is_no_stored_login_is_never_renewed(make: Make) -> None:
    house = make(FakeSource("env:SOME", LOGIN, expires_at=1.0))
    house.file.unlink()
    with pytest.raises(CredentialUnavailable):
        await house.secret()
    assert house.claude.runs == []


# --- ahead of any request --------------------------------------------------------------------------------


async def test_a_login_in_use_is_renewed_as_soon_as_its_last_minutes_begin(make: Make) -> None:
    house = make()
    house.holds(LOGIN, 3600)
    house.renews()
    assert await house.secret() == LOGIN
    assert await house.store.keep_fresh(HORIZON) == HORIZON, "it is too long until then"
    house.clock.advance(3600 - EXPIRY_SKEW - 100)
    assert await house.store.keep_fresh(HORIZON) == pytest.approx(101)
    house.clock.advance(101)
    assert await house.store.keep_fresh(HORIZON) == HORIZON
    assert len(house.claude.runs) == 1
    assert await house.secret() == RENEWED


async def test_a_login_that_the_user_has_renewed_meanwhile_is_only_read(make: Make) -> None:
    house = make()
    house.holds(LOGIN, EXPIRY_SKEW + 10)
    await house.secret()
    house.clock.advance(20)
    house.monotonic.advance(20)
    house.holds(RENEWED, 3600)
    await house.store.keep_fresh(HORIZON)
    assert house.claude.runs == []
    assert await house.secret() == RENEWED


async def test_a_login_that_nobody_uses_is_left_alone(make: Make) -> None:
    house = make()
    house.holds(LOGIN, EXPIRY_SKEW + 10)
    await house.secret()
    house.clock.advance(20)
    house.monotonic.advance(2 * HORIZON + 1)
    assert await house.store.keep_fresh(HORIZON) == HORIZON
    assert house.claude.runs == []


async def test_a_store_that_no_request_has_needed_is_not_read(make: Make) -> None:
    house = make()
    assert await house.store.keep_fresh(HORIZON) == HORIZON
    assert (house.source.reads, house.claude.runs) == (0, [])


async def test_with_refresh_never_nothing_is_done_ahead(make: Make) -> None:
    house = make(settings=RefreshSettings(delegate=False, command=("claude",)))
    house.holds(LOGIN, EXPIRY_SKEW + 10)
    await house.secret()
    house.clock.advance(20)
    assert await house.store.keep_fresh(HORIZON) == HORIZON
    assert house.claude.runs == []


# --- what may be said of it ------------------------------------------------------------------------------


async def test_the_state_says_who_renews_and_what_came_of_it(make: Make) -> None:
    house = make()
    before = house.store.state()
    assert (before.refresh, before.refreshed_at, before.refresh_outcome) == ("delegate", None, None)
    house.renews()
    await house.secret()
    after = house.store.state()
    assert (after.state, after.refreshed_at, after.refresh_outcome) == ("present", house.clock(), "renewed")


async def test_the_bound_between_two_runs_holds_for_requests_and_the_check_together(make: Make) -> None:
    house = make()
    house.holds(LOGIN, EXPIRY_SKEW + 10)
    await house.secret()
    house.clock.advance(20)
    house.monotonic.advance(20)
    await house.store.keep_fresh(HORIZON)
    with pytest.raises(CredentialUnavailable, match=f"not asked again for {RUNS_APART:.0f} s|for 29\\d s"):
        await house.secret()
    assert len(house.claude.runs) == 1

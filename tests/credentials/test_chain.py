"""Several supplies in their configured order."""

import pytest

from claude_proxy.credentials.chain import SupplyChain
from claude_proxy.credentials.credential import CredentialUnavailable, SubscriptionGuarded, SupplyState
from tests.client_requests import message_request
from tests.credentials.fakes import KEY, LOGIN, OTHER_LOGIN, FakeSource, FakeSupply, key_of

CREDENTIAL = key_of(KEY, "env:KEY")


async def test_the_first_supply_that_has_one_is_taken_and_the_rest_are_not_asked() -> None:
    empty, full, unasked = FakeSupply(), FakeSupply(CREDENTIAL), FakeSupply(key_of(LOGIN, "file"))
    assert await SupplyChain([empty, full, unasked]).obtain(message_request()) is CREDENTIAL
    assert (empty.asked, full.asked, unasked.asked) == (1, 1, 0)


async def test_a_supply_that_cannot_be_read_is_passed_over_while_another_has_one() -> None:
    locked = FakeSupply(complaint=CredentialUnavailable("it is locked"))
    assert await SupplyChain([locked, FakeSupply(CREDENTIAL)]).obtain(message_request()) is CREDENTIAL


async def test_the_first_complaint_is_told_when_none_has_one() -> None:
    guarded = FakeSupply(complaint=SubscriptionGuarded("not for you"))
    locked = FakeSupply(complaint=CredentialUnavailable("it is locked"))
    with pytest.raises(SubscriptionGuarded, match="not for you"):
        await SupplyChain([FakeSupply(), guarded, locked, FakeSupply()]).obtain(message_request())


async def test_none_of_them_having_one_is_no_complaint() -> None:
    assert await SupplyChain([FakeSupply(), FakeSupply()]).obtain(message_request()) is None
    assert await SupplyChain([]).obtain(message_request()) is None


async def test_a_replacement_comes_from_whichever_supply_has_it() -> None:
    newer = key_of(OTHER_LOGIN, "file")
    assert await SupplyChain([FakeSupply(), FakeSupply(replacement=newer)]).replaces(CREDENTIAL) is newer
    assert await SupplyChain([FakeSupply(), FakeSupply()]).replaces(CREDENTIAL) is None


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (("absent", "pass-through", "present"), "pass-through"),
        (("not read", "unusable"), "unusable"),
        (("present", "pass-through"), "present"),
        (("not read", "absent"), "not read"),
        ((), "absent"),
    ],
)
def test_the_state_is_that_of_what_a_request_meets_first(states: tuple[str, ...], expected: str) -> None:
    assert SupplyChain([FakeSupply(state=SupplyState(state)) for state in states]).state().state == expected


def test_who_renews_a_stored_login_is_told_whatever_stands_before_it() -> None:
    stored = SupplyState("present", "keychain", refresh="delegate", refreshed_at=1.0, refresh_outcome="renewed")
    states = [SupplyState("absent"), SupplyState("pass-through", "client"), stored]
    state = SupplyChain([FakeSupply(state=state) for state in states]).state()
    assert (state.state, state.source) == ("pass-through", "client")
    assert (state.refresh, state.refreshed_at, state.refresh_outcome) == ("delegate", 1.0, "renewed")


async def test_all_are_looked_after_and_the_first_to_be_seen_to_again_is_told() -> None:
    supplies = [FakeSupply(), FakeSupply(), FakeSupply()]
    supplies[1].again_in = 7.0
    assert await SupplyChain(supplies).keep_fresh(1800.0) == 7.0
    assert [supply.kept_fresh for supply in supplies] == [1, 1, 1]
    assert await SupplyChain([]).keep_fresh(1800.0) == 1800.0


def test_the_sources_of_all_are_told_in_order() -> None:
    first, second, third = FakeSource("a"), FakeSource("b"), FakeSource("c")
    chain = SupplyChain([FakeSupply(sources=[first, second]), FakeSupply(), FakeSupply(sources=[third])])
    assert chain.sources() == (first, second, third)


def test_forgetting_reaches_all() -> None:
    supplies = [FakeSupply(), FakeSupply()]
    SupplyChain(supplies).forget()
    assert [supply.forgotten for supply in supplies] == [1, 1]

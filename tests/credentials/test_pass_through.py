"""The client's own login, handed on as it came."""

import pytest

from claude_proxy.credentials.credential import Credential, Scheme
from claude_proxy.credentials.pass_through import PassThrough, brings_sentinel, drop_sentinels
from claude_proxy.wire.headers import Headers
from tests.client_requests import message_request
from tests.credentials.fakes import KEY, LOGIN

SENTINELS = frozenset({"proxy-managed", "the-access-token"})


@pytest.mark.parametrize(
    ("added", "secret", "scheme"),
    [
        ((("Authorization", f"Bearer {LOGIN}"),), LOGIN, Scheme.BEARER),
        ((("X-Api-Key", KEY),), KEY, Scheme.API_KEY),
        ((("x_api_key", KEY),), KEY, Scheme.API_KEY),
        ((("Authorization", "Bearer proxy-managed"), ("x-api-key", KEY)), KEY, Scheme.API_KEY),
        ((("x-api-key", ""), ("Authorization", f"bearer {LOGIN}")), LOGIN, Scheme.BEARER),
    ],
    ids=["a login", "a key", "a key with underscores", "a key beside a placeholder", "a login beside an empty key"],
)
async def test_what_the_client_brought_is_its_credential(
    added: tuple[tuple[str, str], ...], secret: str, scheme: Scheme
) -> None:
    found = await PassThrough(SENTINELS).obtain(message_request(*added))
    assert found == Credential(secret, scheme, "client", ours=False)


@pytest.mark.parametrize(
    "added",
    [(), (("x-api-key", "proxy-managed"),), (("Authorization", "Bearer the-access-token"),), (("x-api-key", " "),)],
    ids=["nothing", "a placeholder", "the access token", "a blank"],
)
async def test_a_client_that_brings_nothing_of_its_own_has_none(added: tuple[tuple[str, str], ...]) -> None:
    assert await PassThrough(SENTINELS).obtain(message_request(*added)) is None


async def test_a_refused_login_of_the_client_is_never_replaced() -> None:
    supply = PassThrough(SENTINELS)
    refused = await supply.obtain(message_request(("x-api-key", KEY)))
    assert refused is not None
    assert await supply.replaces(refused) is None


async def test_it_keeps_nothing_and_looks_nowhere() -> None:
    supply = PassThrough(SENTINELS)
    await supply.obtain(message_request(("x-api-key", KEY)))
    supply.forget()
    assert supply.sources() == ()
    assert (supply.state().state, supply.state().source) == ("pass-through", "client")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ((("x-api-key", "proxy-managed"),), True),
        ((("Authorization", "Bearer proxy-managed"), ("x-api-key", KEY)), True),
        ((("x-api-key", KEY),), False),
        ((("x-note", "proxy-managed"),), False),
    ],
)
def test_a_placeholder_is_recognised_where_a_credential_stands(headers: Headers, expected: bool) -> None:
    assert brings_sentinel(headers, SENTINELS) is expected


def test_placeholders_are_dropped_and_nothing_else() -> None:
    kept = (("Accept", "*/*"), ("X-Api-Key", KEY), ("x-note", "proxy-managed"))
    headers = (("Authorization", "Bearer proxy-managed"), *kept, ("x_api_key", "proxy-managed"))
    assert drop_sentinels(headers, SENTINELS) == kept

"""One API that may be called: in which header it takes a credential."""

import pytest

from claude_proxy.credentials.credential import Credential, Scheme
from tests.upstreams.made_upstreams import made_upstream

KEY = Credential("FAKE-key", Scheme.API_KEY, "env:KEY")
LOGIN = Credential("sk-ant-oat01-FAKE", Scheme.BEARER, "file")


@pytest.mark.parametrize(
    ("native", "auth", "credential", "expected"),
    [
        (True, None, KEY, Scheme.API_KEY),
        (True, None, LOGIN, Scheme.BEARER),
        (True, Scheme.BEARER, KEY, Scheme.BEARER),
        (False, None, KEY, Scheme.BEARER),
        (False, Scheme.API_KEY, KEY, Scheme.API_KEY),
    ],
    ids=[
        "a key for Anthropic",
        "a login for Anthropic",
        "a gateway that wants a bearer",
        "a stranger",
        "a stranger that wants x-api-key",
    ],
)
def test_a_credential_of_ours_goes_into_the_header_that_the_upstream_takes(
    native: bool, auth: Scheme | None, credential: Credential, expected: Scheme
) -> None:
    dressed = made_upstream("an-upstream", native=native, auth=auth).dressed(credential)
    assert dressed.scheme is expected
    assert (dressed.secret, dressed.source, dressed.is_login) == (
        credential.secret,
        credential.source,
        credential.is_login,
    )


def test_what_the_client_brought_stays_in_its_own_header() -> None:
    brought = Credential("FAKE", Scheme.API_KEY, "client", ours=False)
    assert made_upstream("claude", auth=Scheme.BEARER).dressed(brought) is brought


@pytest.mark.parametrize("native", [True, False])
def test_an_upstream_is_native_when_it_speaks_as_anthropic_does(native: bool) -> None:
    assert made_upstream("an-upstream", native=native).native is native

"""One API that may be called: in which header it takes a credential, and what it is asked for as a stream."""

import pytest

from claude_proxy.credentials.credential import Credential, Scheme
from claude_proxy.wire.messages import ClientRequest
from tests.client_requests import count_request, message_request, other_request
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


WHOLE = message_request()


@pytest.mark.parametrize("request_of", [WHOLE, message_request(stream=None), message_request(stream=None, query="a=b")])
def test_a_request_for_a_whole_message_is_demoted_where_anthropic_is_asked_and_it_is_wished(
    request_of: ClientRequest,
) -> None:
    assert made_upstream("claude", demotes=True).demotes(request_of)
    assert not made_upstream("claude").demotes(request_of)
    assert not made_upstream("kimi", native=False, demotes=True).demotes(request_of)


def test_a_quota_probe_is_demoted_like_any_other() -> None:
    probe = message_request(max_tokens=1, messages=[{"role": "user", "content": "quota"}])
    assert probe.background is not None
    assert made_upstream("claude", demotes=True).demotes(probe)


@pytest.mark.parametrize(
    "request_of",
    [
        message_request(stream=True),
        count_request(),
        other_request("POST", "/v1/messages/batches", body=b"{}"),
        other_request("GET", "/v1/messages"),
        other_request("POST", "/v1/complete", body=b"{}"),
    ],
    ids=["a stream", "a count", "a batch", "no POST", "another path"],
)
def test_nothing_else_is_demoted(request_of: ClientRequest) -> None:
    assert not made_upstream("claude", demotes=True).demotes(request_of)

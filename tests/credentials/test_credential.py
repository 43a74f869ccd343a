"""A credential: how it is sent, what it replaces, and that it is never shown."""

import pytest

from claude_proxy.credentials.credential import OAUTH_BETA, Credential, Scheme, anthropic_credential, client_secrets
from tests.credentials.fakes import KEY, LOGIN

HEADERS = (
    ("Accept", "application/json"),
    ("X-Api-Key", "of-the-client"),
    ("anthropic-beta", "a,b"),
    ("authorization", "Bearer of-the-client"),
    ("x-app", "cli"),
)


def test_a_key_stands_in_x_api_key_in_place_of_all_that_the_client_sent() -> None:
    credential = anthropic_credential(KEY, "env:KEY")
    assert credential.apply(HEADERS) == (
        ("Accept", "application/json"),
        ("anthropic-beta", "a,b"),
        ("x-app", "cli"),
        ("x-api-key", KEY),
    )


def test_a_login_stands_as_bearer_and_its_beta_is_appended_in_place() -> None:
    assert anthropic_credential(LOGIN, "file").apply(HEADERS) == (
        ("Accept", "application/json"),
        ("anthropic-beta", f"a,b,{OAUTH_BETA}"),
        ("x-app", "cli"),
        ("Authorization", f"Bearer {LOGIN}"),
    )


def test_the_beta_of_a_login_is_not_appended_twice() -> None:
    headers = (("anthropic-beta", f"a, {OAUTH_BETA} ,b"),)
    assert anthropic_credential(LOGIN, "file").apply(headers)[0] == headers[0]


def test_the_beta_of_a_login_is_added_where_the_client_named_none() -> None:
    assert ("anthropic-beta", OAUTH_BETA) in anthropic_credential(LOGIN, "file").apply(())


def test_a_bearer_that_is_no_login_gets_no_beta() -> None:
    credential = Credential("provider-key", Scheme.BEARER, "env:KEY")
    assert credential.apply(()) == (("Authorization", "Bearer provider-key"),)


def test_names_with_underscores_are_taken_for_the_same_header() -> None:
    headers = (("x_api_key", "of-the-client"),)
    assert anthropic_credential(KEY, "env:KEY").apply(headers) == (("x-api-key", KEY),)


def test_what_the_client_brought_is_sent_as_it_came() -> None:
    assert Credential("of-the-client", Scheme.API_KEY, "client", ours=False).apply(HEADERS) is HEADERS


@pytest.mark.parametrize(("secret", "login"), [(LOGIN, True), (KEY, False), ("plain", False)])
def test_a_login_is_told_from_a_key(secret: str, login: bool) -> None:
    credential = anthropic_credential(secret, "somewhere", 12.0)
    assert credential.is_login is login
    assert credential.scheme is (Scheme.BEARER if login else Scheme.API_KEY)
    assert (credential.source, credential.expires_at, credential.ours) == ("somewhere", 12.0, True)


def test_what_lay_where_logins_lie_is_one_whatever_it_looks_like() -> None:
    assert Credential("another-shape-FAKE", Scheme.BEARER, "file", stored_login=True).is_login


def test_a_secret_is_not_shown_when_the_credential_is_printed() -> None:
    assert KEY not in repr(anthropic_credential(KEY, "env:KEY"))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ((("Authorization", "Bearer  token "),), [("authorization", "token")]),
        ((("authorization", "Basic dXNlcg=="),), [("authorization", "Basic dXNlcg==")]),
        ((("X-Api-Key", " key "), ("x_api_key", "twin")), [("x-api-key", "key"), ("x-api-key", "twin")]),
        ((("x-app", "cli"),), []),
    ],
)
def test_the_credentials_of_a_client_are_found(
    headers: tuple[tuple[str, str], ...], expected: list[tuple[str, str]]
) -> None:
    assert client_secrets(headers) == expected

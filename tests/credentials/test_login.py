"""The envelope in which Claude Code stores its login."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_proxy.credentials.credential import CredentialUnavailable, Scheme
from claude_proxy.credentials.login import read_login
from tests.claude_request import stored_login
from tests.credentials.fakes import LOGIN, FakeSource

KEYCHAIN = FakeSource("keychain")
SECRET_WORD = "FAKE-never-shown"


def envelope(**login: object) -> str:
    return json.dumps({"claudeAiOauth": login})


def test_the_access_token_is_read_with_its_expiry_in_seconds() -> None:
    found = read_login(stored_login(LOGIN, expiresAt=1_800_000_123_000), KEYCHAIN)
    assert found is not None
    assert (found.secret, found.scheme, found.source) == (LOGIN, Scheme.BEARER, "keychain")
    assert found.expires_at == 1_800_000_123.0


def test_what_is_stored_as_a_login_is_one_whatever_its_token_looks_like() -> None:
    found = read_login(stored_login("another-shape-FAKE"), KEYCHAIN)
    assert found is not None
    assert found.is_login


def test_a_login_without_an_expiry_has_none() -> None:
    found = read_login(envelope(accessToken=LOGIN), KEYCHAIN)
    assert found is not None
    assert found.expires_at is None


def test_an_expiry_of_nought_has_long_passed() -> None:
    found = read_login(envelope(accessToken=LOGIN, expiresAt=0), KEYCHAIN)
    assert found is not None
    assert found.expires_at == 0


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"mcpOAuth": {"server": {"accessToken": "FAKE"}}}',
        '{"claudeAiOauth": null}',
        '{"claudeAiOauth": {"accessToken": "", "expiresAt": 0}}',
    ],
    ids=["nothing", "only MCP tokens", "null", "blanked by Claude Code"],
)
def test_an_envelope_without_a_login_holds_none(text: str) -> None:
    assert read_login(text, KEYCHAIN) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        SECRET_WORD,
        f'["{SECRET_WORD}"]',
        f'"{SECRET_WORD}"',
        "[" * 100_000,
        f'{{"claudeAiOauth": "{SECRET_WORD}"}}',
        f'{{"claudeAiOauth": ["{SECRET_WORD}"]}}',
        f'{{"claudeAiOauth": {{"token": "{SECRET_WORD}"}}}}',
        '{"claudeAiOauth": {"accessToken": 7}}',
        f'{{"claudeAiOauth": {{"accessToken": "{SECRET_WORD} with spaces"}}}}',
        f'{{"claudeAiOauth": {{"accessToken": "{SECRET_WORD}\\r\\nx:y"}}}}',
        f'{{"claudeAiOauth": {{"accessToken": "{SECRET_WORD}\\u00e9"}}}}',
        envelope(accessToken=SECRET_WORD, expiresAt="tomorrow"),
        envelope(accessToken=SECRET_WORD, expiresAt=True),
        envelope(accessToken=SECRET_WORD, expiresAt=False),
        envelope(accessToken=SECRET_WORD, expiresAt=[1]),
        envelope(accessToken=SECRET_WORD, expiresAt=10**400),
        envelope(accessToken=SECRET_WORD, expiresAt=math.nan),
    ],
    ids=[
        "empty",
        "half",
        "no JSON",
        "a list",
        "a text",
        "nested without end",
        "a text as login",
        "a list as login",
        "another name for the token",
        "a number as token",
        "spaces",
        "a line break",
        "not ASCII",
        "a text as expiry",
        "true as expiry",
        "false as expiry",
        "a list as expiry",
        "an expiry beyond all dates",
        "an expiry that is not a number at all",
    ],
)
def test_an_envelope_that_cannot_be_used_is_a_complaint_that_quotes_nothing(text: str) -> None:
    with pytest.raises(CredentialUnavailable) as complaint:
        read_login(text, KEYCHAIN)
    assert KEYCHAIN.place in str(complaint.value)
    assert SECRET_WORD not in str(complaint.value)


def test_an_expiry_in_seconds_is_a_complaint_about_who_wrote_it() -> None:
    with pytest.raises(CredentialUnavailable, match="in seconds where Claude Code writes milliseconds"):
        read_login(envelope(accessToken=LOGIN, expiresAt=1_800_000_000), KEYCHAIN)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
LOGINS = st.fixed_dictionaries({}, optional={"accessToken": JSON, "expiresAt": JSON, "scopes": JSON})


@settings(max_examples=200, deadline=None)
@given(JSON | st.fixed_dictionaries({"claudeAiOauth": LOGINS | JSON}))
def test_whatever_is_stored_the_reader_gives_a_login_nothing_or_a_complaint(stored: object) -> None:
    try:
        found = read_login(json.dumps(stored), KEYCHAIN)
    except CredentialUnavailable:
        return
    if found is not None:
        assert isinstance(found.secret, str)
        assert found.secret.isprintable()
        assert found.expires_at is None or not math.isnan(found.expires_at)


@settings(max_examples=100, deadline=None)
@given(st.text())
def test_a_text_that_is_no_login_is_never_anything_but_a_complaint_or_nothing(text: str) -> None:
    try:
        assert read_login(text, KEYCHAIN) is None
    except CredentialUnavailable:
        return

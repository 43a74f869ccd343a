"""What an upstream says that would be shown to others is looked through for what it was called with."""

import pytest

from claude_proxy.credentials.credential import anthropic_credential
from claude_proxy.forwarding.verdict import repeats_secret
from tests.client_requests import message_request

OURS = anthropic_credential("sk-ant-api03-FAKE-Ours", "env:OUR_KEY")
BROUGHT = message_request(
    ("authorization", "Bearer FAKE-Bearer"),
    ("X_Api_Key", " FAKE-Key "),
    ("cookie", "a=1; session=FAKE-Cookie; b"),
    ("X-Tenant", "FAKE-Tenant"),
    ("anthropic-gateway-token", "FAKE-Gateway"),
)


@pytest.mark.parametrize(
    "secret", ["FAKE-Bearer", "FAKE-Key", "FAKE-Cookie", "FAKE-Tenant", "FAKE-Gateway", OURS.secret]
)
def test_a_secret_is_found_wherever_it_stands_and_in_lower_case(secret: str) -> None:
    assert repeats_secret(f"allowed\nfor {secret}!", OURS, BROUGHT)
    assert repeats_secret(secret.lower(), OURS, BROUGHT)


@pytest.mark.parametrize("words", ["", "allowed\nfive_hour\n5h", "FAKE-Bearin", "a=1", "1"])
def test_other_words_are_none(words: str) -> None:
    assert not repeats_secret(words, OURS, BROUGHT)


def test_what_claude_code_sends_by_itself_is_no_secret() -> None:
    """An upstream's words on the version, a beta or the client stay as they are."""
    words = " ".join(value for _, value in message_request().headers)
    assert "claude-cli" in words
    assert not repeats_secret(words, OURS, message_request())


def test_what_is_too_short_to_be_told_from_a_word_is_no_secret() -> None:
    assert not repeats_secret("5h\nallowed", None, message_request(("x-api-key", "5h")))
    assert not repeats_secret("allowed", None, message_request())

"""Whose request may use the stored login: genuine Claude Code on this machine."""

import pytest

from claude_proxy.credentials.guard import SubscriptionGuard
from claude_proxy.wire.messages import ClientRequest
from tests.client_requests import count_request, headers_of, message_request, other_request


def test_a_request_of_claude_code_is_admitted() -> None:
    assert SubscriptionGuard().admits(message_request())


@pytest.mark.parametrize(
    "request_of_another",
    [
        message_request(local=False),
        message_request(headers=headers_of(user_agent="curl/8")),
        message_request(headers=headers_of(user_agent="not-claude-cli/2.1.197")),
        message_request(headers=headers_of(user_agent="claude-client/2.1.197")),
        message_request(headers=headers_of(user_agent=None)),
        message_request(headers=headers_of(x_app=None)),
        message_request(headers=headers_of(anthropic_beta=None)),
        message_request(headers=headers_of(anthropic_beta="effort-2025-11-24")),
        message_request(headers=headers_of(anthropic_beta="not-claude-code-20250219")),
        message_request(metadata=None),
        message_request(metadata={"user_id": ""}),
        message_request(metadata={"user_id": 7}),
        message_request(metadata="user"),
        ClientRequest("GET", "/v1/models", ()),
    ],
    ids=[
        "another machine",
        "another program",
        "a program of a similar name",
        "a program whose name begins alike",
        "no user agent",
        "no x-app",
        "no betas",
        "other betas",
        "a beta of a similar name",
        "no metadata",
        "an empty user",
        "a user that is no text",
        "metadata that is no object",
        "no headers at all",
    ],
)
def test_a_request_that_lacks_any_mark_of_claude_code_is_not_admitted(request_of_another: ClientRequest) -> None:
    assert not SubscriptionGuard().admits(request_of_another)


def test_the_beta_may_stand_anywhere_in_the_list() -> None:
    headers = headers_of(anthropic_beta="effort-2025-11-24, claude-code-20250219")
    assert SubscriptionGuard().admits(message_request(headers=headers))


@pytest.mark.parametrize(
    "without_metadata",
    [count_request(), other_request("GET", "/v1/models"), other_request("POST", "/v1/files")],
    ids=["count_tokens", "models", "files"],
)
def test_metadata_is_not_asked_of_paths_that_carry_none(without_metadata: ClientRequest) -> None:
    assert SubscriptionGuard().admits(without_metadata)


def test_the_refusal_names_the_remedy() -> None:
    assert "x-api-key" in SubscriptionGuard.refusal
    assert "REAL_ANTHROPIC_API_KEY" in SubscriptionGuard.refusal

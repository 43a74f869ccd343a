"""What the refusals of a compatible provider mean, told in Anthropic's terms."""

import json
import re

import pytest

from claude_proxy.dialects.compatible import CompatibleDialect, CompatibleTraits
from claude_proxy.failures import FailureKind
from tests.dialects.asked import asked

DIALECT = CompatibleDialect("kimi", CompatibleTraits(context_window=1000))


@pytest.mark.parametrize(
    ("status", "words", "kind", "told"),
    [
        (400, "bad", FailureKind.INVALID_REQUEST, 400),
        (401, "invalid key", FailureKind.AUTH, 403),
        (403, "forbidden", FailureKind.FORBIDDEN, 403),
        (401, "insufficient quota", FailureKind.RATE_LIMIT, 403),
        (403, "insufficient balance", FailureKind.RATE_LIMIT, 403),
        (402, "pay", FailureKind.RATE_LIMIT, 402),
        (404, "no such model", FailureKind.INVALID_REQUEST, 404),
        (429, "slow down", FailureKind.RATE_LIMIT, 429),
        (429, "too many tokens per minute", FailureKind.RATE_LIMIT, 429),
        (403, "your plan has no such context window", FailureKind.FORBIDDEN, 403),
        (500, "oops", FailureKind.SERVER_ERROR, 500),
        (502, "the maximum context of the gateway", FailureKind.SERVER_ERROR, 502),
        (503, "busy", FailureKind.OVERLOADED, 529),
        (529, "busy", FailureKind.OVERLOADED, 529),
        (302, "there", FailureKind.MALFORMED, 502),
        (418, "", FailureKind.INVALID_REQUEST, 418),
    ],
)
def test_a_refusal_is_told_in_anthropics_terms(status: int, words: str, kind: FailureKind, told: int) -> None:
    body = json.dumps({"error": {"type": "their_error", "message": words, "code": "1302"}}).encode()
    failure = DIALECT.refusal(status, (), body, asked())
    assert (failure.kind, failure.client_status) == (kind, told)
    assert "kimi" in failure.message
    assert ((words or "status 418") in failure.message) is (status != 302)
    assert failure.error_type != "their_error"


def test_a_refusal_of_the_key_says_whose_it_is_and_what_to_do() -> None:
    failure = DIALECT.refusal(401, (), b'{"error": "no"}', asked())
    assert failure.message == "kimi refused the proxy's key for it: no. Check the key and store it anew"
    assert failure.error_type == "permission_error"


@pytest.mark.parametrize(
    "words",
    [
        "This model's maximum context length is 131072 tokens",
        "context window exceeds limit",
        "Context Length exceeded",
        "prompt is too long",
        "too many tokens",
    ],
)
@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_full_context_is_told_in_the_words_that_make_claude_code_compact(status: int, words: str) -> None:
    body = json.dumps({"error": {"message": words}}).encode()
    for long, least in ((False, 1001), (True, 2000)):
        request = asked(messages=[{"role": "user", "content": "word " * 2000 if long else "hi"}])
        failure = DIALECT.refusal(status, (), body, request)
        assert (failure.kind, failure.client_status) == (FailureKind.CONTEXT_WINDOW, 400)
        assert failure.error_type == "invalid_request_error"
        counted = re.fullmatch(r"prompt is too long: (\d+) tokens > 1000 maximum", failure.message)
        assert counted is not None
        assert int(counted[1]) >= least


@pytest.mark.parametrize(
    ("error_type", "kind", "told"),
    [
        ("overloaded_error", FailureKind.OVERLOADED, 529),
        ("rate_limit_error", FailureKind.RATE_LIMIT, 429),
        ("authentication_error", FailureKind.AUTH, 403),
        ("invalid_request_error", FailureKind.INVALID_REQUEST, 400),
        ("their_error", FailureKind.MALFORMED, 502),
        (None, FailureKind.MALFORMED, 502),
    ],
)
def test_an_error_inside_a_200_is_told_in_anthropics_terms(
    error_type: str | None, kind: FailureKind, told: int
) -> None:
    body = json.dumps({"type": "error", "error": {"type": error_type, "message": "no"}}).encode()
    failure = DIALECT.disguised(body, (("retry-after", "2"),), asked())
    assert failure is not None
    assert (failure.kind, failure.client_status, failure.retry_after) == (kind, told, 2.0)
    assert "kimi" in failure.message

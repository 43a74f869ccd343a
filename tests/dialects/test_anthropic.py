"""Anthropic's own API: the same bytes up and down, and every refusal read for what it means."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_proxy.dialects.anthropic import AnthropicDialect, kind_of
from claude_proxy.failures import FailureKind, Said
from claude_proxy.wire.messages import ClientRequest
from tests.dialects.asked import CLIENT_HEADERS, HAIKU, asked, asked_in

DIALECT = AnthropicDialect()

_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
_names = st.text(max_size=6).filter(lambda name: name not in {"model", "stream"})


def error(kind: str, words: str) -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": words}, "request_id": "req_1"}).encode()


# --- up ----------------------------------------------------------------------------------------------------


@given(st.dictionaries(_names, _values, max_size=5), st.booleans(), st.sampled_from([None, HAIKU]))
@settings(max_examples=200, deadline=None)
def test_a_body_that_need_not_change_goes_up_as_the_very_same_bytes(
    members: dict[str, Any], ascii_only: bool, model: str | None
) -> None:
    request = asked_in(json.dumps({**members, "model": HAIKU}, ensure_ascii=ascii_only).encode())
    assert DIALECT.request(request, model) is request.body


@pytest.mark.parametrize(
    "words",
    [
        "claude-proxy: 1.0",
        'it says "claude-proxy:minimax:c2ln"',
        '{"type": "thinking", "signature": "claude-proxy:minimax:c2ln"}',
    ],
)
def test_talking_of_the_mark_changes_nothing(words: str) -> None:
    for content in (words, [{"type": "text", "text": words}], [{"type": "tool_use", "input": {"signature": words}}]):
        request = asked(messages=[{"role": "user", "content": content}])
        assert DIALECT.request(request, None) is request.body


@pytest.mark.parametrize("odd", [b"1e999", b"9" * 5000, b"1.10", b'"caf\\u00e9 \\/ \xc3\xa9"', b"[" * 800 + b"]" * 800])
def test_a_route_that_renames_the_model_changes_that_value_alone(odd: bytes) -> None:
    text = b' { "n": %s,\n "model" :\t"%s" , "messages":[{"model":"%s"}] }\n' % (odd, HAIKU.encode(), HAIKU.encode())
    renamed = DIALECT.request(asked_in(text), "claude-sonnet-5-5")
    assert renamed == text.replace(HAIKU.encode(), b"claude-sonnet-5-5", 1)


def test_a_compressed_body_goes_up_compressed_unless_it_changes() -> None:
    text = b'{"model": "m"}'
    request = ClientRequest.read("POST", "/v1/messages", (), b"packed", text)
    assert DIALECT.request(request, None) == b"packed"
    assert DIALECT.request(request, "n") == b'{"model": "n"}'


def test_a_request_that_names_no_model_is_passed_on_as_it_is() -> None:
    upload = ClientRequest("POST", "/v1/files", (), b"\x00 bytes")
    assert DIALECT.request(upload, "n") is upload.body


@pytest.mark.parametrize("signed_in", ["signature", "data"])
def test_thinking_that_another_provider_signed_is_cut_out_and_nothing_else(signed_in: str) -> None:
    kind = {"signature": "thinking", "data": "redacted_thinking"}[signed_in].encode()
    foreign = b'{"type":"%s", "%s":"claude-proxy:minimax:c2ln"}' % (kind, signed_in.encode())
    own = b'{"type":"%s","%s":"EqoBCkgIBxAB=="}' % (kind, signed_in.encode())
    text = (
        b' {"n":1.10, "model":"m" ,"messages":[ {"content":"caf\\u00e9"}, {"role":"assistant","content":[%s%s , 7]}]}\n'
    )
    assert DIALECT.request(asked_in(text % (foreign + b",", own)), None) == text % (b"", own)
    assert DIALECT.request(asked_in(text % (foreign + b",", own)), "n") == (text % (b"", own)).replace(b'"m"', b'"n"')


def test_a_target_that_names_the_same_model_leaves_its_spelling_alone() -> None:
    foreign = b'{"type":"thinking","signature":"claude-proxy:minimax:c2ln"}'
    text = b'{"model":"caf\\u00e9","messages":[{"role":"assistant","content":[7%s]}]}'
    assert DIALECT.request(asked_in(text % b""), "café") == text % b""
    assert DIALECT.request(asked_in(text % (b"," + foreign)), "café") == text % b""


def test_a_turn_of_nothing_but_such_thinking_goes_whole() -> None:
    foreign = {"type": "thinking", "thinking": "Hm.", "signature": "claude-proxy:minimax:c2ln"}
    turns = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": [foreign, foreign]},
        {"role": "user", "content": "two"},
    ]
    sent = json.loads(DIALECT.request(asked(messages=turns), None))
    assert sent["messages"] == [turns[0], turns[2]]


def test_path_and_query_and_headers_stay_as_they_are() -> None:
    request = asked_in(b'{"model": "m"}', "/v1/messages?beta=true&x=%2F")
    assert DIALECT.target(request) == "/v1/messages?beta=true&x=%2F"
    assert DIALECT.headers((*CLIENT_HEADERS, ("x-own-token", "FAKE"), ("Host", "h")), "x-own-token") == CLIENT_HEADERS


# --- down --------------------------------------------------------------------------------------------------


def test_answers_come_down_as_they_are() -> None:
    body = b' {"model" : "other"}'
    assert DIALECT.native
    assert DIALECT.answer(body, asked()) is body
    assert DIALECT.stream(asked()) is None


@pytest.mark.parametrize(
    ("status", "error_type", "words", "kind"),
    [
        (300, "", "", FailureKind.MALFORMED),
        (302, "", "", FailureKind.MALFORMED),
        (399, "", "", FailureKind.MALFORMED),
        (400, "invalid_request_error", "max_tokens: too large", FailureKind.INVALID_REQUEST),
        (
            400,
            "invalid_request_error",
            "prompt is too long: 208310 tokens > 200000 maximum",
            FailureKind.CONTEXT_WINDOW,
        ),
        (400, "invalid_request_error", "Prompt is too long", FailureKind.CONTEXT_WINDOW),
        (400, "", "input length and `max_tokens` exceed context limit: 1 + 2 > 3", FailureKind.CONTEXT_WINDOW),
        (401, "authentication_error", "invalid bearer token", FailureKind.AUTH),
        (401, "authentication_error", "your quota is spent", FailureKind.RATE_LIMIT),
        (402, "billing_error", "pay", FailureKind.RATE_LIMIT),
        (403, "permission_error", "OAuth token has been revoked", FailureKind.AUTH),
        (
            403,
            "permission_error",
            "OAuth authentication is currently not allowed.",
            FailureKind.AUTH,
        ),
        (400, "invalid_request_error", "This organization has been disabled.", FailureKind.AUTH),
        (403, "permission_error", "your organization may not use this model", FailureKind.FORBIDDEN),
        (403, "permission_error", "Billing is not set up", FailureKind.RATE_LIMIT),
        (403, "permission_error", "You have reached your usage limit", FailureKind.RATE_LIMIT),
        (403, "permission_error", "your spend limit is reached", FailureKind.RATE_LIMIT),
        (403, "permission_error", "Your credit balance is too low", FailureKind.RATE_LIMIT),
        (403, "permission_error", "insufficient balance", FailureKind.RATE_LIMIT),
        (403, "billing_error", "no", FailureKind.RATE_LIMIT),
        (401, "rate_limit_error", "no", FailureKind.RATE_LIMIT),
        (404, "not_found_error", "model: m", FailureKind.INVALID_REQUEST),
        (408, "", "", FailureKind.SERVER_ERROR),
        (409, "conflict_error", "", FailureKind.INVALID_REQUEST),
        (413, "request_too_large", "", FailureKind.INVALID_REQUEST),
        (422, "", "", FailureKind.INVALID_REQUEST),
        (429, "rate_limit_error", "", FailureKind.RATE_LIMIT),
        (500, "api_error", "", FailureKind.SERVER_ERROR),
        (500, "overloaded_error", "", FailureKind.OVERLOADED),
        (502, "", "", FailureKind.SERVER_ERROR),
        (503, "", "", FailureKind.OVERLOADED),
        (504, "timeout_error", "", FailureKind.SERVER_ERROR),
        (520, "", "", FailureKind.SERVER_ERROR),
        (529, "overloaded_error", "Overloaded", FailureKind.OVERLOADED),
    ],
)
def test_a_status_and_its_words_are_one_kind_of_failure(
    status: int, error_type: str, words: str, kind: FailureKind
) -> None:
    assert kind_of(status, error_type, words) is kind
    assert DIALECT.refusal(status, (), error(error_type, words), asked()).kind is kind


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500, 529])
def test_a_refusal_is_kept_word_for_word(status: int) -> None:
    body = b'{"type": "error" , "error":{"type":"x_error","message":"caf\\u00e9"}}\n'
    headers = (("Content-Type", "application/json"), ("request-id", "req_1"), ("retry-after", "3"))
    failure = DIALECT.refusal(status, (*headers, ("Set-Cookie", "FAKE"), ("Connection", "close")), body, asked())
    assert failure.said == Said(status, headers, body)
    assert failure.client_status == status
    assert (failure.message, failure.error_type, failure.retry_after) == ("café", "x_error", 3.0)


def test_a_refusal_without_words_is_named_by_its_status() -> None:
    failure = DIALECT.refusal(502, (), b"<html>Bad gateway</html>", asked())
    assert failure.message == "the upstream answered with status 502"
    assert failure.said == Said(502, (), b"<html>Bad gateway</html>")


def test_a_redirect_is_not_passed_on() -> None:
    failure = DIALECT.refusal(307, (("Location", "https://elsewhere.example"),), b"", asked())
    assert (failure.kind, failure.said, failure.client_status) == (FailureKind.MALFORMED, None, 502)
    assert "307" in failure.message


@pytest.mark.parametrize(
    ("status", "reset", "until"),
    [("rejected", "1790000000", 1790000000.0), ("allowed", "1790000000", None), ("rejected", "soon", None)],
)
def test_a_spent_window_is_known_with_its_end(status: str, reset: str, until: float | None) -> None:
    headers = (("anthropic-ratelimit-unified-status", status), ("anthropic-ratelimit-unified-reset", reset))
    assert DIALECT.refusal(429, headers, error("rate_limit_error", "no"), asked()).spent_until == until


@pytest.mark.parametrize(("value", "may_retry"), [("false", False), ("true", True), (None, True)])
def test_an_upstream_may_forbid_to_come_again(value: str | None, may_retry: bool) -> None:
    headers = (("x-should-retry", value),) if value else ()
    assert DIALECT.refusal(500, headers, b"", asked()).may_retry is may_retry


@pytest.mark.parametrize(
    ("error_type", "words", "kind", "status"),
    [
        ("overloaded_error", "Overloaded", FailureKind.OVERLOADED, 529),
        ("api_error", "no", FailureKind.SERVER_ERROR, 500),
        ("timeout_error", "no", FailureKind.SERVER_ERROR, 504),
        ("rate_limit_error", "no", FailureKind.RATE_LIMIT, 429),
        ("billing_error", "no", FailureKind.RATE_LIMIT, 402),
        ("authentication_error", "no", FailureKind.AUTH, 401),
        ("permission_error", "no", FailureKind.FORBIDDEN, 403),
        ("permission_error", "OAuth token has been revoked", FailureKind.AUTH, 403),
        ("invalid_request_error", "no", FailureKind.INVALID_REQUEST, 400),
        ("invalid_request_error", "prompt is too long: 2 tokens > 1 maximum", FailureKind.CONTEXT_WINDOW, 400),
        ("not_found_error", "no", FailureKind.INVALID_REQUEST, 404),
        ("request_too_large", "no", FailureKind.INVALID_REQUEST, 413),
        ("error_of_tomorrow", "no", FailureKind.MALFORMED, 502),
        ("", "no", FailureKind.MALFORMED, 502),
    ],
)
def test_an_error_inside_a_200_is_the_failure_that_its_type_names(
    error_type: str, words: str, kind: FailureKind, status: int
) -> None:
    body = error(error_type, words)
    headers = (("Content-Type", "text/event-stream"), ("request-id", "req_1"), ("retry-after", "4"))
    failure = DIALECT.disguised(body, headers, asked())
    assert failure is not None
    assert (failure.kind, failure.message, failure.error_type) == (kind, words, error_type)
    assert (failure.client_status, failure.retry_after) == (status, 4.0)
    said = (("request-id", "req_1"), ("retry-after", "4"), ("Content-Type", "application/json"))
    assert failure.said == Said(status, said, body)


def test_an_error_inside_a_200_may_have_no_words() -> None:
    failure = DIALECT.disguised(b'{"type": "error"}', (), asked())
    assert failure is not None
    assert failure.message == "the upstream answered with an error inside a 200"


@pytest.mark.parametrize("body", [b'{"type": "message", "error": null}', b"<html>", b"", b"[]"])
def test_what_is_no_error_is_no_failure(body: bytes) -> None:
    assert DIALECT.disguised(body, (), asked()) is None

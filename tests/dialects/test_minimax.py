"""MiniMax: its numbers decide over statuses and types, wherever they stand."""

import json
import re
from typing import Any

import pytest

from claude_proxy.dialects.minimax import MiniMaxDialect
from claude_proxy.failures import Failure, FailureKind
from claude_proxy.wire.sse import events
from tests.dialects.asked import HAIKU, asked, asked_in
from tests.stand_in import message_end, message_json, message_start, sse, text_block

DIALECT = MiniMaxDialect("minimax")

# number, words, kind, what the client sees
NUMBERS: list[tuple[int, str, FailureKind, int]] = [
    (1000, "unknown error", FailureKind.OVERLOADED, 529),
    (1001, "request timeout", FailureKind.OVERLOADED, 529),
    (1002, "rate limit exceeded(RPM)", FailureKind.RATE_LIMIT, 429),
    (1002, "Rate exceeded", FailureKind.RATE_LIMIT, 429),
    (1002, "over the LIMIT", FailureKind.RATE_LIMIT, 429),
    (1002, "input sensitive", FailureKind.INVALID_REQUEST, 400),
    (1002, "the generated content was moderated", FailureKind.INVALID_REQUEST, 400),
    (1004, "login fail", FailureKind.AUTH, 403),
    (1008, "insufficient balance", FailureKind.RATE_LIMIT, 402),
    (1024, "internal error", FailureKind.OVERLOADED, 529),
    (1028, "quota exhausted", FailureKind.RATE_LIMIT, 429),
    (1030, "quota exhausted", FailureKind.RATE_LIMIT, 429),
    (2013, "invalid params, tool_choice", FailureKind.INVALID_REQUEST, 400),
    (2013, "invalid params, context window exceeds limit", FailureKind.CONTEXT_WINDOW, 400),
    (2049, "invalid api key", FailureKind.AUTH, 403),
    (2056, "usage limit of the plan", FailureKind.RATE_LIMIT, 429),
    (2061, "not in your plan", FailureKind.FORBIDDEN, 403),
]
TYPES = {400: "invalid_request_error", 402: "billing_error", 403: "permission_error", 429: "rate_limit_error"}

each_number = pytest.mark.parametrize(("number", "words", "kind", "told"), NUMBERS)


def base_resp(number: Any, words: Any = "no") -> bytes:
    return json.dumps({"id": "01", "base_resp": {"status_code": number, "status_msg": words}}).encode()


def error(number: int, words: str, kind: str = "bad_request_error") -> bytes:
    message = f"{words} ({number})"
    return json.dumps({"type": "error", "error": {"type": kind, "message": message, "http_code": "400"}}).encode()


def assert_mapped(failure: Failure | None, number: int, words: str, kind: FailureKind, told: int) -> None:
    assert failure is not None
    assert (failure.kind, failure.client_status) == (kind, told)
    assert failure.error_type == TYPES.get(told, "overloaded_error")
    if kind is FailureKind.CONTEXT_WINDOW:
        assert re.fullmatch(r"prompt is too long: 204801 tokens > 204800 maximum", failure.message)
    else:
        assert "minimax" in failure.message
        assert failure.message.count(f"{words} ({number})") == 1


@each_number
def test_a_number_in_a_200_is_the_failure_that_it_means(number: int, words: str, kind: FailureKind, told: int) -> None:
    assert_mapped(DIALECT.disguised(base_resp(number, words), (), asked()), number, words, kind, told)
    assert_mapped(DIALECT.disguised(error(number, words), (), asked()), number, words, kind, told)


@each_number
@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_a_number_decides_over_the_status(status: int, number: int, words: str, kind: FailureKind, told: int) -> None:
    assert_mapped(DIALECT.refusal(status, (), base_resp(number, words), asked()), number, words, kind, told)
    body = error(number, words, "authorized_error")
    assert_mapped(DIALECT.refusal(status, (), body, asked()), number, words, kind, told)


@pytest.mark.parametrize("number", [4711, -1, 1])
def test_a_number_that_nobody_knows_is_a_bad_answer(number: int) -> None:
    failure = DIALECT.disguised(base_resp(number, "something new"), (), asked())
    assert failure is not None
    assert (failure.kind, failure.client_status) == (FailureKind.MALFORMED, 502)
    assert failure.message == f"minimax: something new ({number})"


def test_an_unknown_number_behind_the_words_leaves_it_to_the_status() -> None:
    failure = DIALECT.refusal(429, (), error(4711, "slow down"), asked())
    assert (failure.kind, failure.client_status) == (FailureKind.RATE_LIMIT, 429)
    hidden = DIALECT.disguised(error(4711, "slow down", "rate_limit_error"), (), asked())
    assert hidden is not None
    assert hidden.kind is FailureKind.RATE_LIMIT


@pytest.mark.parametrize("words", ["(1004) is what they say", "in 10041 ways", "1004", "number (10040)"])
def test_a_number_elsewhere_in_the_words_is_none(words: str) -> None:
    body = json.dumps({"error": {"message": words}}).encode()
    assert DIALECT.refusal(400, (), body, asked()).kind is FailureKind.INVALID_REQUEST


@pytest.mark.parametrize("words", [None, ""])
def test_a_number_without_words_is_a_failure_all_the_same(words: str | None) -> None:
    failure = DIALECT.disguised(base_resp(1004, words), (), asked())
    assert failure is not None
    assert failure.kind is FailureKind.AUTH
    assert "an error without words (1004)" in failure.message


@pytest.mark.parametrize("status", [400, 401, 429, 529])
def test_a_refusal_without_a_number_goes_by_its_status(status: int) -> None:
    failure = DIALECT.refusal(status, (), b'{"error": {"message": "no"}}', asked())
    assert failure.client_status == {401: 403}.get(status, status)


@pytest.mark.parametrize(
    "answer",
    [
        message_json("hi")[:-1] + b', "base_resp": {"status_code": 0, "status_msg": ""}}',
        message_json("hi")[:-1] + b', "base_resp": {}}',
        message_json("hi")[:-1] + b', "base_resp": null}',
        message_json("hi")[:-1] + b', "base_resp": "odd"}',
        message_json('it says "base_resp": {"status_code": 1004}'),
    ],
)
def test_a_base_resp_of_zero_or_none_is_no_failure(answer: bytes) -> None:
    assert DIALECT.disguised(answer, (), asked()) is None


def test_a_base_resp_amid_the_stream_becomes_the_error_event_that_it_means() -> None:
    translator = DIALECT.stream(asked())
    assert translator is not None
    for number, told in ((1002, "rate_limit_error"), (1004, "permission_error"), (4711, "api_error")):
        for name in (b"", b"event: message_delta\n"):
            (event,) = events(translator.feed(name + b"data: " + base_resp(number) + b"\n\n"))
            message = f"minimax: no ({number})"
            assert event.name == "error"
            assert json.loads(event.data) == {"type": "error", "error": {"type": told, "message": message}}
    (event,) = events(translator.feed(b"data: " + base_resp(1004, None) + b"\n\n"))
    assert "an error without words (1004)" in json.loads(event.data)["error"]["message"]


def test_a_base_resp_of_zero_amid_the_stream_changes_nothing() -> None:
    translator = DIALECT.stream(asked())
    assert translator is not None
    stop = sse("message_stop", {"type": "message_stop", "base_resp": {"status_code": 0, "status_msg": ""}})
    rest = [*text_block("hi"), *message_end()[:1], stop]
    assert translator.feed(b"".join([message_start("MiniMax"), *rest])).endswith(b"".join(rest))


def test_minimax_is_told_what_it_documents_and_nothing_else() -> None:
    known: dict[str, Any] = {
        "max_tokens": 5,
        "stream": True,
        "system": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}],
        "temperature": 1,
        "thinking": {"type": "adaptive"},
        "tool_choice": {"type": "auto"},
        "tools": [{"name": "Read"}],
        "top_p": 0.5,
        "metadata": {"label": "x"},
        "messages": [{"role": "user", "content": "hi"}],
    }
    unknown = {"top_k": 5, "stop_sequences": ["x"], "service_tier": "auto", "context_management": {}, "container": "c"}
    body = json.loads(DIALECT.request(asked(**known, **unknown), "MiniMax-M2.5-highspeed"))
    assert body == {**known, "model": "MiniMax-M2.5-highspeed"}


def test_its_own_thinking_goes_back_to_it() -> None:
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "c2lnbmVk"}
    answer = json.dumps({"type": "message", "model": "MiniMax", "content": [thinking]}).encode()
    stored = json.loads(DIALECT.answer(answer, asked()))
    assert stored["model"] == HAIKU
    request = asked(messages=[{"role": "assistant", "content": stored["content"]}])
    assert json.loads(DIALECT.request(request, None))["messages"] == [{"role": "assistant", "content": [thinking]}]


@pytest.mark.parametrize(
    ("asked_for", "sent"),
    [("0", "0.01"), ("0.0", "0.01"), ("0.5", "0.5"), ("1", "1"), ("null", "null"), ("1e999", "1e999"), ('"0"', '"0"')],
)
def test_a_temperature_of_zero_which_it_refuses_becomes_the_lowest_that_it_takes(asked_for: str, sent: str) -> None:
    body = DIALECT.request(asked_in(b'{"model":"m","temperature":%s}' % asked_for.encode()), None)
    assert body == b'{"model":"m","temperature":%s}' % sent.encode()

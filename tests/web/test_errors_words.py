"""Whatever words an error has, the client gets them whole, in one readable answer or one readable event."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from claude_proxy.exchange import Exchange
from claude_proxy.failures import Failure, FailureKind
from claude_proxy.web.errors import Refused, broken_stream, failed, refusal
from claude_proxy.wire.sse import events
from tests.client_requests import message_request
from tests.stand_in import text_stream

# All that can be sent as UTF-8, line ends and what only looks like them included.
WORDS = st.text(st.characters(codec="utf-8"), max_size=60) | st.text("\r\n\u2028:data event\0", max_size=20)
KINDS = st.sampled_from([kind for kind in FailureKind if kind is not FailureKind.CLIENT_GONE])
SECONDS = st.none() | st.floats(0, 1e9)


@settings(max_examples=200)
@given(WORDS)
def test_a_stream_that_breaks_is_told_in_one_event_behind_those_that_came(words: str) -> None:
    exchange = Exchange(message_request(), upstream="claude")
    came = text_stream()[0]
    *before, last = events(came + broken_stream(Failure(FailureKind.BROKEN_STREAM, words), exchange))
    assert b"".join(event.raw for event in before) == came
    assert last.name == "error"
    assert last.raw.endswith(b"\n\n")
    error = json.loads(last.data)
    assert error["error"] == {"type": "api_error", "message": f"claude: {words} (claude-proxy {exchange.id})"}


@settings(max_examples=100)
@given(WORDS)
def test_a_refusal_and_a_failure_are_told_in_json_with_those_words(words: str) -> None:
    exchange = Exchange(message_request())
    for response in (
        refusal(Refused(400, "malformed", words)),
        failed(Failure(FailureKind.CONNECT, words, "claude"), exchange),
    ):
        assert isinstance(response.body, bytes)
        error = json.loads(response.body)
        assert error["error"]["message"] == words
        assert error["request_id"] == response.headers["x-claude-proxy-request-id"]


@settings(max_examples=200)
@given(KINDS, SECONDS)
def test_when_to_come_again_is_a_whole_number_of_seconds_told_once_or_not_at_all(
    kind: FailureKind, seconds: float | None
) -> None:
    headers = failed(Failure(kind, "x", "claude", retry_after=seconds), Exchange(message_request())).headers
    told = headers.getall("retry-after", [])
    assert len(told) <= 1
    assert all(value.isdigit() for value in told)
    assert bool(told) != (seconds is None or headers.get("x-should-retry") == "false")
    if kind is FailureKind.UNAVAILABLE:
        assert all(int(value) <= 5 for value in told)


def test_no_two_refusals_have_one_id() -> None:
    ids = {refusal(Refused(400, "malformed", "no")).headers["x-claude-proxy-request-id"] for _ in range(50)}
    assert len(ids) == 50

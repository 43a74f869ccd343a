"""What every dialect promises: nothing invented, nothing torn, and no answer that makes it fail."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_proxy.dialects.anthropic import AnthropicDialect
from claude_proxy.dialects.compatible import CompatibleDialect, CompatibleTraits
from claude_proxy.dialects.dialect import Dialect
from claude_proxy.dialects.minimax import MiniMaxDialect
from claude_proxy.failures import Failure
from claude_proxy.wire.errors import read_error
from claude_proxy.wire.sse import EventCutter, events
from tests.dialects.asked import HAIKU, asked
from tests.stand_in import block, message_end, message_json, message_start, sse, text_block

DIALECTS: dict[str, Dialect] = {
    "anthropic": AnthropicDialect(),
    "compatible": CompatibleDialect("kimi", CompatibleTraits()),
    "minimax": MiniMaxDialect("minimax"),
}
STREAM = b"".join(
    [
        message_start("their-model"),
        *block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": "Hm, 世界 🙂."},
            {"type": "signature_delta", "signature": "c2lnbmVk"},
        ),
        b": a comment\n\n",
        *text_block("Grüße", index=1),
        *block(
            2,
            {"type": "tool_use", "id": "t", "name": "Read", "input": {}},
            {"type": "input_json_delta", "partial_json": ""},
        ),
        sse("ping", {"type": "ping"}),
        *message_end("tool_use"),
    ]
)

each_dialect = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS.keys())


def translated(dialect: Dialect, chunks: list[bytes]) -> bytes:
    """What the client gets of a stream that comes in these chunks."""
    translator, cutter = dialect.stream(asked()), EventCutter()
    blocks = [cutter.feed(chunk) for chunk in chunks]
    return b"".join(blocks if translator is None else map(translator.feed, blocks)) + cutter.rest()


def told(stream: bytes) -> list[tuple[str, bytes]]:
    """What the client reads of it. The LF of a CRLF cut in half may leave an empty line more, which says nothing."""
    return [(event.name, event.data or event.raw.strip()) for event in events(stream) if event.raw.strip()]


@each_dialect
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_a_stream_cut_at_every_byte_reaches_the_client_the_same(dialect: Dialect, end: bytes) -> None:
    data = STREAM.replace(b"\n", end)
    whole = translated(dialect, [data])
    assert [name for name, _ in told(whole)] == [name for name, _ in told(data)]
    for cut in range(1, len(data)):
        assert told(translated(dialect, [data[:cut], data[cut:]])) == told(whole)
    assert told(translated(dialect, [data[i : i + 1] for i in range(len(data))])) == told(whole)


@each_dialect
def test_each_event_is_passed_on_with_the_bytes_that_complete_it(dialect: Dialect) -> None:
    translator = dialect.stream(asked())
    for event in events(STREAM):
        passed_on = event.raw if translator is None else translator.feed(event.raw)
        (same,) = events(passed_on)
        assert same.name == event.name


@each_dialect
@pytest.mark.parametrize(
    "answer",
    [
        message_json("hello"),
        b'{"input_tokens": 42}',
        message_start().split(b"data: ")[1],
        b'{"type": "ping"}',
    ],
)
def test_no_failure_is_seen_in_a_good_answer(dialect: Dialect, answer: bytes) -> None:
    assert dialect.disguised(answer, (), asked()) is None


@each_dialect
@pytest.mark.parametrize("status", [429, 500, 529, 400])
def test_the_wait_that_the_upstream_asks_for_is_known(dialect: Dialect, status: int) -> None:
    assert dialect.refusal(status, (("Retry-After", "7"),), b"{}", asked()).retry_after == 7
    assert dialect.refusal(status, (), b"{}", asked()).retry_after is None


_errors = st.builds(
    lambda kind, words: json.dumps({"type": "error", "error": {"type": kind, "message": words}}).encode(),
    st.sampled_from(["overloaded_error", "authentication_error", "rate_limit_error", "of_tomorrow", "", None]),
    st.text(max_size=10) | st.sampled_from(["quota (1004)", "prompt is too long", "no (9999)", None]),
)


@each_dialect
@given(
    status=st.integers(300, 599),
    body=st.binary(max_size=30) | _errors | st.sampled_from([b'{"base_resp": {"status_code": 9}}', b"[" * 100_000]),
)
@settings(max_examples=200, deadline=None)
def test_any_refusal_is_a_failure_in_words(dialect: Dialect, status: int, body: bytes) -> None:
    failure = dialect.refusal(status, (("retry-after", "soon"),), body, asked())
    assert isinstance(failure, Failure)
    assert failure.message
    assert failure.client_status >= 400


@each_dialect
@given(body=st.binary(max_size=30) | _errors)
@settings(max_examples=100, deadline=None)
def test_whatever_the_first_data_are_they_are_a_failure_or_not(dialect: Dialect, body: bytes) -> None:
    failure = dialect.disguised(body, (), asked())
    assert (failure is not None) == (read_error(body) is not None)


@each_dialect
@given(
    data=st.binary(max_size=60)
    | st.lists(st.sampled_from([b"data: ", b'{"type":', b'"message_start"', b"}", b"\n", b"[", b"\xff"])).map(b"".join)
)
@settings(max_examples=200, deadline=None)
def test_no_stream_makes_the_translator_fail(dialect: Dialect, data: bytes) -> None:
    assert isinstance(translated(dialect, [data, b"\n\n"]), bytes)


def test_only_anthropics_own_dialect_is_native() -> None:
    assert [name for name, dialect in DIALECTS.items() if dialect.native] == ["anthropic"]


@pytest.mark.parametrize("name", ["compatible", "minimax"])
def test_a_stranger_is_asked_at_the_plain_path_and_told_nothing_of_the_client(name: str) -> None:
    request = asked()
    assert DIALECTS[name].target(request) == "/v1/messages"
    told = DIALECTS[name].headers(request.headers, "x-proxy-token")
    assert told == (("Accept", "application/json"), ("Content-Type", "application/json"))


@pytest.mark.parametrize("name", ["compatible", "minimax"])
def test_a_stranger_refuses_nobody_with_a_401(name: str) -> None:
    for words in ("invalid key", "insufficient quota", "billing is not set up", "login fail (1004)", ""):
        body = json.dumps({"error": {"message": words}}).encode()
        assert DIALECTS[name].refusal(401, (), body, asked()).client_status == 403
        body = json.dumps({"type": "error", "error": {"type": "authentication_error", "message": words}}).encode()
        failure = DIALECTS[name].disguised(body, (), asked())
        assert failure is not None
        assert failure.client_status == 403


@pytest.mark.parametrize("name", ["compatible", "minimax"])
def test_a_strangers_answer_bears_the_model_that_was_asked_for(name: str) -> None:
    assert json.loads(DIALECTS[name].answer(message_json("hi", "their-model"), asked()))["model"] == HAIKU
    assert json.loads(next(events(translated(DIALECTS[name], [STREAM]))).data)["message"]["model"] == HAIKU

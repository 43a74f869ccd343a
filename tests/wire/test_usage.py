"""Tokens and the end of an answer, read from the stream as it passes."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_proxy.wire.sse import EventCutter
from claude_proxy.wire.usage import Iteration, Usage, UsageReader
from tests.stand_in import message_end, message_json, message_start, sse, text_block


def read(*blocks: bytes) -> UsageReader:
    """A reader that was fed these blocks of whole events."""
    reader = UsageReader()
    for block in blocks:
        reader.feed(block)
    return reader


def started(**usage: Any) -> bytes:
    message = {"type": "message", "model": "claude-sonnet-4-5", "content": [], "usage": usage}
    return sse("message_start", {"type": "message_start", "message": message})


def delta(**usage: Any) -> bytes:
    return sse("message_delta", {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage})


def test_a_new_reader_knows_nothing() -> None:
    reader = UsageReader()
    assert reader.usage == Usage(None, None, None, None)
    assert (reader.started, reader.stopped, reader.error) == (False, False, None)


def test_a_whole_answer_has_started_and_stopped_and_says_its_tokens() -> None:
    reader = read(message_start(input_tokens=10), *text_block("hello"), *message_end(output_tokens=7))
    assert (reader.started, reader.stopped, reader.error) == (True, True, None)
    assert reader.usage == Usage(input_tokens=10, output_tokens=7)


def test_an_answer_that_is_cut_keeps_what_was_metered_so_far() -> None:
    reader = read(started(input_tokens=10, cache_read_input_tokens=90, output_tokens=1), *text_block("hel"))
    assert (reader.started, reader.stopped) == (True, False)
    assert reader.usage == Usage(input_tokens=10, output_tokens=1, cache_read_input_tokens=90)


def test_each_delta_is_a_checkpoint_and_the_last_one_counts() -> None:
    reader = read(started(input_tokens=10, output_tokens=1), delta(output_tokens=5), delta(output_tokens=9))
    assert reader.usage == Usage(input_tokens=10, output_tokens=9)


def test_a_later_report_corrects_all_that_it_names_and_leaves_what_is_null() -> None:
    first = started(input_tokens=1, output_tokens=1, cache_creation_input_tokens=2, cache_read_input_tokens=3)
    later = delta(input_tokens=4, output_tokens=0, cache_creation_input_tokens=None, cache_read_input_tokens=6)
    assert read(first, later).usage == Usage(4, 0, 2, 6)


def test_usage_that_is_missing_or_null_is_no_fault() -> None:
    start = sse("message_start", {"type": "message_start", "message": {"model": "m"}})
    end = sse("message_delta", {"type": "message_delta", "usage": None})
    reader = read(start, end)
    assert reader.started
    assert reader.usage == Usage()


def test_fields_that_nobody_knows_yet_are_passed_over() -> None:
    known = started(input_tokens=10, a_count_of_tomorrow={"tokens": 5}, cache_creation={"ephemeral_1y": 1})
    assert read(known).usage == Usage(input_tokens=10)


def test_all_that_has_a_price_is_read() -> None:
    first = started(
        input_tokens=10,
        cache_creation_input_tokens=30,
        cache_creation={"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
        service_tier="standard",
        speed="fast",
        inference_geo="us",
    )
    last = delta(
        output_tokens=9,
        output_tokens_details={"thinking_tokens": 4},
        server_tool_use={"web_search_requests": 1, "web_fetch_requests": 2, "code_execution_requests": 3},
    )
    assert read(first, last).usage == Usage(
        input_tokens=10,
        output_tokens=9,
        cache_creation_input_tokens=30,
        cache_creation_5m_input_tokens=10,
        cache_creation_1h_input_tokens=20,
        thinking_tokens=4,
        web_search_requests=1,
        web_fetch_requests=2,
        code_execution_requests=3,
        service_tier="standard",
        speed="fast",
        inference_geo="us",
    )


def test_the_last_list_of_iterations_counts_and_each_keeps_its_model() -> None:
    advisor = {"type": "advisor_message", "model": "claude-opus-5-5", "input_tokens": 7, "output_tokens": 3}
    own = {"type": "message", "input_tokens": 1, "cache_creation": {"ephemeral_1h_input_tokens": 5}}
    reader = read(started(input_tokens=1), delta(iterations=[own]), delta(iterations=[own, advisor]))
    assert reader.usage.iterations == (
        Iteration("message", None, Usage(input_tokens=1, cache_creation_1h_input_tokens=5)),
        Iteration("advisor_message", "claude-opus-5-5", Usage(7, 3)),
    )


_ODD: list[Any] = ["many", 1.5, -1, True, 10**9 + 1, 10**30, {}, []]


@pytest.mark.parametrize("odd", _ODD)
@pytest.mark.parametrize(
    "field", ["output_tokens", "service_tier", "cache_creation", "server_tool_use", "iterations", "inference_geo"]
)
def test_one_odd_field_does_not_lose_the_others(field: str, odd: Any) -> None:
    counts = {"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens_details": {"thinking_tokens": 2}}
    reader = read(started(**{**counts, field: odd}))
    assert reader.started
    assert (reader.usage.input_tokens, reader.usage.cache_read_input_tokens) == (10, 90)
    assert (reader.usage.thinking_tokens, reader.usage.output_tokens) == (2, None)
    whole = UsageReader()
    whole.read_whole(json.dumps({"type": 7, "usage": {**counts, field: odd}}).encode())
    assert (whole.stopped, whole.usage) == (True, reader.usage)


def test_an_odd_part_of_a_part_does_not_lose_its_neighbours() -> None:
    said = started(
        cache_creation={"ephemeral_5m_input_tokens": "?", "ephemeral_1h_input_tokens": 5},
        iterations=["?", {"type": "compaction", "model": 7, "output_tokens": 3}],
        input_tokens=1,
    )
    usage = read(said).usage
    assert (usage.input_tokens, usage.cache_creation_1h_input_tokens) == (1, 5)
    assert usage.iterations == (Iteration("compaction", None, Usage(output_tokens=3)),)


@pytest.mark.parametrize("words", ["message_stop", "event: message_stop", "error", "message_delta"])
def test_words_in_a_text_are_no_events(words: str) -> None:
    reader = read(message_start(), *text_block(words, pieces=1))
    assert (reader.stopped, reader.error) == (False, None)
    assert reader.usage == Usage(input_tokens=10, output_tokens=1)


def test_an_error_event_is_kept_as_the_upstream_sent_it() -> None:
    data = b'{"type": "error", "error": {"type": "overloaded_error"} }'
    reader = read(message_start(), b"event: error\ndata: " + data + b"\n\n")
    assert (reader.error, reader.stopped) == (data, False)


def test_an_error_event_without_data_is_an_error_too() -> None:
    assert read(b"event: error\n\n").error == b""


def test_several_events_in_one_block_are_all_read() -> None:
    reader = read(b"".join([message_start(), *text_block("hello"), *message_end(output_tokens=3)]))
    assert (reader.started, reader.stopped, reader.usage.output_tokens) == (True, True, 3)


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"[]",
        b"null",
        b'{"usage": {"output_tokens": "many"}}',
        b'{"usage": {"output_tokens": 1.5}}',
        b'{"message": [1]}',
        b'{"usage": "\xff"}',
        b"[" * 100_000,
    ],
)
@pytest.mark.parametrize("name", [b"message_start", b"message_delta"])
def test_what_cannot_be_read_changes_nothing(name: bytes, data: bytes) -> None:
    reader = read(b"event: " + name + b"\ndata: " + data + b"\n\n")
    assert (reader.started, reader.usage) == (False, Usage())


def test_a_message_of_text_alone_is_no_start() -> None:
    assert not read(sse("message_start", {"type": "message_start", "message": "hello"})).started


@given(st.lists(st.binary(max_size=40) | st.sampled_from([b"event: message_start\n", b"data: ", b"error", b"\n\n"])))
@settings(max_examples=200, deadline=None)
def test_no_bytes_make_it_fail(parts: list[bytes]) -> None:
    reader = read(b"".join(parts), *parts)
    reader.read_whole(b"".join(parts))
    assert isinstance(reader.usage, Usage)


def test_a_stream_cut_at_every_byte_is_read_the_same() -> None:
    data = b"".join([message_start(input_tokens=12), *text_block("hello"), *message_end(output_tokens=8)])
    for cut in range(1, len(data)):
        cutter, reader = EventCutter(), UsageReader()
        for part in (data[:cut], data[cut:]):
            reader.feed(cutter.feed(part))
        assert (reader.started, reader.stopped, reader.usage) == (True, True, Usage(12, 8))


_events = st.sampled_from(
    [
        message_start(input_tokens=3),
        delta(output_tokens=5),
        delta(input_tokens=9, output_tokens=8),
        sse("message_stop", {}),
        sse("error", {"message": "first"}),
        sse("error", {"message": "second"}),
        *text_block("event: message_stop\n\nevent: error"),
        b"event:message_stop\ndata:{}\n\n",
        b": event: message_stop\n\n",
        b"data: event: error\n\n",
        b"data: 1\nevent: message_stop\n\n",
    ]
)


@given(st.lists(st.tuples(_events, st.sampled_from([b"\n", b"\r\n", b"\r"])), max_size=8))
@settings(max_examples=200, deadline=None)
def test_events_are_read_the_same_together_or_each_for_itself(said: list[tuple[bytes, bytes]]) -> None:
    spelt = [event.replace(b"\n", end) for event, end in said]
    together, apart = read(b"".join(spelt)), read(*spelt)
    assert (together.started, together.stopped, together.error) == (apart.started, apart.stopped, apart.error)
    assert together.usage == apart.usage


def test_a_whole_body_is_an_answer_from_start_to_stop() -> None:
    reader = UsageReader()
    reader.read_whole(message_json("hello"))
    assert (reader.started, reader.stopped, reader.usage) == (True, True, Usage(10, 7))


def test_a_whole_body_may_say_nothing_of_tokens() -> None:
    reader = UsageReader()
    reader.read_whole(json.dumps({"type": "message"}).encode())
    assert (reader.started, reader.usage) == (True, Usage())


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{", b"7", b"[" * 100_000])
def test_a_body_that_cannot_be_read_is_no_answer(body: bytes) -> None:
    reader = UsageReader()
    reader.read_whole(body)
    assert (reader.started, reader.stopped, reader.usage) == (False, False, Usage())

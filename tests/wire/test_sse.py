"""Events cut out of a byte stream: nothing lost, nothing torn, nothing held back that is complete."""

import json
import re
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from claude_proxy.wire.sse import MAX_EVENT, EventCutter, EventTooLong, SSEEvent, events, render
from tests.stand_in import message_end, message_start, sse, text_block

BOM = b"\xef\xbb\xbf"
STREAM = b"".join([message_start(), *text_block("Grüße, 世界 🙂"), sse("ping", {"type": "ping"}), *message_end()])

# Whatever can stand between two line ends, characters of several bytes among it.
_text = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=6).map(str.encode)
_lines = st.one_of(
    st.sampled_from(
        [b"data", b"data:", b"event: ping", b"event:message_stop", b": keep-alive", b":", b"id: 7", b"retry: 10"]
    ),
    st.builds(b"".join, st.tuples(st.sampled_from([b"data: ", b"data:", b"event: ", b"x: ", b": "]), _text)),
)
_line_ends = st.sampled_from([b"\r\n", b"\n", b"\r"])
_streams = st.builds(
    b"".join,
    st.tuples(
        st.sampled_from([b"", BOM]), st.lists(st.one_of(_lines, _line_ends, _line_ends), max_size=30).map(b"".join)
    ),
)


def chunked(data: bytes, cuts: list[int]) -> list[bytes]:
    """The data cut at these places, none of the parts empty."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


def cut_out(chunks: list[bytes]) -> tuple[list[bytes], bytes]:
    """What each chunk set free, and what was left in the end."""
    cutter = EventCutter()
    return [cutter.feed(chunk) for chunk in chunks], cutter.rest()


def as_specified(data: bytes) -> tuple[list[tuple[bytes, bytes]], int, int]:
    """A reader by the letter of the specification, line by line: (name, data) of each event that says anything;
    where the last event of at least one line ends; where the last blank line ends."""
    found: list[tuple[bytes, bytes]] = []
    name, lines, any_line, event_end, blank_end = b"", list[bytes](), False, 0, 0
    at = len(BOM) if data.startswith(BOM) else 0
    for match in re.finditer(rb"([^\r\n]*)(\r\n|\n|\r)", data[at:]):
        line = match[1]
        if line:
            any_line = True
            field, _, value = line.partition(b":")
            value = value[1:] if value.startswith(b" ") else value
            if field == b"data":
                lines.append(value)
            elif field == b"event":
                name = value
            continue
        blank_end = at + match.end()
        if any_line:
            event_end = blank_end
        if name or b"\n".join(lines):
            found.append((name, b"\n".join(lines)))
        name, lines, any_line = b"", [], False
    return found, event_end, blank_end


def telling(block: bytes) -> list[tuple[bytes, bytes]]:
    return [(event.name.encode(), event.data) for event in events(block) if not event.is_comment]


@given(_streams, st.lists(st.integers(0, 400), max_size=12))
@settings(max_examples=200, deadline=None)
@example(b"data: a\r\r\ndata: b\r\n\r\n", [8, 9, 10])
@example(b"data: a\r\n\r\n\r\ndata: b\n\n", [9, 10, 11, 12, 13])
@example(b"data: a\r\r\n\n", [9, 10])
@example(b"data: a\r\rdata: b\n\n", [16])
@example(b"data: a\r\r\rdata: b\n\n", [10, 17])
def test_no_byte_is_lost_or_moved_however_the_stream_is_cut(data: bytes, cuts: list[int]) -> None:
    freed, rest = cut_out(chunked(data, cuts))
    assert b"".join(freed) + rest == data


@given(_streams, st.lists(st.integers(0, 400), max_size=12))
@settings(max_examples=200, deadline=None)
@example(b"data: a\r\ndata: b\r\r\n", [8, 9, 17, 18])
@example(b"data: a\r\n\r\ndata", [8, 9, 10])
def test_an_event_leaves_with_its_last_byte_and_no_byte_of_an_unfinished_one_does(data: bytes, cuts: list[int]) -> None:
    cutter = EventCutter()
    fed, freed = b"", b""
    for chunk in chunked(data, cuts):
        freed += cutter.feed(chunk)
        fed += chunk
        # A CR that ends what is fed counts as a line end; a LF that follows it leaves as soon as it comes.
        _, event_end, blank_end = as_specified(fed)
        assert event_end <= len(freed) <= blank_end
        assert cutter.pending == len(fed) - len(freed)


@given(_streams, st.lists(st.integers(0, 400), max_size=12))
@settings(max_examples=200, deadline=None)
@example(b"event: a\rdata: 1\r\rdata: 2\r\r", [9, 17, 18])
def test_events_say_the_same_however_the_stream_is_cut(data: bytes, cuts: list[int]) -> None:
    freed, _ = cut_out(chunked(data, cuts))
    assert [said for block in freed for said in telling(block)] == as_specified(data)[0]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_a_stream_cut_at_every_byte_gives_the_same_events(end: bytes) -> None:
    data = STREAM.replace(b"\n", end)
    whole = telling(data)
    assert [name for name, _ in whole][:2] == [b"message_start", b"content_block_start"]
    for cut in range(1, len(data)):
        freed, rest = cut_out([data[:cut], data[cut:]])
        assert (b"".join(freed), rest) == (data, b"")
        assert [said for block in freed for said in telling(block)] == whole
    freed, rest = cut_out([data[i : i + 1] for i in range(len(data))])
    assert (b"".join(freed), rest) == (data, b"")
    assert sum(bool(block.strip(b"\n")) for block in freed) == len(whole)


def test_whole_events_go_on_without_being_copied() -> None:
    assert EventCutter().feed(STREAM) is STREAM


def test_a_single_crlf_ends_no_event() -> None:
    cutter = EventCutter()
    assert cutter.feed(b"data: a\r\n") == b""
    assert cutter.feed(b"data: b\r\n") == b""
    assert cutter.feed(b"\r\n") == b"data: a\r\ndata: b\r\n\r\n"


def test_a_line_feed_cut_off_its_carriage_return_follows_at_once() -> None:
    cutter = EventCutter()
    assert cutter.feed(b"data: a\r\n\r") == b"data: a\r\n\r"
    assert cutter.feed(b"\n") == b"\n"
    assert cutter.feed(b"data: b") == b""
    assert cutter.pending == 7


def test_an_empty_chunk_changes_nothing() -> None:
    cutter = EventCutter()
    assert cutter.feed(b"data: a\r\r") == b"data: a\r\r"
    assert cutter.feed(b"") == b""
    assert cutter.feed(b"\n") == b"\n"


def test_what_is_unfinished_is_held_and_left_over() -> None:
    cutter = EventCutter()
    assert cutter.feed(b"data: a\n\ndata: b\n") == b"data: a\n\n"
    assert cutter.pending == 8
    assert cutter.rest() == b"data: b\n"


def test_an_event_without_an_end_is_awaited_for_8_mib_and_not_for_ever() -> None:
    assert MAX_EVENT == 8 * 1024 * 1024
    cutter = EventCutter()
    assert cutter.feed(b"data: " + b"x" * (MAX_EVENT - 6)) == b""
    with pytest.raises(EventTooLong, match=str(MAX_EVENT)):
        cutter.feed(b"x")


def test_a_long_event_that_ends_in_time_goes_on_whole() -> None:
    cutter = EventCutter()
    parts = [b"data: " + b"x" * (MAX_EVENT - 6), b"\n\n"]
    assert [cutter.feed(part) for part in parts] == [b"", b"".join(parts)]


def test_the_limit_is_one_events_and_not_the_streams() -> None:
    cutter = EventCutter()
    chunk = b"\ndata: " + b"x" * (3 << 20) + b"\n"
    assert sum(len(cutter.feed(chunk)) for _ in range(6)) > MAX_EVENT


@given(_streams)
@settings(max_examples=200, deadline=None)
def test_the_bytes_of_the_events_are_the_block(data: bytes) -> None:
    assert b"".join(event.raw for event in events(data)) == data


@pytest.mark.parametrize(
    ("raw", "name", "data"),
    [
        (b"event: ping\ndata: {}\n\n", "ping", b"{}"),
        (b"event:ping\ndata:{}\n\n", "ping", b"{}"),
        (b"data:  two spaces\n\n", "", b" two spaces"),
        (b"data: a\ndata: b\n\n", "", b"a\nb"),
        (b"data: a\rdata\rdata: b\r\r", "", b"a\n\nb"),
        (b"event: first\nevent: last\ndata: 1\n\n", "last", b"1"),
        (b"data: a:b:c\n\n", "", b"a:b:c"),
        (b"dataset: no\nevents: no\n data: no\n\n", "", b""),
        (b": a comment\nid: 7\nretry: 10\ndata: 1\n\n", "", b"1"),
        (BOM + b"event: ping\ndata: 1\n\n", "ping", b"1"),
        ("event: é\ndata: ü\n\n".encode(), "é", "ü".encode()),
        (b"event: \xff\ndata: \xff\n\n", "\ufffd", b"\xff"),
        (b"event: unfinished\ndata: 1", "unfinished", b"1"),
    ],
)
def test_an_event_is_read_as_the_specification_says(raw: bytes, name: str, data: bytes) -> None:
    assert list(events(raw)) == [SSEEvent(name, data, raw)]


@pytest.mark.parametrize("raw", [b": ping\n\n", b"id: 7\n\n", b"retry: 10\r\n\r\n", b"\n"])
def test_comments_ids_and_retry_times_dispatch_nothing(raw: bytes) -> None:
    (event,) = events(raw)
    assert event.is_comment


@pytest.mark.parametrize("raw", [b"event: ping\n\n", b"data: 1\n\n"])
def test_a_name_or_data_is_no_comment(raw: bytes) -> None:
    (event,) = events(raw)
    assert not event.is_comment


def test_an_empty_block_has_no_events() -> None:
    assert list(events(b"")) == []


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
)
@settings(max_examples=100, deadline=None)
def test_what_is_rendered_is_one_event_that_says_it(data: object) -> None:
    raw = render("message_delta", data)
    assert EventCutter().feed(raw) == raw
    (event,) = events(raw)
    assert (event.name, json.loads(event.data)) == ("message_delta", data)


def test_rendered_data_is_written_as_anthropic_writes_it() -> None:
    assert (
        render("error", {"type": "error", "n": "é"}) == 'event: error\ndata: {"type": "error", "n": "é"}\n\n'.encode()
    )


def test_data_that_is_json_already_is_taken_as_it_is() -> None:
    assert render("ping", b'{"n":1e3}') == b'event: ping\ndata: {"n":1e3}\n\n'


@pytest.mark.parametrize("data", [b'{\n"a": [1,\n2]\n}', b'{"a": [1,2]}\n'])
def test_json_that_spans_lines_is_rendered_as_one_event(data: bytes) -> None:
    raw = render("ping", data)
    assert EventCutter().feed(raw) == raw
    (event,) = events(raw)
    assert (event.name, json.loads(event.data)) == ("ping", {"a": [1, 2]})

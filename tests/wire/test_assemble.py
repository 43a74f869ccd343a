"""The events of a stream put together into one message. Compared with the official SDK: test_assemble_sdk.py."""

import json
from typing import Any

import pytest

from claude_proxy.wire.assemble import Assembly, Unreadable
from claude_proxy.wire.sse import EventCutter
from tests.stand_in import block, error_body, message_end, message_start, sse, text_block, text_stream

TOOL = {"type": "tool_use", "id": "toolu_1", "name": "write", "input": {}}
STOP = sse("message_stop", {"type": "message_stop"})


def fed(*events: bytes) -> Assembly:
    assembly = Assembly()
    assembly.feed(b"".join(events))
    return assembly


def put_together(*events: bytes) -> Any:
    """The message that these events describe, decoded."""
    assembly = fed(*events)
    assert assembly.complete
    return json.loads(assembly.message())


def content(*blocks: list[bytes]) -> Any:
    """The content of a message of these blocks."""
    return put_together(message_start(), *(event for each in blocks for event in each), *message_end())["content"]


def delta(text: str, index: int = 0) -> bytes:
    """A delta whose JSON is spelt exactly so."""
    return b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":%s}\n\n' % (
        index,
        text.encode(),
    )


def input_deltas(*pieces: str) -> list[dict[str, str]]:
    return [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]


def changed(usage: Any = None, stops: Any = None, **beside: Any) -> bytes:
    return sse("message_delta", {"type": "message_delta", "delta": stops or {}, "usage": usage or {}, **beside})


# --- what is put together --------------------------------------------------------------------------------


def test_a_message_is_what_its_events_describe() -> None:
    events = [
        sse("message_start", {"type": "message_start", "message": {"id": "msg_1", "type": "message", "content": []}}),
        *block(
            0,
            {"type": "text", "text": ""},
            {"type": "text_delta", "text": "Grüße, "},
            {"type": "text_delta", "text": "🙂"},
        ),
        *block(1, TOOL, *input_deltas("", '{"path": "/tmp/ä', '", "deep": [1, {"a": nul', "l}]}")),
        *block(2, {"type": "redacted_thinking", "data": "EmwK"}),
        *message_end("tool_use", 7),
    ]
    assert (
        fed(*events).message()
        == (
            '{"id":"msg_1","type":"message","content":[{"type":"text","text":"Grüße, 🙂"},'
            '{"type":"tool_use","id":"toolu_1","name":"write","input":{"path": "/tmp/ä", "deep": [1, {"a": null}]}},'
            '{"type":"redacted_thinking","data":"EmwK"}],"stop_reason":"tool_use","stop_sequence":null,'
            '"usage":{"output_tokens":7}}'
        ).encode()
    )


def test_every_cut_of_a_stream_gives_the_same_message() -> None:
    stream = b"".join(
        [message_start(), *text_block("a\u2028é"), *block(1, TOOL, *input_deltas('{"n":', "1}")), *message_end()]
    )
    whole = fed(stream).message()
    for cut in range(len(stream)):
        assembly, cutter = Assembly(), EventCutter()
        for piece in (stream[:cut], stream[cut:]):
            assembly.feed(cutter.feed(piece))
        assert assembly.message() == whole


@pytest.mark.parametrize(
    "text",
    [
        '{"n": 123456789012345678901234567890, "f": 1e400, "z": -0.0, "e": 1E+2}',
        '{"\\u00e9" :"\\ud83d\\ude00 \\/ \\\\u00e9",\t"é":"\u2028"}',
        '{"half": "\\ud83d", "more": 1e400}',
        "[" * 200 + "]" * 200,
        "{}",
        " {} ",
    ],
    ids=["numbers", "escapes", "half a surrogate pair", "nesting", "empty", "white space"],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_the_input_of_a_tool_keeps_its_bytes(text: str, size: int) -> None:
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    message = fed(message_start(), *block(0, TOOL, *input_deltas(*pieces)), *message_end()).message()
    assert b'"input":' + text.strip().encode() + b"}]" in message


@pytest.mark.parametrize("pieces", [[], [""], ["", " ", ""]])
def test_a_tool_without_input_keeps_what_its_start_said(pieces: list[str]) -> None:
    assert content(block(0, TOOL, *input_deltas(*pieces))) == [TOOL]


def test_several_tools_at_once_have_each_its_own_input() -> None:
    starts = [{**TOOL, "id": f"toolu_{index}"} for index in range(3)]
    opened = [
        sse("content_block_start", {"type": "content_block_start", "index": i, "content_block": s})
        for i, s in reversed(list(enumerate(starts)))
    ]
    mixed = [delta(json.dumps(input_deltas(piece)[0]), index) for piece in ('{"n"', ": 1}") for index in (2, 0, 1)]
    message = put_together(message_start(), *opened, *mixed, *message_end())
    assert message["content"] == [{**start, "input": {"n": 1}} for start in starts]


def test_escapes_are_joined_as_they_are_written_even_across_deltas() -> None:
    pieces = [
        delta('{"type":"text_delta","text":"' + text + '"}') for text in (r"\u00e9\"", r"\ud83d", r"\ude00", r"\ud83d")
    ]
    message = fed(message_start(), *block(0, {"type": "text", "text": "> "})[:1], *pieces, *message_end()).message()
    assert rb'"text":"> \u00e9\"\ud83d\ude00\ud83d"' in message


def test_half_a_surrogate_pair_in_an_input_is_written_as_its_escape() -> None:
    half = delta(r'{"type":"input_json_delta","partial_json":"{\"half\": \"\ud83d\"}"}')
    message = fed(message_start(), block(0, TOOL)[0], half, *message_end()).message()
    assert rb'"input":{"half": "\ud83d"}' in message


@pytest.mark.parametrize("nothing", [{}, {"text": None}, {"text": ""}])
def test_a_delta_without_text_adds_none(nothing: dict[str, Any]) -> None:
    assert content(block(0, {"type": "text", "text": "x"}, {"type": "text_delta", **nothing})) == [
        {"type": "text", "text": "x"}
    ]


def test_thinking_is_signed_once_and_an_estimate_is_no_part_of_it() -> None:
    start = {"type": "thinking", "thinking": "", "signature": ""}
    thought: list[dict[str, Any]] = [
        {"type": "thinking_delta", "thinking": "Six times ", "estimated_tokens": 50},
        {"type": "thinking_delta", "thinking": "seven.", "estimated_tokens": None},
        {"type": "signature_delta", "signature": "EqoB"},
    ]
    assert content(block(0, start, *thought)) == [{**start, "thinking": "Six times seven.", "signature": "EqoB"}]
    unsigned = content(block(0, start, *thought[:2]))
    assert unsigned == [{**start, "thinking": "Six times seven."}]


@pytest.mark.parametrize("first", [{}, {"citations": None}, {"citations": []}, {"citations": [{"a": 1}]}])
def test_citations_follow_those_that_are_there(first: dict[str, Any]) -> None:
    start = {"type": "text", "text": "", **first}
    cited = [{"type": "citations_delta", "citation": {"cited_text": text, "n": 10**25}} for text in "xy"]
    before = first.get("citations") or []
    found = content(block(0, start, cited[0], {"type": "text_delta", "text": "it"}, cited[1]))
    assert found == [{**start, "text": "it", "citations": [*before, *(each["citation"] for each in cited)]}]


def test_a_compaction_arrives_in_one_delta() -> None:
    start = {"type": "compaction", "content": None}
    arrived = {"type": "compaction_delta", "content": "So far.", "encrypted_content": "xyz"}
    assert content(block(0, start, arrived)) == [
        {"type": "compaction", "content": "So far.", "encrypted_content": "xyz"}
    ]
    assert content(block(0, start, {"type": "compaction_delta", "content": None})) == [start]


def test_a_fallback_names_the_model_that_answered() -> None:
    block_of = {"type": "fallback", "from": {"model": "claude-a"}, "to": {"model": "claude-b"}}
    message = put_together(message_start("claude-a"), *block(0, block_of), *message_end())
    assert (message["model"], message["content"]) == ("claude-b", [block_of])
    assert (
        put_together(message_start("claude-a"), *block(0, {"type": "fallback"}), *message_end())["model"] == "claude-a"
    )


# --- what the message says of itself ---------------------------------------------------------------------


def test_later_counts_are_laid_over_earlier_ones_and_a_null_takes_nothing_back() -> None:
    usage = {
        "input_tokens": 10**25,
        "output_tokens": 1,
        "cache_read_input_tokens": 5,
        "speed": None,
        "service_tier": "standard",
    }
    start = sse("message_start", {"type": "message_start", "message": {"type": "message", "usage": usage}})
    first = {"output_tokens": 5, "input_tokens": 0, "cache_read_input_tokens": None, "server_tool_use": None}
    message = put_together(start, changed(first), changed({"output_tokens": 9, "iterations": [{"n": 1}]}), STOP)
    assert message["usage"] == {
        "input_tokens": 0,
        "output_tokens": 9,
        "cache_read_input_tokens": 5,
        "speed": None,
        "service_tier": "standard",
        "server_tool_use": None,
        "iterations": [{"n": 1}],
    }


def test_what_a_message_delta_carries_becomes_the_messages() -> None:
    stops = {"stop_reason": "refusal", "stop_details": {"type": "refusal"}, "container": {"id": "c"}}
    later = {"stop_reason": None, "stop_sequence": "END", "stop_details": None}
    message = put_together(
        message_start(),
        changed(stops=stops, context_management={"applied_edits": [10**25]}, input_transformations=None),
        changed(stops=later, context_management=None),
        STOP,
    )
    assert {**stops, "stop_sequence": "END"}.items() <= message.items()
    assert message["context_management"] == {"applied_edits": [10**25]}
    assert message["input_transformations"] is None
    assert (message["type"], message["content"]) == ("message", [])
    assert "delta" not in message


def test_without_a_message_delta_the_message_stays_as_it_began() -> None:
    message = put_together(message_start(), *text_block("hello"), STOP)
    assert message["content"] == [{"type": "text", "text": "hello"}]
    assert message["stop_reason"] is None
    assert message["usage"] == {"input_tokens": 10, "output_tokens": 1}


@pytest.mark.parametrize("usage", [{}, {"usage": None}])
def test_without_counts_there_are_none(usage: dict[str, Any]) -> None:
    start = sse("message_start", {"type": "message_start", "message": {"type": "message", **usage}})
    assert put_together(start, STOP) == {"type": "message", **usage, "content": []}
    assert put_together(start, changed({"output_tokens": 2}), STOP)["usage"] == {"output_tokens": 2}


# --- what is not known, or not there ---------------------------------------------------------------------


def test_what_is_not_known_is_left_out_or_kept_whole() -> None:
    strange = {"type": "a_block_of_tomorrow", "text": "kept", "n": 10**25}
    tomorrow = {"type": "text_delta_of_tomorrow", "text": "left out", "citation": {}}
    events = [
        b": a comment\n\n",
        sse("ping", {"type": "ping"}),
        message_start(),
        b"event: of_tomorrow\ndata: [no JSON\n\n",
        *block(0, {"type": "text", "text": ""}, tomorrow, {"type": "text_delta", "text": "known"}),
        *block(1, strange, tomorrow),
        delta("null", 1),
        *message_end(),
    ]
    assert put_together(*events)["content"] == [{"type": "text", "text": "known"}, strange]


@pytest.mark.parametrize("reason", ["max_tokens", "model_context_window_exceeded", "refusal", "stop_sequence"])
@pytest.mark.parametrize("pieces", [['{"path": "/tm'], ['{"path": "/tmp/x"', ","], ['{"a": "\\']])
def test_an_input_that_a_limit_cut_off_stays_empty(reason: str, pieces: list[str]) -> None:
    message = put_together(message_start(), *block(0, TOOL, *input_deltas(*pieces)), *message_end(reason))
    assert message["content"] == [TOOL]
    assert message["stop_reason"] == reason


@pytest.mark.parametrize("reason", ["tool_use", "end_turn", "pause_turn", "of_tomorrow"])
@pytest.mark.parametrize("text", ['{"path": "/tm', '{"n": 01}', "{} {}", '{"half": "\\ud83d", "n": NaN}', "[" * 5000])
def test_an_input_that_is_no_json_is_no_answer_of_a_whole_message(reason: str, text: str) -> None:
    assembly = fed(message_start(), *block(0, TOOL, *input_deltas(text)), *message_end(reason))
    with pytest.raises(Unreadable, match="an input for a tool that is no JSON"):
        assembly.message()


def test_events_are_known_by_their_data_where_they_have_no_name() -> None:
    nameless = [event.partition(b"\n")[2] for event in text_stream("hello")]
    assert put_together(*nameless)["content"] == [{"type": "text", "text": "hello"}]


# --- errors, ends and faults -----------------------------------------------------------------------------


@pytest.mark.parametrize("before", [[], [message_start(), *text_block("half")[:2]]], ids=["first", "later"])
@pytest.mark.parametrize("name", [b"event: error\n", b""], ids=["named", "nameless"])
def test_an_error_event_ends_it(before: list[bytes], name: bytes) -> None:
    data = error_body("overloaded_error", "no")
    assembly = fed(*before, name + b"data: " + data + b"\n\n", *text_stream())
    assert (assembly.error, assembly.complete, assembly.started) == (data, False, bool(before))


def test_what_follows_the_end_is_not_looked_at() -> None:
    assembly = fed(*text_stream("hello"), sse("error", {}), message_start())
    assembly.feed(b"data: [DONE]\n\n")
    assert (assembly.complete, assembly.error) == (True, None)


STARTED = [message_start(), *text_block("x")]


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([b"event: message_start\ndata: {broken\n\n"], "a message_start event that is no JSON"),
        ([b"event: message_start\n\n"], "a message_start event that is no JSON object"),
        ([b"event: message_start\ndata: []\n\n"], "a message_start event that is no JSON object"),
        ([b"data: <html>\n\n"], "a nameless event that is no JSON object"),
        ([sse("message_start", {"message": None})], "a message_start without a message"),
        ([sse("message_start", {"message": {"type": "completion"}})], "a message_start without a message"),
        ([message_start(), message_start()], "a second message_start"),
        ([STOP], "a message_stop before message_start"),
        ([changed()], "a message_delta before message_start"),
        (text_block("x"), "a block before message_start"),
        ([*STARTED, *text_block("y")], "with no place for it"),
        ([*STARTED, sse("content_block_start", {"index": 1})], "a content_block_start without a block"),
        ([*STARTED, sse("content_block_start", {"content_block": {}})], "with no place for it"),
        ([*STARTED, sse("content_block_start", {"index": True, "content_block": {}})], "with no place for it"),
        ([*STARTED, delta("{}", 1)], "for no block that has begun"),
        ([*STARTED, sse("content_block_delta", {"index": [0], "delta": {}})], "for no block that has begun"),
        ([*STARTED, delta('{"type":"text_delta","text":1}')], "a text that is no JSON string"),
        ([*STARTED, delta(r'{"type":"text_delta","text":"\q"}')], "a content_block_delta event that is no JSON"),
        ([*STARTED, delta("[" * 5000)], "a content_block_delta event that is no JSON"),
        ([*STARTED, delta(r'{"type":"text_delta","text":"\ud83d","n":1e999}')], "that is no JSON"),
    ],
)
def test_events_that_describe_no_message_are_named(events: list[bytes], words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        fed(*events)


@pytest.mark.parametrize("start", [{"type": "text", "text": ""}, TOOL])
def test_a_text_that_is_not_utf_8_makes_no_message(start: dict[str, Any]) -> None:
    kind, field = ("text_delta", "text") if start is not TOOL else ("input_json_delta", "partial_json")
    torn = delta(f'{{"type":"{kind}","{field}":"?"}}').replace(b"?", b"\xff")
    assembly = fed(message_start(), *block(0, start)[:1], torn, *message_end())
    with pytest.raises(Unreadable, match="a text that is not valid UTF-8"):
        assembly.message()


@pytest.mark.parametrize(
    "event",
    [
        delta(json.dumps({"type": "text_delta", "text": "x" * 1000})),
        delta(json.dumps({"type": "citations_delta", "citation": {"cited_text": "x"}})),
        delta(json.dumps({"type": "signature_delta", "signature": "x" * 1000})),
        changed(stops={"x" * 1000: 1}),
        changed(stops={"stop_sequence": "x" * 1000}),
    ],
    ids=["text", "citations", "signature", "names", "values"],
)
def test_what_is_held_is_counted(event: bytes) -> None:
    assembly = fed(message_start(), *text_block("x")[:1])
    before = assembly.size
    for _ in range(100):
        assembly.feed(event)
    assert assembly.size - before > 50_000


def test_many_small_blocks_count_for_what_they_take() -> None:
    assembly = fed(message_start())
    for index in range(100):
        assembly.feed(block(index, {})[0])
    assert assembly.size > 100 * 512


def test_what_is_not_held_is_not_counted() -> None:
    assembly = fed(message_start(), *text_block("x"))
    before = assembly.size
    for _ in range(100):
        assembly.feed(sse("ping", {"type": "ping"}) + delta('{"type":"of_tomorrow","text":"xxxxxxxx"}'))
    assert assembly.size == before

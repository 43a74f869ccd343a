"""Messages of every kind of content, and the streams that describe them, as hypothesis draws them."""

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

_texts = st.text(max_size=12) | st.sampled_from(["", '"', "\\", "\\u00e9", "🙂é", "\u2028\x7f", "{}", "data: x\n\n"])
_numbers = (
    st.integers()
    | st.integers(10**25, 10**30)
    | st.integers(-(10**30), -(10**25))
    | st.floats(allow_nan=False, allow_infinity=False)
)
_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | _numbers | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=8,
)
_objects = st.dictionaries(_texts, _values, max_size=4)
_HUGE = 10**20


@dataclass(frozen=True)
class Described:
    """A block as its start gives it, and the deltas that follow."""

    start: dict[str, Any]
    deltas: list[dict[str, Any]]


@st.composite
def _spelt(draw: st.DrawFn, value: Any) -> str:
    spaced = draw(st.booleans())
    return json.dumps(value, ensure_ascii=draw(st.booleans()), separators=None if spaced else (",", ":"))


@st.composite
def _pieces(draw: st.DrawFn, text: str) -> list[str]:
    """The text cut anywhere, pieces of no length among them."""
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@st.composite
def _text(draw: st.DrawFn) -> Described:
    start: dict[str, Any] = {"type": "text", "text": draw(st.sampled_from(["", "It began: "]))}
    if draw(st.booleans()):
        start["citations"] = draw(st.sampled_from([None, []]))
    deltas: list[dict[str, Any]] = [{"type": "text_delta", "text": p} for p in draw(_pieces(draw(_texts)))]
    for cited in draw(st.lists(_texts, max_size=3)):
        citation = {"type": "char_location", "cited_text": cited, "document_index": 0, "document_title": None}
        place = draw(st.integers(0, len(deltas)))
        deltas.insert(place, {"type": "citations_delta", "citation": {**citation, "start_char_index": 3}})
    return Described(start, deltas)


@st.composite
def _thinking(draw: st.DrawFn) -> Described:
    deltas: list[dict[str, Any]] = [
        {"type": "thinking_delta", "thinking": piece, "estimated_tokens": draw(st.none() | st.just(50))}
        for piece in draw(_pieces(draw(_texts)))
    ]
    deltas.append({"type": "signature_delta", "signature": draw(_texts)})
    return Described({"type": "thinking", "thinking": "", "signature": ""}, deltas)


@st.composite
def _tool(draw: st.DrawFn) -> Described:
    kind = draw(st.sampled_from(["tool_use", "server_tool_use", "mcp_tool_use"]))
    start = {"type": kind, "id": f"toolu_{draw(st.integers(0, 99))}", "name": draw(_texts), "input": {}}
    if kind == "mcp_tool_use":
        start["server_name"] = "server"
    given = draw(_objects)
    if draw(st.booleans()):
        # Without an input nothing but an empty piece comes, or nothing at all.
        return Described(start, [{"type": "input_json_delta", "partial_json": ""}] * draw(st.integers(0, 2)))
    pieces = draw(_pieces(draw(_spelt(given))))
    return Described(start, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces])


@st.composite
def _compaction(draw: st.DrawFn) -> Described:
    delta = {
        "type": "compaction_delta",
        "content": draw(st.none() | _texts),
        "encrypted_content": draw(st.none() | _texts),
    }
    return Described({"type": "compaction", "content": None}, [delta] if draw(st.booleans()) else [])


def _whole(**members: Any) -> Described:
    return Described(members, [])


def _result(kind: str, content: Any) -> Described:
    return _whole(type=kind, tool_use_id="srvtoolu_1", content=content)


_WHOLE = [
    _whole(type="redacted_thinking", data="EmwKAhgBEgwFAKE"),
    _whole(type="container_upload", file_id="file_1"),
    _result("web_search_tool_result", [{"type": "web_search_result", "url": "https://a.example", "page_age": None}]),
    _result("web_search_tool_result", {"type": "web_search_tool_result_error", "error_code": "unavailable"}),
    _result("web_fetch_tool_result", {"type": "web_fetch_result", "url": "https://a.example", "content": {}}),
    _result("bash_code_execution_tool_result", {"type": "bash_code_execution_result", "stdout": "é", "content": []}),
    _result("tool_search_tool_result", {"type": "tool_search_tool_search_result", "tool_references": []}),
    _result("mcp_tool_result", [{"type": "text", "text": "found", "citations": None}]),
    _result("advisor_tool_result", {"type": "advisor_result", "text": "Do."}),
    _whole(type="fallback", **{"from": {"model": "claude-a"}, "to": {"model": "claude-b"}}),
    _whole(type="a_block_of_tomorrow", size=12345678901234567890, inner={"deep": [1.5, None]}),
]

_blocks = st.one_of(_text(), _thinking(), _tool(), _compaction(), st.sampled_from(_WHOLE))
_MEANS_NOTHING = [
    "",
    ": nothing\n\n",
    'event: ping\ndata: {"type": "ping"}\n\n',
    'event: new\ndata: {"type": "new"}\n\n',
]
_UNKNOWN_DELTA = {"type": "a_delta_of_tomorrow", "text": "of which nothing is known"}


def _iterations(most: int) -> st.SearchStrategy[Any]:
    entry = {
        "type": st.sampled_from(["message", "compaction", "advisor_message", "fallback_message", "of_tomorrow"]),
        "input_tokens": st.integers(0, most),
        "output_tokens": st.integers(0, most),
        "cache_read_input_tokens": st.just(0),
        "cache_creation_input_tokens": st.integers(0, most),
        "model": st.sampled_from([None, "claude-opus-5-5"]),
    }
    by_ttl = {"cache_creation": st.just({"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2})}
    return st.lists(st.fixed_dictionaries(entry, optional=by_ttl), max_size=3)


@st.composite
def _started(draw: st.DrawFn, most: int) -> dict[str, Any]:
    """The message of `message_start`."""
    sizes = st.integers(0, most)
    message: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5-5",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": draw(sizes),
            "output_tokens": 1,
            "cache_read_input_tokens": draw(st.none() | sizes),
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": draw(sizes)},
            "service_tier": draw(st.sampled_from(["standard", "priority", "batch", None])),
            "speed": draw(st.sampled_from(["standard", "fast", None])),
            "inference_geo": draw(st.sampled_from(["us", "global", "not_available", None])),
            "a_count_of_tomorrow": draw(_values),
        },
    }
    return {**message, **draw(st.fixed_dictionaries({}, optional={"a_field_of_tomorrow": _values}))}


@st.composite
def _changes(draw: st.DrawFn, most: int) -> list[dict[str, Any]]:
    """What follows the blocks: one or more `message_delta`, of which each says all that is known by then."""
    sizes = st.integers(0, most)
    optional = {
        "stop_details": st.just({"type": "refusal", "category": "cyber", "explanation": "no"}),
        "container": st.just({"id": "container_1", "expires_at": "2026-12-01T00:00:00Z"}),
    }
    delta = {
        "stop_reason": draw(st.sampled_from(["end_turn", "tool_use", "stop_sequence", "compaction"])),
        "stop_sequence": draw(st.none() | _texts),
        **draw(st.fixed_dictionaries({}, optional=optional)),
    }
    beside = {
        "context_management": st.just({"applied_edits": [{"type": "clear_thinking_20251015", "cleared_turns": 2}]}),
        "input_transformations": st.just([{"type": "thinking_dropped", "message_index": 1}]),
    }
    usage = {
        "input_tokens": st.none() | sizes,
        "cache_read_input_tokens": st.none() | sizes,
        "cache_creation_input_tokens": st.none() | sizes,
        "server_tool_use": st.none()
        | st.fixed_dictionaries({"web_search_requests": sizes, "web_fetch_requests": sizes}),
        "output_tokens_details": st.none() | st.fixed_dictionaries({"thinking_tokens": sizes}),
        "iterations": st.none() | _iterations(most),
    }
    return [
        {
            "type": "message_delta",
            "delta": delta,
            "usage": {"output_tokens": draw(sizes), **draw(st.fixed_dictionaries({}, optional=usage))},
            **draw(st.fixed_dictionaries({}, optional=beside)),
        }
        for _ in range(draw(st.integers(1, 2)))
    ]


@st.composite
def streams_of_messages(draw: st.DrawFn, most: int = _HUGE) -> bytes:
    """The bytes of a whole stream, spelt in any way that means the same; `most` is its largest count of tokens."""
    sent: list[dict[str, Any]] = [{"type": "message_start", "message": draw(_started(most))}]
    for index, block in enumerate(draw(st.lists(_blocks, max_size=5))):
        sent.append({"type": "content_block_start", "index": index, "content_block": block.start})
        deltas = [*block.deltas, *([_UNKNOWN_DELTA] if draw(st.booleans()) else [])]
        sent.extend({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas)
        sent.append({"type": "content_block_stop", "index": index})
    sent.extend(draw(_changes(most)))
    sent.append({"type": "message_stop"})
    line_end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    texts = [draw(st.sampled_from(_MEANS_NOTHING[:3]))]  # the SDK wants message_start before an unknown event
    for event in sent:
        texts.append(f"event: {event['type']}\ndata: {draw(_spelt(event))}\n\n")
        texts.append(draw(st.sampled_from(_MEANS_NOTHING)))
    return "".join(texts).replace("\n", line_end).encode()

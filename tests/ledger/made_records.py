"""Records as the recorder makes them, and any that Hypothesis may think of."""

import json
from typing import Any

from hypothesis import strategies as st

from claude_proxy.ledger.record import AttemptRecord, Bodies, ExchangeRecord, Kept
from claude_proxy.ledger.store import Change
from claude_proxy.wire.usage import Iteration, Usage

NOON = 1_800_000_000.0 - 1_800_000_000 % 900
"""Unix time; a bucket begins with it."""


def record(number: int = 1, **fields: Any) -> ExchangeRecord:
    """The record of an exchange that was answered whole; one a second."""
    values: dict[str, Any] = {
        "id": f"req_cp_{number:024x}",
        "accepted": NOON + number,
        "method": "POST",
        "endpoint": "/v1/messages",
        "query": "beta=true",
        "asked_model": "claude-opus-4-8",
        "model": "claude-opus-4-8",
        "stream": True,
        "session": "5e551011-0000-4000-8000-000000000001",
        "conversation": "5e551011-0000-4000-8000-000000000001",
        "message_count": 3,
        "first_message": "say hi",
        "project": "/home/someone/work",
        "organization": "org-1",
        "user_agent": "claude-cli/2.1.197 (external, cli)",
        "content_type": "application/json",
        "upstream_request_id": "req_011",
        "route": "everything",
        "upstream": "claude",
        "credential": "client",
        "status": 200,
        "end": "complete",
        "first_byte_ms": 250,
        "total_ms": 1500,
        "attempts": (AttemptRecord("claude", "claude-opus-4-8", "client", 1, 1500, 200),),
        "usage": Usage(10, 20, 300, 4000, 100, 200, service_tier="standard"),
        "stop_reason": "end_turn",
        "list_value": 5_000_000,
        "billed": 0,
        "covered": 5_000_000,
        "price_source": "a price list",
        "price_dated": "2026-11-20",
        "rate_limit": {"unified-status": "allowed"},
        "request_bytes": 85_000,
        "answer_bytes": 1200,
        **fields,
    }
    return ExchangeRecord(**values)


def begun(number: int = 1, **fields: Any) -> ExchangeRecord:
    """The same, as far as it is known when it begins."""
    unknown: dict[str, Any] = {
        "upstream_request_id": None,
        "organization": None,
        "upstream": "",
        "credential": "",
        "status": None,
        "end": None,
        "first_byte_ms": None,
        "total_ms": None,
        "attempts": (),
        "usage": Usage(),
        "stop_reason": None,
        "list_value": None,
        "billed": None,
        "covered": None,
        "price_source": None,
        "price_dated": None,
        "rate_limit": {},
        "answer_bytes": None,
    }
    return record(number, **{**unknown, **fields})


def with_bodies(number: int, request: bytes, answer: bytes = b"an answer", **fields: Any) -> Change:
    """A record with both bodies."""
    headers = (("Content-Type", "application/json"),)
    return Change(record(number, kept=Kept.WHOLE, **fields), Bodies(headers, request, headers, answer))


def conversation(turns: int, text: str = "something that was said, at some length, for it to be a block ") -> bytes:
    """The body of a conversation's request, with that many messages."""
    messages = [
        {"role": ("user", "assistant")[turn % 2], "content": [{"type": "text", "text": f"{turn}: {text}"}]}
        for turn in range(turns)
    ]
    system = [{"type": "text", "text": "a system prompt of some length, " * 150}]
    return json.dumps({"model": "claude-opus-4-8", "system": system, "messages": messages, "stream": True}).encode()


_words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
_texts = _words | st.just("")
_maybe = st.none() | _words
_counts = st.none() | st.integers(0, 10**9)
_money = st.none() | st.integers(0, 10**15)
_milliseconds = st.integers(0, 10**8)
_plain_usages = st.builds(
    Usage, *([_counts] * 10), service_tier=_maybe, speed=_maybe, inference_geo=_maybe, iterations=st.none()
)
usages = st.builds(
    Usage,
    *([_counts] * 10),
    service_tier=_maybe,
    speed=_maybe,
    inference_geo=_maybe,
    iterations=st.none() | st.lists(st.builds(Iteration, _words, _maybe, _plain_usages), max_size=2).map(tuple),
)
attempts = st.builds(
    AttemptRecord,
    upstream=_texts,
    model=_texts,
    credential=_texts,
    started_ms=_milliseconds,
    ended_ms=st.none() | _milliseconds,
    status=st.none() | st.integers(100, 599),
    failure=_maybe,
    cause=_maybe,
    usage=st.none() | _plain_usages,
)
records = st.builds(
    ExchangeRecord,
    id=st.uuids().map(lambda one: f"req_cp_{one.hex}"),
    accepted=st.floats(1.6e9, 2e9),
    method=st.sampled_from(["POST", "GET"]),
    endpoint=_texts,
    query=_texts,
    asked_model=_texts,
    model=_texts,
    stream=st.booleans(),
    background=_maybe,
    session=_maybe,
    conversation=_words,
    agent=_maybe,
    parent_agent=_maybe,
    message_count=st.none() | st.integers(0, 9),
    first_message=_maybe,
    project=_maybe,
    organization=_maybe,
    user_agent=_maybe,
    content_type=_maybe,
    upstream_request_id=_maybe,
    route=_texts,
    upstream=_texts,
    credential=_texts,
    status=st.none() | st.integers(100, 599),
    end=st.none() | st.sampled_from(["complete", "failed", "broken", "client_gone"]),
    failure=_maybe,
    cause=_maybe,
    first_byte_ms=st.none() | _milliseconds,
    total_ms=st.none() | _milliseconds,
    attempts=st.lists(attempts, max_size=2).map(tuple),
    usage=usages,
    stop_reason=_maybe,
    list_value=_money,
    billed=_money,
    covered=_money,
    unpriced_tokens=st.integers(0, 10**9),
    price_source=_maybe,
    price_dated=_maybe,
    rate_limit=st.dictionaries(_words, _words, max_size=2),
    request_bytes=st.integers(0, 10**8),
    answer_bytes=st.none() | st.integers(0, 10**8),
    kept=st.just(Kept.NONE),
)

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=100),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=20,
)
_blocks = st.dictionaries(
    st.sampled_from(["type", "text", "cache_control", "input", "id", '"cache_control"', "x"]), _json, max_size=4
)
_contents = st.text(max_size=100) | st.lists(_blocks | _json, max_size=4) | _json
_messages = st.lists(
    st.fixed_dictionaries({}, optional={"role": st.text(max_size=9), "content": _contents, "more": _json}) | _json,
    max_size=4,
)
_requests = st.fixed_dictionaries(
    {},
    optional={
        "model": st.text(max_size=9),
        "system": st.text(max_size=200) | st.lists(_blocks, max_size=3) | _json,
        "messages": _messages | _json,
        "tools": st.lists(_blocks, max_size=3) | _json,
        "stream": st.booleans(),
        "x": _json,
    },
)


def _written(value: object, style: tuple[bool, tuple[str, str], int | None]) -> bytes:
    ascii_only, separators, indent = style
    text = json.dumps(value, ensure_ascii=ascii_only, separators=separators, indent=indent)
    return text.encode("utf-8", "surrogatepass")


_styles = st.tuples(
    st.booleans(), st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " :\t")]), st.none() | st.integers(0, 3)
)
bodies = st.builds(_written, _requests | _json, _styles) | st.binary(max_size=200)
"""Any body: requests of the Messages API in every spelling, other JSON, and no JSON at all."""

"""Another provider's compatible API: what it is told, and what its answers become."""

import json
from itertools import chain, groupby
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_proxy.dialects.compatible import CompatibleDialect, CompatibleTraits
from claude_proxy.wire.sse import EventCutter, events
from tests.dialects.asked import ATTRIBUTION, HAIKU, asked, asked_in
from tests.stand_in import block, message_json, message_start, text_block

PLAIN = CompatibleDialect("kimi", CompatibleTraits(context_window=1000))
CACHING = CompatibleDialect("kimi", CompatibleTraits(cache_control=True, keeps_thinking=True))

# As they were spelt by the sender: no reader and writer would give them back.
ODD = [
    b"1.10",
    b"1e999",
    b"-0",
    b"9" * 5000,
    b'"caf\\u00e9 \\/ \xc3\xa9"',
    b'{"z":1,"a":[{"b":1e-7}]}',
    b"[" * 500 + b"]" * 500,
]


def sent(dialect: CompatibleDialect = PLAIN, model: str | None = None, **members: Any) -> Any:
    """The body that goes up for a request with these members."""
    return json.loads(dialect.request(asked(**members), model))


def turns(*messages: dict[str, Any], dialect: CompatibleDialect = PLAIN) -> Any:
    return sent(dialect, messages=list(messages))["messages"]


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content[0] if len(content) == 1 else list(content)}


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


RESULT = {"type": "tool_result", "tool_use_id": "t", "content": "ok"}


# --- the request -------------------------------------------------------------------------------------------


def test_what_it_knows_goes_up_and_what_it_does_not_know_stays_here() -> None:
    known: dict[str, Any] = {
        "max_tokens": 5,
        "stop_sequences": ["x"],
        "stream": True,
        "system": "Be brief.",
        "temperature": 0.5,
        "thinking": {"type": "adaptive"},
        "tool_choice": {"type": "auto"},
        "tools": [{"name": "Read", "input_schema": {"type": "object"}}],
        "top_k": 3,
        "top_p": 0.25,
    }
    unknown: dict[str, Any] = {
        "context_management": {"edits": []},
        "output_config": {"effort": "high"},
        "cache_control": {"type": "ephemeral"},
        "service_tier": "auto",
        "of_tomorrow": 1,
    }
    assert sent(**known, **unknown) == {"model": HAIKU, "messages": [user("hi")], **known}


@pytest.mark.parametrize(("model", "named"), [("kimi-k3", "kimi-k3"), (None, HAIKU)])
def test_the_model_is_the_targets_or_else_the_clients(model: str | None, named: str) -> None:
    assert sent(model=model)["model"] == named


def test_a_temperature_of_zero_stays_where_nothing_else_is_known() -> None:
    assert sent(temperature=0)["temperature"] == 0


@pytest.mark.parametrize("space", [b"", b" ", b"\r\n\t"])
def test_space_before_the_body_loses_nothing(space: bytes) -> None:
    request = asked_in(space + b'{"model": "m", "max_tokens": 1, "messages": []}')
    assert json.loads(PLAIN.request(request, None)) == {"model": "m", "max_tokens": 1, "messages": []}


@pytest.mark.parametrize("odd", ODD)
def test_tool_inputs_and_schemas_keep_every_byte(odd: bytes) -> None:
    call = b'{"type":"tool_use","id":"t","name":"Read","input":%s}' % odd
    tool = b'{"name":"Read","input_schema":%s,"cache_control":{"type":"ephemeral"}}' % odd
    request = asked_in(b'{"model":"m","tools":[%s],"messages":[{"role":"assistant","content":[%s]}]}' % (tool, call))
    for dialect in (PLAIN, CACHING):
        body = dialect.request(request, None)
        assert call in body
        assert b'"input_schema":' + odd in body


@pytest.mark.parametrize(
    ("metadata", "left"),
    [
        ({"user_id": "FAKE"}, None),
        ({"user_id": "FAKE", "label": "x"}, {"label": "x"}),
        ({"label": "x"}, {"label": "x"}),
        ({}, None),
    ],
)
def test_the_user_is_not_named(metadata: dict[str, Any], left: dict[str, Any] | None) -> None:
    assert sent(metadata=metadata).get("metadata") == left
    assert ("metadata" in sent(metadata=metadata)) is (left is not None)


@pytest.mark.parametrize(
    ("system", "left"),
    [
        ("Be brief.", "Be brief."),
        ([text("Be brief.")], [text("Be brief.")]),
        ([text(ATTRIBUTION), text("Be brief.")], [text("Be brief.")]),
        ([text("Be brief."), text(ATTRIBUTION)], [text("Be brief.")]),
        ([text(ATTRIBUTION)], None),
        (ATTRIBUTION, None),
        (ATTRIBUTION + "\nBe brief.", "Be brief."),
        ([text("It sends x-anthropic-billing-header: too.")], [text("It sends x-anthropic-billing-header: too.")]),
        ([], None),
        ([7, {"type": "text"}], [7, {"type": "text"}]),
    ],
)
def test_the_system_prompt_loses_the_attribution_and_nothing_else(system: Any, left: Any) -> None:
    body = sent(system=system)
    assert body.get("system") == left
    assert ("system" in body) is (left is not None)


@pytest.mark.parametrize(
    ("dialect", "left"), [(PLAIN, {}), (CACHING, {"cache_control": {"type": "ephemeral"}})], ids=["unknown", "known"]
)
def test_cache_control_is_cut_down_to_what_it_accepts_wherever_it_stands(
    dialect: CompatibleDialect, left: dict[str, Any]
) -> None:
    mark = {"cache_control": {"type": "ephemeral", "ttl": "1h", "scope": "global"}}

    def members(mark: dict[str, Any]) -> dict[str, Any]:
        result = {"type": "tool_result", "tool_use_id": "t", "content": [text("b", **mark)], **mark}
        image = {"type": "image", "source": {"type": "url", "url": "u"}, **mark}
        return {
            "system": [text("s", **mark), text("plain")],
            "tools": [{"name": "Read", **mark}, {"name": "Write"}],
            "messages": [user(text("a", **mark), image, result)],
        }

    assert sent(dialect, **members(mark)) == {"model": HAIKU, "max_tokens": 10, **members(left)}


@pytest.mark.parametrize(("control", "left"), [({}, {"type": "ephemeral"}), ("ephemeral", None), (None, None)])
def test_a_cache_control_of_another_shape_is_mended_or_dropped(control: Any, left: Any) -> None:
    (message,) = turns(user(text("a", cache_control=control), text("b")), dialect=CACHING)
    assert message["content"][0].get("cache_control") == left


def test_a_system_entry_is_said_by_the_user_where_it_stands() -> None:
    said = turns(
        user("one"),
        {"role": "system", "content": "It is noon."},
        {"role": "assistant", "content": [text("two")]},
        {"role": "system", "content": [text("It is late.")]},
        user(text("three"), text("four")),
    )
    assert said == [
        user(text("one"), text("It is noon.")),
        {"role": "assistant", "content": [text("two")]},
        user(text("It is late."), text("three"), text("four")),
    ]


def test_an_empty_turn_leaves_no_empty_text_when_two_become_one() -> None:
    (message,) = turns(user(""), user("two"))
    assert message["content"] == [text("two")]
    (message,) = turns(user([7]), user([RESULT]))
    assert message["content"] == [RESULT, 7]


_blocks = st.lists(
    st.integers().map(lambda n: text(str(n))) | st.integers().map(lambda n: {**RESULT, "n": n}), min_size=1
)


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant", "system"]), _blocks), max_size=8))
@settings(max_examples=100, deadline=None)
def test_turns_alternate_and_keep_all_blocks_in_order_results_first(said: list[tuple[str, list[Any]]]) -> None:
    together = turns(*({"role": role, "content": content} for role, content in said))
    folded = [("assistant" if role == "assistant" else "user", content) for role, content in said]
    groups = [(role, [content for _, content in run]) for role, run in groupby(folded, key=lambda turn: turn[0])]
    assert [turn["role"] for turn in together] == [role for role, _ in groups]
    for turn, (_, contents) in zip(together, groups, strict=True):
        blocks = list(chain(*contents))
        results = [block for block in blocks if block["type"] == "tool_result"]
        texts = [block for block in blocks if block["type"] == "text"]
        assert turn["content"] == (blocks if len(contents) == 1 else results + texts)


def test_thinking_goes_back_to_the_one_who_signed_it_and_to_nobody_else() -> None:
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "c2lnbmVk"}
    redacted = {"type": "redacted_thinking", "data": "c2lnbmVk"}
    answer = json.dumps({"type": "message", "model": "k", "content": [thinking, redacted, text("a")]}).encode()
    stored = {"role": "assistant", "content": json.loads(CACHING.answer(answer, asked()))["content"]}
    assert turns(stored, dialect=CACHING) == [{"role": "assistant", "content": [thinking, redacted, text("a")]}]
    another = CompatibleDialect("z-ai", CompatibleTraits(keeps_thinking=True))
    for stranger in (PLAIN, another):
        assert turns(stored, dialect=stranger) == [{"role": "assistant", "content": [text("a")]}]


def test_anthropics_own_thinking_stays_here() -> None:
    own = [{"type": "thinking", "thinking": "Hm.", "signature": "EqoB"}, {"type": "redacted_thinking", "data": "EmwK"}]
    said = turns(user("one"), {"role": "assistant", "content": own}, user("two"), dialect=CACHING)
    assert said == [user(text("one"), text("two"))]


def test_the_accounts_address_is_not_told() -> None:
    reminder = "<r>\n# claudeMd\nBe brief.\n# userEmail\nThe user's email is FAKE@x.\n# currentDate\nToday.\n</r>"
    left = "<r>\n# claudeMd\nBe brief.\n# currentDate\nToday.\n</r>"
    assert turns(user(reminder)) == [user(left)]
    assert turns(user(text(reminder), text("hi"))) == [user(text(left), text("hi"))]
    at_the_end = "<r>\n# userEmail\nFAKE@x\n</r>\nhi"
    assert turns(user(at_the_end)) == [user("<r>\n</r>\nhi")]


@pytest.mark.parametrize("messages", [None, "hi", [7, "hi"], [user({"a": 1})], [{"role": "user", "content": [7]}]])
def test_messages_of_another_shape_are_the_providers_to_refuse(messages: Any) -> None:
    assert sent(messages=messages)["messages"] == messages


# --- the answer --------------------------------------------------------------------------------------------


def test_an_answer_changes_in_its_model_alone() -> None:
    body = message_json("héllo", "kimi-k3")
    assert json.loads(PLAIN.answer(body, asked())) == {**json.loads(body), "model": HAIKU}


@pytest.mark.parametrize("odd", [*ODD, b'"\xff is no UTF-8"'])
def test_odd_values_of_an_answer_keep_every_byte(odd: bytes) -> None:
    body = b'{"type":"message","model":"k","content":[{"type":"tool_use","input":%s}],"odd":%s}' % (odd, odd)
    assert PLAIN.answer(body, asked()) == body.replace(b'"k"', b'"%s"' % HAIKU.encode())


def test_an_answer_that_names_no_model_is_given_none() -> None:
    assert json.loads(PLAIN.answer(b'{"type": "message"}', asked())) == {"type": "message"}
    assert PLAIN.answer(b"[]", asked()) == b"[]"


def streamed(*chunks: bytes) -> bytes:
    translator = PLAIN.stream(asked())
    assert translator is not None
    return b"".join(translator.feed(chunk) for chunk in chunks)


def test_a_stream_changes_in_its_model_alone() -> None:
    start, rest = message_start("kimi-k3"), [*text_block("héllo"), b": comment\n\n", b"id: 7\nretry: 10\n\n"]
    said = streamed(b"".join([start, *rest]))
    assert said.endswith(b"".join(rest))
    first, before = (json.loads(next(events(part)).data) for part in (said, start))
    before["message"]["model"] = HAIKU
    assert first == before


def test_thinking_in_a_stream_is_marked_like_that_of_a_whole_answer() -> None:
    whole = {"type": "thinking", "thinking": "Hm.", "signature": "c2lnbmVk"}
    body = json.dumps({"content": [whole]}).encode()
    (stored,) = json.loads(PLAIN.answer(body, asked()))["content"]
    deltas = {"type": "thinking_delta", "thinking": "Hm."}, {"type": "signature_delta", "signature": "c2lnbmVk"}
    start, middle, end, stop = block(0, {**whole, "thinking": ""}, *deltas)
    assert json.loads(next(events(streamed(start))).data)["content_block"] == {**stored, "thinking": ""}
    assert streamed(middle, stop) == middle + stop
    assert json.loads(next(events(streamed(end))).data)["delta"]["signature"] == stored["signature"]


def test_unsigned_thinking_in_a_stream_is_marked_as_it_begins() -> None:
    start, *_ = block(0, {"type": "thinking", "thinking": ""})
    marked = json.loads(next(events(streamed(start))).data)["content_block"]
    assert marked.pop("signature").endswith("kimi:")
    assert marked == {"type": "thinking", "thinking": ""}


@pytest.mark.parametrize("kind", ["ping", "content_block_delta", "message_stop"])
def test_an_event_without_a_name_is_given_its_own(kind: str) -> None:
    (event,) = events(streamed(b'data: {"type":"%s","n":1.10}\n\n' % kind.encode()))
    assert event.name == kind
    assert event.data == b'{"type":"%s","n":1.10}' % kind.encode()


def test_an_event_over_several_lines_stays_one_event() -> None:
    raw = streamed(
        b'data: {"type": "message_start", "message": {\ndata:  "model": "k", "usage": {\ndata: "n": 1}}}\n\n'
    )
    (event,) = events(EventCutter().feed(raw))
    assert json.loads(event.data) == {"type": "message_start", "message": {"model": HAIKU, "usage": {"n": 1}}}


@pytest.mark.parametrize(
    "raw",
    [
        b"data: [DONE]\n\n",
        b"data: 7\n\n",
        b'data: {"n": 1}\n\n',
        b'data: {"type": 7}\n\n',
        b"event: message_start\ndata: {\n\n",
        b"event: message_start\ndata: []\n\n",
        b'event: message_start\ndata: {"type": "message_start", "message": 7}\n\n',
        b'event: message_start\ndata: {"type": "message_start", "message": {"id": "m"}}\n\n',
        b'event: message_start\ndata: {"type": "other", "message": {"model": "k"}}\n\n',
        b'event: content_block_start\ndata: {"type": "content_block_start", "note": "thinking"}\n\n',
        b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"signature"}}\n\n',
        b"event: message_start\ndata: " + b"[" * 100_000 + b"\n\n",
        b'event: message_start\ndata: {"type":"message_start","message":{"model":"\xff"}}\n\n'.replace(b"model", b"id"),
        b'event: message_start\ndata: {"type":"message_start","cut":"\\ud83d","message":{"model":"k"}}\n\n',
        b'event: content_block_delta\ndata: {"delta":{"type":"thinking_delta","thinking":"\\ud83d"}}\n\n',
        b"event: ping\n\n",
        b": comment\n\n",
    ],
)
def test_an_odd_event_is_the_clients_to_judge(raw: bytes) -> None:
    assert streamed(raw) == raw

"""Who signed a block of thinking: a mark on the way to the client, and what becomes of it on the way up."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_proxy.dialects.thinking import drop_foreign_thinking, marked_by, unmarked_for
from claude_proxy.wire import json_parts
from tests.dialects.asked import asked

THINKING = {"type": "thinking", "thinking": "Hm.", "signature": "c2lnbmVk"}
REDACTED = {"type": "redacted_thinking", "data": "c2lnbmVk"}
_providers = st.sampled_from(["minimax", "kimi", "z-ai", "mini"])


def parts(block: dict[str, Any]) -> dict[str, Any]:
    """A block opened as the dialects open one."""
    found = json_parts.opened(json.dumps(block).encode())
    assert found is not None
    return found


def decoded(block: dict[str, Any] | None) -> Any:
    assert block is not None
    return json.loads(json_parts.written(block))


def left(*blocks: dict[str, Any]) -> list[Any] | None:
    """The content of an assistant's turn as it goes to Anthropic; None where nothing was changed."""
    cleaned = drop_foreign_thinking(asked(messages=[{"role": "assistant", "content": list(blocks)}]))
    return None if cleaned is None else [turn["content"] for turn in json.loads(cleaned.text)["messages"]]


@given(_providers, st.text(), st.sampled_from([THINKING, REDACTED]))
@settings(max_examples=100, deadline=None)
def test_a_signature_returns_to_its_own_provider_as_it_was(provider: str, signature: str, kind: dict[str, Any]) -> None:
    block = {**kind, ("signature" if kind is THINKING else "data"): signature}
    stored = decoded(marked_by(provider, parts(block)))
    assert stored != block
    assert decoded(unmarked_for(provider, parts(stored))) == block


@given(_providers, _providers, st.text())
@settings(max_examples=100, deadline=None)
def test_what_one_provider_signed_is_no_others(one: str, other: str, signature: str) -> None:
    stored = decoded(marked_by(one, parts({**THINKING, "signature": signature})))
    assert (unmarked_for(other, parts(stored)) is None) == (one != other)


@pytest.mark.parametrize("block", [THINKING, REDACTED, {"type": "thinking"}, {"type": "thinking", "signature": 7}])
def test_what_nobody_marked_is_nobodys_here(block: dict[str, Any]) -> None:
    assert unmarked_for("minimax", parts(block)) is None


def test_the_delta_that_signs_is_marked_like_the_block() -> None:
    delta = marked_by("minimax", parts({"type": "signature_delta", "signature": "c2lnbmVk"}))
    whole = marked_by("minimax", parts(THINKING))
    assert decoded(delta)["signature"] == decoded(whole)["signature"]


def test_unsigned_thinking_is_marked_as_well() -> None:
    stored = decoded(marked_by("minimax", parts({"type": "thinking", "thinking": "Hm."})))
    assert left(stored, {"type": "text", "text": "a"}) == [[{"type": "text", "text": "a"}]]
    back = decoded(unmarked_for("minimax", parts(stored)))
    assert (back["thinking"], back.get("signature")) == ("Hm.", "")


@pytest.mark.parametrize(
    "block",
    [
        {"type": "text", "text": "a", "signature": "s"},
        {"type": "thinking_delta", "thinking": "Hm."},
        {"type": "tool_use", "input": {"type": "thinking"}},
        {"type": 7},
        {},
    ],
)
def test_nothing_but_thinking_is_marked(block: dict[str, Any]) -> None:
    assert marked_by("minimax", parts(block)) is None
    assert marked_by("minimax", None) is None


def test_marked_thinking_is_dropped_and_anthropics_own_is_kept() -> None:
    foreign = [decoded(marked_by("minimax", parts(block))) for block in (THINKING, REDACTED)]
    text = {"type": "text", "text": "a"}
    assert left(foreign[0], THINKING, foreign[1], REDACTED, text) == [[THINKING, REDACTED, text]]


def test_a_turn_of_nothing_else_is_dropped_whole() -> None:
    assert left(decoded(marked_by("minimax", parts(THINKING)))) == []


def test_every_turn_is_looked_at() -> None:
    foreign = decoded(marked_by("minimax", parts(THINKING)))
    text = {"type": "text", "text": "a"}
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": [foreign, text]}] * 3
    cleaned = drop_foreign_thinking(asked(messages=turns))
    assert cleaned is not None
    assert json.loads(cleaned.text)["messages"] == [turns[0], {"role": "assistant", "content": [text]}] * 3


def test_a_turn_that_was_empty_before_is_not_ours_to_drop() -> None:
    foreign = decoded(marked_by("minimax", parts(THINKING)))
    cleaned = drop_foreign_thinking(asked(messages=[{"content": []}, {"content": [foreign]}, {"content": ""}]))
    assert cleaned is not None
    assert json.loads(cleaned.text)["messages"] == [{"content": []}, {"content": ""}]


def test_where_nothing_is_marked_nothing_need_change() -> None:
    assert left(THINKING, REDACTED, {"type": "text", "text": "claude-proxy:"}) is None


@pytest.mark.parametrize(
    "messages",
    [
        None,
        "claude-proxy:",
        {"claude-proxy:": 1},
        ["claude-proxy:"],
        [{"content": "claude-proxy:"}],
        [{"content": ["claude-proxy:"]}],
        [{"content": [{"type": "thinking", "signature": ["claude-proxy:"]}]}],
        [{"content": [{"type": ["claude-proxy:"]}]}],
    ],
)
def test_messages_of_another_shape_are_left_to_anthropic(messages: Any) -> None:
    assert drop_foreign_thinking(asked(messages=messages)) is None

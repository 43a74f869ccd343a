"""A body that is read beside an earlier one says the same of itself, and is refused for the same, as by itself."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from claude_proxy.wire import members as read
from claude_proxy.wire import repeated
from claude_proxy.wire.members import BadBody, Members

_texts = st.sampled_from(["", "é", '"', "\\", "a—b", "]", "},{", '"tools":[{"a":1}]', "\u2028"])
_blocks: st.SearchStrategy[Any] = st.integers(-9, 99) | _texts | st.dictionaries(_texts, _texts, max_size=2)
_bodies = st.fixed_dictionaries(
    {"model": st.just("m")},
    optional={
        "messages": st.lists(_blocks, max_size=4) | _texts,
        "system": st.lists(_blocks, max_size=2),
        "tools": st.lists(_blocks, max_size=2) | st.just({"a": ["b"]}),
        "é": _blocks,
    },
)
_edits = st.tuples(
    st.integers(0, 200),
    st.integers(0, 6),
    st.sampled_from([b"", b",", b'"', b"\\", b"]", b"}", b"0", b"[0", b'"a":1,', b"{", b"\xc3", b"\xa9", b" ", b"\0"])
    | st.binary(max_size=2),
)
WORDS = (b'"tools"', b"0", b"a\xe2\x80\x94b", b"]")


@pytest.fixture(scope="module", autouse=True)
def every_value_is_worth_it() -> Iterator[None]:
    """Otherwise bodies would have to be of kilobytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read, "WORTH", 2)
        patch.setattr(repeated, "WORTH", 2)
        yield


def told(text: bytes, earlier: Members | None = None) -> Any:
    """All that is told of a body, or what is said of its fault."""
    try:
        members = Members(text, earlier=earlier)
    except BadBody as error:
        return str(error)
    mentions = [members.mentions(words) for words in WORDS]
    assert mentions == [words in text for words in WORDS]
    raws = {name: members.raw(name) for name in members.places}
    assert all(text[start:end] == raws[name] for name, (start, end) in members.places.items())
    if earlier is not None and members.tools is earlier.tools:
        assert raws["tools"] == earlier.raw("tools")
    messages = [text[start:end] for start, end in members.message_places()]
    replaced = members.replace_raw("model", b"x") if "model" in raws else None
    return [*raws.items()], [*members.values], messages, replaced


def written(body: object, *, spaced: bool = False) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=None if spaced else (",", ":")).encode()


def edited(text: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for place, length, new in edits:
        at = place % (len(text) + 1)
        text = text[:at] + new + text[at + length :]
    return text


@given(_bodies, st.booleans(), st.lists(_edits, max_size=3), st.lists(_edits, max_size=2))
@example({"model": "m", "messages": [1, 2]}, False, [(26, 0, b"2")], [])
@example({"model": "m", "tools": ["b"]}, False, [(21, 0, b'"')], [])
@example({"model": "m", "messages": "x", "tools": ["b"]}, False, [(23, 3, b'"')], [])
@example({"model": "m", "tools": [["b"]]}, False, [(12, 0, b'"')], [])
@settings(max_examples=1000)
def test_a_body_beside_another_is_read_as_by_itself(
    body: dict[str, Any], spaced: bool, edits: list[tuple[int, int, bytes]], more: list[tuple[int, int, bytes]]
) -> None:
    text = written(body, spaced=spaced)
    first = Members(text)
    for words in WORDS:
        first.mentions(words)
    changed = edited(text, edits)
    assert told(changed, first) == told(changed)
    try:
        second = Members(changed, earlier=first)
    except BadBody:
        return
    third = edited(changed, more)
    assert told(third, second) == told(third)


@given(_bodies, _bodies, st.booleans())
def test_any_two_bodies_do(one: dict[str, Any], other: dict[str, Any], spaced: bool) -> None:
    text = written(other, spaced=spaced)
    assert told(text, Members(written(one))) == told(text)


@given(_bodies, st.lists(st.tuples(st.integers(0, 9), st.lists(_blocks, max_size=3)), max_size=4))
@example({"model": "m"}, [(0, ["é", "a—b"]), (2, ["", 1]), (2, ["a—b", ""]), (4, [7])])
def test_a_conversation_that_goes_on_does(body: dict[str, Any], turns: list[tuple[int, list[Any]]]) -> None:
    """Where it is rewound before as well."""
    before, messages = Members(written(body)), list[Any]()
    for kept, added in turns:
        messages = [*messages[:kept], *added]
        text = written({"model": "m", "messages": messages, **body})
        assert told(text, before) == told(text)
        before = Members(text, earlier=before)


def test_a_name_that_stands_twice_is_found_beside_known_values() -> None:
    earlier = Members(b'{"tools":["b"],"model":"m"}')
    text = b'{"tools":["b"],"model":"m","a":1,"a":1}'
    assert told(text, earlier) == told(text)
    assert "stands twice" in told(text)


def test_a_known_value_in_the_midst_of_a_string_is_none() -> None:
    earlier = Members(b'{"model":"m","messages":[],"tools":["a"]}')
    text = b'{"model":"m","messages":[],"s":"["a"]}'
    assert told(text, earlier) == told(text)
    assert str(told(text)).startswith("the body is not a JSON object")


class Decoder:
    """In place of the decoder of members: what it was given."""

    def __init__(self, decode: Any) -> None:
        self._decode = decode
        self.given: list[bytes] = []

    def __call__(self, text: bytes) -> Any:
        self.given.append(text)
        return self._decode(text)


def test_of_what_an_earlier_body_had_nothing_is_decoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def text(*messages: str) -> bytes:
        return written({"model": "m", "messages": [{"role": "user", "content": each} for each in messages], **rest})

    rest = {"system": "you are", "tools": [{"name": "Bash"}], "stream": True}
    decoder = Decoder(read._decode_members)
    monkeypatch.setattr(read, "_decode_members", decoder)
    first = Members(text("one", "two"))
    second = Members(text("one", "two", "three"), earlier=first)
    third = Members(text("one", "two", "three", "four"), earlier=second)
    start, end = b'{"model":0,"messages":[0,', b'],"system":0,"tools":0,"stream":0}'
    assert decoder.given == [
        first.text,
        # Behind the last message of the earlier body there is a comma now: it is the first that is read.
        start + b'{"role":"user","content":"two"},{"role":"user","content":"three"}' + end,
        start + b'{"role":"user","content":"three"},{"role":"user","content":"four"}' + end,
    ]
    assert third.get("messages") == [{"role": "user", "content": each} for each in ("one", "two", "three", "four")]
    assert (third.raw("tools"), third.get("stream")) == (b'[{"name":"Bash"}]', True)


def test_beside_very_many_members_a_body_is_read_as_a_whole() -> None:
    """To walk through a hundred thousand of them would take the loop a tenth of a second."""
    many = {"model": "m", "tools": ["two"]} | {f"n{number}": number for number in range(read._MOST_MEMBERS)}
    first = Members(written(many))
    second = written(many | {"max_tokens": 9})
    assert told(second, first) == told(second)
    Members(second, earlier=first)
    assert first._places is None


def test_of_very_many_messages_the_places_are_told_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would take many times as much as the body, and the loop would wait for them."""
    monkeypatch.setattr(read, "_MOST_MESSAGES", 3)
    first = Members(b'{"model":"m","messages":[10,20,30,40]}')
    second = b'{"model":"m","messages":[10,20,30,40,50]}'
    assert told(second, first) == told(second)
    assert first.known_messages == []
    assert len(first.message_places()) == 4
    assert first.known_messages == []
    third = Members(second, earlier=Members(second, earlier=first))
    assert third.has_many  # and nobody has looked for them again
    few = Members(b'{"model":"m","messages":[10,20,30]}')
    assert told(second, few) == told(second)
    assert (len(few.known_messages), few.has_many) == (3, False)
    grown = Members(b'{"model":"m","messages":[10,20,30,40,50,60,70]}', earlier=few)
    assert not grown.has_many
    assert told(second, grown) == told(second)
    assert grown.has_many


def test_what_is_known_of_tools_is_known_of_those_that_repeat_them() -> None:
    first = Members(b'{"model":"m","messages":["one"],"tools":["two"]}')
    same = Members(b'{"model":"m","messages":["one","more"],"tools":["two"]}', earlier=first)
    other = Members(b'{"model":"m","messages":["one"],"tools":["two","more"]}', earlier=first)
    assert same.tools is first.tools
    assert other.tools is not first.tools


def test_words_that_an_earlier_body_had_not_are_looked_for_in_what_is_new() -> None:
    first = Members(b'{"model":"m","messages":["one"],"tools":["two"]}')
    assert not first.mentions(b"thr")
    for text, expected in (
        (b'{"model":"m","messages":["one","thr"],"tools":["two"]}', True),
        (b'{"model":"m","messages":["onethr"],"tools":["two"]}', True),
        (b'{"model":"m","messages":["one"],"tools":["thr"]}', True),
        (b'{"model":"m","messages":["one"],"tools":["two","th"]}', False),
    ):
        assert Members(text, earlier=first).mentions(b"thr") is expected
    # Words that begin in what is old and end in what is new.
    assert not first.mentions(b"neX")
    assert Members(b'{"model":"m","messages":["oneX"],"tools":["two"]}', earlier=first).mentions(b"neX")
    assert not first.mentions(b"Xtwo")
    assert Members(b'{"model":"m","messages":["one"],"tools":["Xtwo"]}', earlier=first).mentions(b"Xtwo")

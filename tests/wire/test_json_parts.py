"""JSON opened one level at a time: what is not looked into comes out byte for byte."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_proxy.wire.json_parts import is_json, item_replaced, items_dropped, listed, opened, text, value, written

# Values that do not survive a reader and a writer: their bytes must.
ODD = [
    b"1.10",
    b"1e999",
    b"-0",
    b"0.12345678901234567890123456789",
    b"9" * 5000,
    b'"caf\\u00e9 \\/ \xc3\xa9"',
    b'"\xff is no UTF-8"',
    b"[ 1 ,2,\n3 ]",
    b'{"b": 1, "a": {"z": [], "y": {}}}',
    b"null",
    b'""',
]
_spaces = st.text(st.sampled_from(" \t\r\n"), max_size=3).map(str.encode)
_items = st.lists(st.tuples(_spaces, st.sampled_from(ODD), _spaces), max_size=6)


def put_together(items: list[tuple[bytes, bytes, bytes]]) -> bytes:
    return b"[" + b",".join(before + item + after for before, item, after in items) + b"]"


@pytest.mark.parametrize("odd", ODD)
def test_what_is_not_looked_into_keeps_its_bytes(odd: bytes) -> None:
    whole = opened(b'{"a": %s, "b": [%s, {"c": %s}], "d": 1}' % (odd, odd, odd))
    assert whole is not None
    items = listed(whole["b"])
    assert items is not None
    inner = opened(items[1])
    assert inner is not None
    changed = {**whole, "b": [items[0], {**inner, "new": "é"}], "d": 2}
    assert written(changed) == b'{"a":%s,"b":[%s,{"c":%s,"new":"\xc3\xa9"}],"d":2}' % (odd, odd, odd)


def test_the_members_keep_their_order() -> None:
    whole = opened(b'{"z": 1, "a": 2, "m": 3}')
    assert whole is not None
    assert list(whole) == ["z", "a", "m"]


@pytest.mark.parametrize("space", [b"", b" ", b"\r\n\t"])
def test_space_around_the_json_makes_no_difference(space: bytes) -> None:
    assert (opened(space + b'{"a": 1}' + space) or {}).keys() == {"a"}
    assert len(listed(space + b"[1, 2]" + space) or []) == 2
    assert text(space + b'"a"' + space) == "a"


@pytest.mark.parametrize("part", [None, b"[]", b'"{"', b"7", b"null", b""])
def test_what_is_no_object_is_none(part: bytes | None) -> None:
    assert opened(part) is None


@pytest.mark.parametrize("part", [None, b"{}", b'"["', b"7", b"null", b""])
def test_what_is_no_list_is_none(part: bytes | None) -> None:
    assert listed(part) is None


@pytest.mark.parametrize("part", [None, b"7", b"null", b"[]", b"{}", b"", 7, [], b'"\\ud83d"', b'"\xff"'])
def test_what_is_no_string_or_none_that_can_be_read_is_none(part: Any) -> None:
    assert text(part) is None


@given(st.text())
@settings(max_examples=100, deadline=None)
def test_a_string_is_read_however_it_was_written(words: str) -> None:
    assert text(json.dumps(words).encode()) == words
    assert text(json.dumps(words, ensure_ascii=False).encode()) == words
    assert text(words) == words


@given(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=4))
@settings(max_examples=100, deadline=None)
def test_a_part_is_decoded_whole_and_what_is_decoded_stays(whole: Any) -> None:
    part = opened(b'{"part": %s}' % json.dumps(whole).encode())
    assert part is not None
    assert value(part["part"]) == whole
    assert value(whole) is whole


@given(_items, st.sets(st.integers(0, 7)))
@settings(max_examples=200, deadline=None)
def test_dropping_items_leaves_the_bytes_of_the_others(items: list[tuple[bytes, bytes, bytes]], drop: set[int]) -> None:
    shorter = items_dropped(put_together(items), drop)
    left = [item for index, (_, item, _) in enumerate(items) if index not in drop]
    assert [bytes(memoryview(part)) for part in listed(shorter) or []] == left


def test_dropping_nothing_changes_no_byte() -> None:
    array = b"[ 1 ,\n2 , 3 ]"
    assert items_dropped(array, set()) == array


@pytest.mark.parametrize(
    ("drop", "left"),
    [({0}, b'[{"b":2}, {"c":3}]'), ({1}, b'[{"a":1}, {"c":3}]'), ({2}, b'[{"a":1},{"b":2}]'), ({0, 1, 2}, b"[]")],
)
def test_an_item_goes_with_its_comma(drop: set[int], left: bytes) -> None:
    assert items_dropped(b'[{"a":1},{"b":2}, {"c":3}]', drop) == left


@given(_items.filter(bool), st.data())
@settings(max_examples=200, deadline=None)
def test_replacing_an_item_changes_no_other_byte(items: list[tuple[bytes, bytes, bytes]], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(items) - 1))
    changed = [*items]
    changed[index] = (items[index][0], b'{"new": 1}', items[index][2])
    assert item_replaced(put_together(items), index, b'{"new": 1}') == put_together(changed)


def test_an_item_that_is_not_there_cannot_be_replaced() -> None:
    with pytest.raises(IndexError):
        item_replaced(b"[1, 2]", 2, b"3")


@pytest.mark.parametrize(
    "found", [b"{}", b' [1e400, "\\ud83d"] ', b"12345678901234567890123", '"\u00e9"'.encode(), b"null"]
)
def test_what_json_allows_is_json(found: bytes) -> None:
    assert is_json(found)


@pytest.mark.parametrize(
    "found",
    [
        b"",
        b"0\0",
        b"\0[]",
        b"\xef\xbb\xbf{}",
        b"{",
        b"NaN",
        b"[Infinity]",
        b'"\xff"',
        b"{}x",
        b"event: x",
        b"[" * 100_000,
        b'{"a":"\xff"}',
    ],
)
def test_what_is_no_json_or_no_utf_8_is_none(found: bytes) -> None:
    assert not is_json(found)

"""JSON edited as text: members are found and spliced, and nothing else is touched."""

import json
from typing import Any

import pytest
from hypothesis import given

from claude_proxy.toggle.json_text import Lines, NotJson, append, parse_value, read_object, remove, replace
from tests.toggle.generated import free_layout, usual_layout


def as_pairs(text: str) -> Any:
    """A value by Python's own reader, no member of an object lost."""
    return json.loads(text, object_pairs_hook=list, parse_int=str)


@given(free_layout() | usual_layout())
def test_every_member_is_found_where_it_stands(text: str) -> None:
    found = read_object(text)
    assert text[found.opened] + text[found.closed] == "{}"
    pairs = [(json.loads(text[member.start : member.key_end]), as_pairs(found.raw(member))) for member in found.members]
    assert pairs == as_pairs(text)
    assert [member.key for member in found.members] == [key for key, _ in pairs]


@given(free_layout() | usual_layout())
def test_what_was_put_at_the_end_goes_without_a_trace(text: str) -> None:
    before = read_object(text)
    after = read_object(append(before, "new", '"value"', Lines.of_file(text)))
    member = after.find("new")
    assert member is not None
    assert after.raw(member) == '"value"'
    assert remove(after, member, before.inner) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{\n  "a": 1\n}\n', '{\n  "a": 1,\n  "k": 2\n}\n'),
        ('{\n\t"a": 1\n}', '{\n\t"a": 1,\n\t"k": 2\n}'),
        ('{\r\n    "a" : 1\r\n}\r\n', '{\r\n    "a" : 1,\r\n    "k" : 2\r\n}\r\n'),
        ('{"a":1}', '{"a":1,"k":2}'),
        ('{ "a": 1, "b": [1, 2] }', '{ "a": 1, "b": [1, 2], "k": 2 }'),
        ("{}", '{\n  "k": 2\n}'),
        ("{\r\n}\r\n", '{\r\n  "k": 2\r\n}\r\n'),
    ],
)
def test_a_new_member_looks_like_its_neighbours(text: str, expected: str) -> None:
    assert append(read_object(text), "k", "2", Lines.of_file(text)) == expected


@pytest.mark.parametrize(
    ("text", "inner", "closing"),
    [
        ('{\n  "a": {}\n}', "\n    ", "\n  "),
        ('{\n\t"a": {}\n}', "\n\t\t", "\n\t"),
        ('{\r\n    "a": {}\r\n}', "\r\n        ", "\r\n    "),
        ('{\n      "a": {}\n    }', "\n        ", "\n      "),
        ('{\n"a": {}\n}', "\n", "\n"),
        ('{"a": {}}', "", ""),
    ],
)
def test_an_object_within_another_is_one_step_deeper(text: str, inner: str, closing: str) -> None:
    outer = read_object(text)
    assert Lines.within(outer, outer.gap(outer.members[0])) == Lines(inner, closing)


@pytest.mark.parametrize(
    ("key", "rest"), [("a", '{"b": 2, "c": 3}'), ("b", '{"a": 1, "c": 3}'), ("c", '{"a": 1, "b": 2}')]
)
def test_any_member_can_be_removed(key: str, rest: str) -> None:
    found = read_object('{"a": 1, "b": 2, "c": 3}')
    member = found.find(key)
    assert member is not None
    assert remove(found, member) == rest


def test_a_value_is_replaced_in_its_place() -> None:
    found = read_object('{"a" : [1, {"b": 2}] , "c": 3}')
    assert replace(found, found.members[0], "null") == '{"a" : null , "c": 3}'


def test_of_two_members_of_one_name_the_last_counts() -> None:
    found = read_object('{"a": 1, "\\u0061": 2}')
    member = found.find("a")
    assert member is not None
    assert found.raw(member) == "2"


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ('{\n  "a": 1,\n}', 3, 1),
        ('{\n  "a" 1\n}', 2, 7),
        ('{"a": "NaN", "b": NaN}', 1, 19),
        ('{"a": -Infinity}', 1, 7),
        ('{"a": "tab\there"}', 1, 11),
        ('{"a": 1} // a comment', 1, 10),
        ('// a comment\n{"a": 1}', 1, 1),
        ("[1]", 1, 1),
        ("\n\n  5", 3, 3),
        ('{"a": 1', 1, 8),
        ("", 1, 1),
    ],
)
def test_what_is_no_json_object_is_told_with_line_and_column(text: str, line: int, column: int) -> None:
    with pytest.raises(NotJson) as caught:
        read_object(text)
    assert (caught.value.line, caught.value.column) == (line, column)


def test_values_nested_without_end_are_refused() -> None:
    with pytest.raises(NotJson, match="nested too deeply"):
        read_object('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}")


def test_numbers_mean_what_is_written() -> None:
    assert parse_value("1.50") == "1.50"
    assert parse_value("9" * 5000) == "9" * 5000
    assert parse_value('"\\u0061"') == "a"

"""Our keys in Claude Code's settings: put in beside what is there, and taken out to the byte."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings

from claude_proxy.toggle.refusals import InvalidText
from claude_proxy.toggle.settings_text import (
    BASE_URL,
    HAIKU_MODEL,
    TOOL_SEARCH,
    Change,
    KeyRecord,
    SettingsRecord,
    SettingsText,
    put,
    undo,
)
from tests.toggle.generated import settings_bytes, settings_with_another_gateway
from tests.toggle.user import OTHER_PORT, URL

WANTED = {BASE_URL: f'"{URL}"', TOOL_SEARCH: '"true"'}
NOTHING = SettingsRecord()


def is_ours(url: str) -> bool:
    return url == URL


def put_into(data: bytes, known: SettingsRecord | None = None) -> tuple[bytes, SettingsRecord, list[Change]]:
    after, record, changes = put(SettingsText(data, "settings.json"), WANTED, known, is_ours)
    return after.data, record, changes


def undone(data: bytes, known: SettingsRecord) -> tuple[bytes, list[Change]]:
    after, changes = undo(SettingsText(data, "settings.json"), known, is_ours)
    return after.data, changes


def meaning(data: bytes) -> dict[str, object]:
    text = data.decode().removeprefix("\ufeff")
    found: dict[str, object] = json.loads(text, parse_int=str) if text.strip(" \t\r\n") else {}
    return found


def env_of(data: bytes) -> dict[str, str]:
    env = meaning(data)["env"]
    assert isinstance(env, dict)
    return env


@settings(max_examples=500)
@given(settings_bytes() | settings_with_another_gateway())
def test_what_was_put_in_goes_without_a_trace(before: bytes) -> None:
    data, record, _ = put_into(before)
    assert undone(data, record)[0] == before


@settings(max_examples=500)
@given(settings_bytes())
def test_nothing_else_changes(before: bytes) -> None:
    data, _, _ = put_into(before)
    was, now = meaning(before), meaning(data)
    env = was.pop("env", {})
    assert isinstance(env, dict)
    assert now.pop("env") == {**env, BASE_URL: URL, TOOL_SEARCH: "true"}
    assert now == was
    # The text as well: all of it is there, but for blanks in a place that was empty.
    start = next((i for i, (a, b) in enumerate(zip(before, data, strict=False)) if a != b), len(before))
    left = before[start:]
    end = next((i for i in range(len(left), -1, -1) if data.endswith(left[len(left) - i :])), 0)
    assert not left[: len(left) - end].strip(b" \t\r\n")


@settings(max_examples=200)
@given(settings_bytes())
def test_a_second_time_changes_nothing(before: bytes) -> None:
    data, record, _ = put_into(before)
    again, record_again, changes = put_into(data, record)
    assert (again, record_again) == (data, record)
    assert all(change.before == change.now for change in changes)


@settings(max_examples=200)
@given(settings_bytes())
def test_after_another_address_it_goes_as_well(before: bytes) -> None:
    data, record, _ = put_into(before)
    other = {**WANTED, BASE_URL: f'"{OTHER_PORT}"'}
    after, record, _ = put(SettingsText(data, "s"), other, record, is_ours)
    assert env_of(after.data)[BASE_URL] == OTHER_PORT
    # Also where the second write never happened; by the record alone, since nobody may know either address later.
    for text in (after, SettingsText(data, "s")):
        assert undo(text, record, lambda _: False)[0].data == before


@settings(max_examples=200)
@given(settings_bytes())
def test_written_anew_by_another_program_only_our_keys_go(before: bytes) -> None:
    data, record, _ = put_into(before)
    anew = json.dumps({**meaning(data), "theirs": 1}, indent=2).encode()
    was = meaning(before)
    now = meaning(undone(anew, record)[0])
    assert now.pop("theirs") == "1"
    assert now == was


def test_as_usually_laid_out() -> None:
    before = b'{\n  "model": "opus",\n  "env": {\n    "A": "b"\n  }\n}\n'
    data, _, _ = put_into(before)
    assert data.decode() == (
        '{\n  "model": "opus",\n  "env": {\n    "A": "b",\n    "ANTHROPIC_BASE_URL": "http://127.0.0.1:8082",\n'
        '    "ENABLE_TOOL_SEARCH": "true"\n  }\n}\n'
    )


def test_a_file_that_was_not_there_is_laid_out_as_claude_code_does() -> None:
    data, _, _ = put_into(b"")
    assert data.decode() == json.dumps({"env": {BASE_URL: URL, TOOL_SEARCH: "true"}}, indent=2) + "\n"


def test_a_value_of_the_user_s_is_left_alone() -> None:
    before = b'{"env": {"ENABLE_TOOL_SEARCH": "auto:5"}}'
    data, record, changes = put_into(before)
    assert env_of(data) == {TOOL_SEARCH: "auto:5", BASE_URL: URL}
    assert changes[1] == Change(TOOL_SEARCH, '"auto:5"', '"auto:5"', ours=False)
    assert undone(data, record)[0] == before


def test_an_empty_value_says_nothing_and_is_replaced() -> None:
    before = b'{"env": {"ENABLE_TOOL_SEARCH": ""}}'
    data, record, _ = put_into(before)
    assert env_of(data)[TOOL_SEARCH] == "true"
    assert undone(data, record)[0] == before


def test_a_key_that_the_user_has_changed_since_is_kept_and_told() -> None:
    data, record, _ = put_into(b"{}")
    changed = data.replace(b'"true"', b'"false"')
    after, changes = undone(changed, record)
    assert env_of(after) == {TOOL_SEARCH: "false"}
    assert changes == [
        Change(BASE_URL, f'"{URL}"', None, ours=True),
        Change(TOOL_SEARCH, '"false"', '"false"', ours=False),
    ]


def test_what_is_gone_already_is_no_news() -> None:
    _, record, _ = put_into(b"{}")
    assert undone(b"{}", record) == (b"{}", [])


def test_another_gateway_that_was_replaced_comes_back_as_it_was_written() -> None:
    before = b'{"env":{"ANTHROPIC_BASE_URL":"https:\\/\\/gw.example"}}'
    data, record, changes = put_into(before)
    assert env_of(data)[BASE_URL] == URL
    assert changes[0] == Change(BASE_URL, '"https:\\/\\/gw.example"', f'"{URL}"', ours=True)
    assert undone(data, record)[0] == before
    assert undone(before, record) == (before, [])


def test_our_address_by_the_user_s_own_hand_goes_too() -> None:
    before = f'{{"env": {{"{BASE_URL}": "{URL}", "A": "b"}}}}'.encode()
    data, record, _ = put_into(before)
    assert record.keys[BASE_URL] == KeyRecord((f'"{URL}"',), None)
    assert env_of(undone(data, record)[0]) == {"A": "b"}


def test_without_a_record_only_our_own_address_goes() -> None:
    data, _, _ = put_into(b'{"env": {"A": "b"}}')
    after, changes = undone(data, NOTHING)
    assert env_of(after) == {"A": "b", TOOL_SEARCH: "true"}
    assert [change.key for change in changes] == [BASE_URL]
    elsewhere = b'{"env": {"ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}}'
    assert undone(elsewhere, NOTHING) == (elsewhere, [])


def test_what_is_not_wanted_any_more_goes_when_it_is_switched_on_again() -> None:
    before = b'{"env": {"A": "b"}}'
    with_haiku = {**WANTED, HAIKU_MODEL: '"haiku"'}
    first, record, _ = put(SettingsText(before, "s"), with_haiku, None, is_ours)
    second, record, changes = put(first, WANTED, record, is_ours)
    assert HAIKU_MODEL not in env_of(second.data)
    assert changes[-1] == Change(HAIKU_MODEL, '"haiku"', None, ours=True)
    assert undone(second.data, record)[0] == before


def test_what_a_record_says_of_the_text_before_is_stale_once_nothing_of_ours_is_there() -> None:
    """As after an interrupted turn of the switch, when the user has written the file anew."""
    _, record, _ = put_into(b"")
    assert record.blank == ""
    before = b'{\n  "env": { }\n}\n'
    data, record, _ = put_into(before, record)
    assert record == replace(record, blank=None, root=None, env=" ", made_env=False)
    assert undone(data, record)[0] == before


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b'{\n  "env": {\n    "A": "b",\n  }\n}', "settings.json:4:3: "),
        (b'{\n  "env": ["A"]\n}', "settings.json:2:10: an object was expected here"),
        (b'{"env": null}', "settings.json:1:9: an object was expected here"),
        (b"[]", "settings.json:1:1: an object was expected here"),
        (b'{"a": "\xff"}', "settings.json:1: this is not UTF-8 text"),
        (b'{\n\n"a": 1\n"b"', "settings.json:4:1: "),
        ('{"a": 1}'.encode("utf-16"), "settings.json:1: this is not UTF-8 text"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_place(text: bytes, place: str) -> None:
    with pytest.raises(InvalidText) as caught:
        SettingsText(text, "settings.json")
    assert str(caught.value).startswith(place)
    assert "nothing was changed" in str(caught.value)


def test_what_claude_code_makes_of_a_value() -> None:
    found = SettingsText(b'{"apiKeyHelper": "x", "env": {"A": "\\u0061", "B": 5, "C": ""}}', "s")
    assert [found.value(key) for key in "ABCD"] == ["a", "5", "", ""]
    assert found.has("apiKeyHelper")
    assert not found.has("A")

"""A request in one line of 80 columns, whatever a daemon says of it."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_proxy.commands.tail_text import HEADER, line, went_wrong

END = {
    "id": "req_cp_1",
    "time": 1772625787.5,
    "model": "claude-haiku-4-5-20251001",
    "route": "model claude-haiku-*",
    "upstream": "minimax",
    "status": 200,
    "end": "complete",
    "first_byte_ms": 420,
    "total_ms": 12_345,
    "input_tokens": 1_234,
    "output_tokens": 56,
    "cache_read": 98_765,
    "list_value": "0.0123",
    "attempts": 1,
}


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def told(**values: Any) -> list[str]:
    """The words of the line."""
    return line({**END, **values}).split()


def test_a_request_that_went_well() -> None:
    assert line(END) == "12:03:07 haiku-4-5 → minimax              200 0.42s 12.3s    1.2k+99k→56 $0.0123"
    assert len(line(END)) == len(HEADER) == 80
    assert not went_wrong(END)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"status": 529, "end": "failed", "upstream": None, "list_value": None}, ["-", "529", "-"]),
        ({"end": "broken"}, ["cut"]),
        ({"end": "client_gone", "status": None}, ["left"]),
        ({"attempts": 3}, ["x3"]),
        ({"cache_read": None}, ["1.2k→56"]),
        ({"cache_read": 0, "input_tokens": None, "output_tokens": None}, ["-→-"]),
        ({"output_tokens": 999_600, "cache_read": 0}, ["1.2k→1.0M"]),
        ({"first_byte_ms": None, "total_ms": 1_920_000}, ["-", "32m"]),
        ({"list_value": "12.8449"}, ["$12.84"]),
        ({"list_value": "1234.5"}, ["$1234"]),
        ({"list_value": "0.000000"}, ["$0.0000"]),
        ({"list_value": "0.000031"}, ["<0.01¢"]),
        ({"model": None, "upstream": "an-upstream-with-a-long-name"}, ["-", "an-upstream-w…"]),
        ({"model": "a-model-with-a-very-long-name-of-its-own"}, ["a-model-with-a-very-…"]),
        ({"time": None}, ["-"]),
    ],
)
def test_what_else_may_be_told(values: dict[str, Any], words: list[str]) -> None:
    assert len(line({**END, **values})) == 80
    assert [word for word in words if word not in told(**values)] == []


@pytest.mark.parametrize(
    "values", [{"status": 400}, {"end": "broken"}, {"end": "client_gone"}, {"end": "failed", "status": None}]
)
def test_what_was_no_whole_answer_went_wrong(values: dict[str, Any]) -> None:
    assert went_wrong({**END, **values})


ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50) | st.lists(st.integers())


@given(st.dictionaries(st.sampled_from(list(END)), ANYTHING))
def test_whatever_comes_there_is_one_line_that_steers_no_terminal(values: dict[str, Any]) -> None:
    shown = line(values)
    assert shown.isprintable() or not any(character < " " or "\x7f" <= character < "\xa0" for character in shown)
    assert len(shown) <= 80
    went_wrong(values)

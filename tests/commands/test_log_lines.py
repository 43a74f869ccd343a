"""Log lines: read in both formats, chosen, cleaned, and told as JSON."""

import json
import logging
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_proxy.commands.log_lines import Wanted, as_json, chosen, fields, moment
from claude_proxy.logline import JsonFormatter, KeyValueFormatter, Redactor

NOON = datetime(2026, 3, 4, 12, 0, 30, tzinfo=timezone(timedelta(hours=1)))
ONE = "ts=2026-03-04T10:00:00.000Z level=info event=exchange id=req_cp_aaaa1111 status=200"
TWO = 'ts=2026-03-04T11:00:00.000Z level=warning event=attempt_failed id=req_cp_bbbb2222 cause="it said \\"no\\""'
CRASH = "Fatal Python error: Aborted"
LATER = '{"ts": "2026-03-04T11:30:00.000Z", "level": "info", "event": "exchange", "id": "req_cp_aaaa1111", "status": 1}'
ALL = [ONE, TWO, CRASH, LATER]


def formatted(formatter: KeyValueFormatter | JsonFormatter, values: dict[str, object]) -> str:
    """A line as the daemon writes it."""
    record = logging.LogRecord("test", logging.INFO, __file__, 1, "it", None, None)
    record.fields = values
    return formatter.format(record)


VALUES = st.one_of(st.booleans(), st.integers(-(10**9), 10**9), st.text(max_size=12), st.floats(-1e6, 1e6))


@given(st.dictionaries(st.sampled_from(["status", "cause", "model", "x_1"]), VALUES))
def test_both_formats_say_the_same(values: dict[str, object]) -> None:
    one = fields(formatted(KeyValueFormatter(Redactor()), values))
    other = fields(formatted(JsonFormatter(Redactor()), values))
    assert list(one) == ["ts", "level", "event", *values]
    assert list(one) == list(other)
    for name, value in values.items():
        if isinstance(value, str):  # digits alone have become a number, as nothing tells them apart
            assert str(one[name]).lower() == other[name].lower()
        else:
            assert one[name] == pytest.approx(other[name], abs=0.001)


@pytest.mark.parametrize("line", [CRASH, "", "a=b c", "[1]", "{broken", '{"a":' * 5000, 'a="unclosed'])
def test_what_is_not_the_daemons_own_has_no_fields(line: str) -> None:
    assert fields(line) in ({}, {"a": '"unclosed'})
    assert json.loads(as_json(line))


def test_an_id_of_digits_is_a_text() -> None:
    assert fields("id=123 status=123") == {"id": "123", "status": 123}
    assert fields("ratio=007 at=1.5 x=1e5") == {"ratio": "007", "at": 1.5, "x": "1e5"}


@pytest.mark.parametrize(
    ("wanted", "lines"),
    [
        (Wanted(), ALL),
        (Wanted(request="req_cp_aaaa1111"), [ONE, LATER]),
        (Wanted(request="req_cp_aaaa"), [ONE, LATER]),
        (Wanted(request="bbbb"), [TWO]),
        (Wanted(request="cccc"), []),
        (Wanted(since=datetime(2026, 3, 4, 11, tzinfo=UTC).timestamp()), [TWO, CRASH, LATER]),
        (Wanted("aaaa", datetime(2026, 3, 4, 10, 0, 1, tzinfo=UTC).timestamp()), [LATER]),
    ],
)
def test_lines_are_chosen_by_request_and_time(wanted: Wanted, lines: list[str]) -> None:
    assert list(chosen(ALL, wanted)) == lines


def test_secrets_and_what_steers_the_terminal_are_taken_out() -> None:
    line = 'message="sk-ant-oat01-FAKE-secret \x1b[2J\x9b2J\x07" token=Bearer FAKE-bearer-token\tx'
    assert list(chosen([line], Wanted())) == ['message="[redacted] [2J2J" token=[redacted]\tx']
    assert "\x9b" not in as_json("a\x9bb\x1b")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("10m", NOON - timedelta(minutes=10)),
        (" 2 H ", NOON - timedelta(hours=2)),
        ("1d", NOON - timedelta(days=1)),
        ("today", NOON.replace(hour=0, minute=0, second=0)),
        ("Yesterday", NOON.replace(day=3, hour=0, minute=0, second=0)),
        ("9:05", NOON.replace(hour=9, minute=5, second=0)),
        ("09:05:07", NOON.replace(hour=9, minute=5, second=7)),
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=NOON.tzinfo)),
        ("2026-01-31 14:30", datetime(2026, 1, 31, 14, 30, tzinfo=NOON.tzinfo)),
        ("2026-01-31T14:30:00Z", datetime(2026, 1, 31, 14, 30, tzinfo=UTC)),
    ],
)
def test_a_moment_is_read_as_a_person_writes_it(text: str, found: datetime) -> None:
    assert moment(text, NOON) == found


@pytest.mark.parametrize("text", ["", "soon", "25:00", "10", "-5m", "2026-13-01"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        moment(text, NOON)

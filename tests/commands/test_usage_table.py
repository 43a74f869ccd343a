"""The table fits 80 columns whatever stands in it, and says of no amount that it is nothing."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_proxy.commands.usage_rows import GROUPS, Row
from claude_proxy.commands.usage_table import WIDTH, counted, lines, money
from claude_proxy.ledger.store import Total

_count = st.integers(0, 10**14)
_money = st.integers(0, 10**18)
_rows = st.lists(
    st.builds(
        Row,
        st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1, max_size=120),
        st.builds(
            Total,
            requests=_count,
            input_tokens=_count,
            output_tokens=_count,
            cache_creation_input_tokens=_count,
            cache_read_input_tokens=_count,
            list_value=_money,
            billed=_money,
            covered=_money,
            unpriced_tokens=_count,
        ),
        st.none() | st.just("/home/someone/a-project-with-a-rather-long-name"),
    ),
    min_size=1,
    max_size=6,
)


@settings(deadline=None)
@given(st.sampled_from(GROUPS), _rows)
def test_it_fits_80_columns(by: str, given_: list[Row]) -> None:
    told = list(lines(by, given_))
    assert max(map(len, told)) <= WIDTH
    table = told[: len(given_) + 2]
    assert len({len(line) for line in table}) == 1


def test_it_says_what_was_used_and_adds_it_up() -> None:
    one = Total(
        (), 212, 3, 0, 186_000, 88_000, 250_000, 2_914_000, list_value=12_840_000_000_000, covered=12_840_000_000_000
    )
    two = Total((), 1, 0, 0, 999, 1, billed=4_000_000_000, list_value=4_000_000_000, unpriced_tokens=1_234_567)
    assert list(lines("day", [Row("2026-11-25", one), Row("2026-11-26", two)]))[:4] == [
        "day        reqs input c.write c.read output list $ billed $ plan $ unpriced",
        "2026-11-25  212  186k    250k  2.91M  88.0k  12.84     0.00  12.84        0",
        "2026-11-26    1   999       0      0      1  <0.01    <0.01   0.00    1.23M",
        "total       213  187k    250k  2.91M  88.0k  12.84    <0.01  12.84    1.23M",
    ]


def test_a_session_is_told_by_the_beginning_of_its_id_and_its_project() -> None:
    row = Row("5e551011-0000-4000-8000-000000000001", Total(), "/home/someone/work")
    assert list(lines("session", [row]))[1].startswith("5e551011 work ")
    assert list(lines("session", [Row("(none)", Total())]))[1].startswith("(none) ")
    assert list(lines("month", [Row("2026-11-01", Total())]))[1].startswith("2026-11 ")


def test_no_name_commands_a_terminal() -> None:
    for by in ("project", "model"):
        assert list(lines(by, [Row("/home/\x1b[2Jx", Total())]))[1].startswith("/home/?[2Jx ")


def test_of_a_long_name_the_end_is_told() -> None:
    name = "/home/someone/" + "x" * 100 + "/the-end"
    assert re.match(r"…x*/the-end ", list(lines("project", [Row(name, Total())]))[1])


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.00k"),
        (9_994, "9.99k"),
        (9_995, "10.0k"),
        (99_949, "99.9k"),
        (99_950, "100k"),
        (999_499, "999k"),
        (999_500, "1.00M"),
        (12_345_678, "12.3M"),
        (10**9, "1.00G"),
        (10**12, "1.00T"),
    ],
)
def test_counts_have_three_digits(number: int, told: str) -> None:
    assert counted(number) == told


@pytest.mark.parametrize(
    ("amount", "told"),
    [
        (0, "0.00"),
        (1, "<0.01"),
        (4_999_999_999, "<0.01"),
        (5_000_000_000, "0.01"),
        (12_844_999_999_999, "12.84"),
        (99_999_994_000_000_000, "99999.99"),
        (123_456_789_000_000_000, "123457"),
    ],
)
def test_money_is_told_in_cents_and_little_is_not_nothing(amount: int, told: str) -> None:
    assert money(amount) == told

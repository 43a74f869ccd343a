"""Quarters of an hour become days, weeks and months of a zone's calendar, and nothing is lost on the way."""

import itertools
from datetime import UTC, date
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_proxy.ledger.days import added, beginning, day_of, month_of, slots, week_of, with_days
from claude_proxy.ledger.store import BUCKET, Total

ZONES = [UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kathmandu"), ZoneInfo("America/St_Johns"), None]
totals = st.lists(
    st.builds(
        Total,
        st.tuples(st.integers(1_700_000, 1_800_000).map(lambda n: n * BUCKET), st.sampled_from(["a", "b", None])),
        requests=st.integers(1, 9),
        output_tokens=st.integers(0, 10**9),
        covered=st.integers(0, 10**15),
    ),
    max_size=20,
)


def test_two_totals_are_added_field_by_field() -> None:
    both = added(
        Total(("x",), 1, 2, input_tokens=3, billed=4), Total(("y",), 10, 20, input_tokens=30, unpriced_tokens=5)
    )
    assert both == Total(("x",), 11, 22, input_tokens=33, billed=4, unpriced_tokens=5)


@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_a_day_begins_where_the_one_before_it_ends(zone: ZoneInfo | None) -> None:
    for day in (date(2026, 3, 29), date(2026, 10, 25), date(2026, 11, 1), date(2026, 11, 26)):
        begin = beginning(day, zone)
        assert day_of(begin, zone) == day
        assert day_of(begin - 1, zone) < day
        assert begin % BUCKET == 0


def test_a_week_begins_on_monday_and_a_month_on_its_first() -> None:
    assert week_of(date(2026, 11, 26)) == date(2026, 11, 23)
    assert week_of(date(2026, 11, 23)) == date(2026, 11, 23)
    assert month_of(date(2026, 11, 26)) == date(2026, 11, 1)


@settings(deadline=None)
@given(totals, st.sampled_from(ZONES))
def test_nothing_is_lost_by_putting_it_together(given_: list[Total], zone: ZoneInfo | None) -> None:
    dated = list(with_days(given_, zone))
    assert [day for day, _ in dated] == [day_of(int(total.key[0] or 0), zone) for total in given_]
    assert sum(total.covered for _, total in dated) == sum(total.covered for total in given_)
    assert [total.key for _, total in dated] == [total.key[1:] for total in given_]


@settings(deadline=None)
@given(st.floats(0, 4e9), st.floats(1, 1e7), st.sampled_from([900, 3600, 86400]))
def test_spans_cover_the_time_without_gaps(since: float, seconds: float, length: int) -> None:
    begins = slots(since, since + seconds, length)
    assert begins[0] <= since
    assert begins[-1] + length >= since + seconds - 1
    assert all(begin % BUCKET == 0 for begin in begins)
    assert all(second - first == length for first, second in itertools.pairwise(begins))


def test_no_time_is_one_span() -> None:
    assert slots(1000.0, 1000.0, 3600) == [900]

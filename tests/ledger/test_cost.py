"""Money: picodollars, sums of what has and has not a price, and how it is written."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_proxy.ledger.cost import PER_DOLLAR, Cost, dollars


def test_a_sum_keeps_the_four_numbers_apart() -> None:
    on_the_plan = Cost(list_value=7, billed=0, covered=7, source="a", dated="2026-11-09")
    on_a_key = Cost(list_value=5, billed=5, covered=0, unpriced_tokens=3, source="a", dated="2026-11-01")
    assert on_the_plan + on_a_key == Cost(12, 5, 7, 3, "a", "2026-11-01")


def test_what_has_no_price_adds_tokens_and_no_money() -> None:
    assert Cost(5, 5, 0) + Cost(None, None, None, 9) == Cost(5, 5, 0, 9)
    assert Cost(None, None, None, 1) + Cost(None, None, None, 2) == Cost(unpriced_tokens=3)


def test_a_sum_names_all_its_sources() -> None:
    assert (Cost(1, source="a") + Cost(1, source="b")).source == "a, b"
    assert (Cost(1) + Cost(1, source="b")).source == "b"


@pytest.mark.parametrize(
    ("amount", "places", "text"),
    [
        (0, 12, "0.00"),
        (1, 12, "0.000000000001"),
        (PER_DOLLAR, 12, "1.00"),
        (12_840_000_000_000, 2, "12.84"),
        (12_845_000_000_000, 2, "12.85"),
        (999_999_999_999, 2, "1.00"),
        (29_200_000_000, 6, "0.0292"),
        (-1_500_000_000_000, 2, "-1.50"),
    ],
)
def test_an_amount_is_written_in_dollars(amount: int, places: int, text: str) -> None:
    assert dollars(amount, places) == text


@given(st.integers(-(10**18), 10**18))
def test_what_is_written_in_full_is_exact(amount: int) -> None:
    assert Decimal(dollars(amount)) * PER_DOLLAR == amount

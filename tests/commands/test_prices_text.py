"""What is said of a model: each price with the size of prompt from which it applies."""

from claude_proxy.commands.prices_text import price_lines, price_row
from claude_proxy.ledger.price_table import rates
from claude_proxy.ledger.prices import PriceList, PriceSettings

OWN = PriceList(PriceSettings({"m": rates({"input": ["1", [[10, "2"], [1000, "3"]]], "output": ["4", [[1000, "5"]]]})}))


def test_each_size_of_prompt_has_a_line_with_what_applies_then() -> None:
    row = price_row(OWN, "m", 1.8e9)
    assert row["prices"] == {
        "input": [(0, "1.00"), (10, "2.00"), (1000, "3.00")],
        "output": [(0, "4.00"), (1000, "5.00")],
    }
    assert [line.split() for line in price_lines([row], whole=False)][1:] == [
        ["m", "1.00", "4.00", "-", "-", "-"],
        ["prompt", "over", "10", "2.00", "4.00", "-", "-", "-"],
        ["prompt", "over", "1,000", "3.00", "5.00", "-", "-", "-"],
    ]


def test_a_web_search_is_told_for_a_thousand() -> None:
    assert price_row(PriceList(), "claude-opus-5-5", 1.8e9)["prices"]["web_search"] == [(0, "10.00")]


def test_prices_are_those_of_the_moment() -> None:
    before, after = (price_row(PriceList(), "claude-opus-4-6", at)["prices"]["input"] for at in (1.77e9, 1.8e9))
    assert before == [(0, "5.00"), (200000, "10.00")]
    assert after == [(0, "5.00")]


def test_a_model_without_a_price_has_no_prices() -> None:
    assert price_row(PriceList(), "nobody-s", 1.8e9) == {
        "model": "nobody-s",
        "known_as": None,
        "provider": None,
        "source": None,
    }

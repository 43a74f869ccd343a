"""The section `prices`."""

from pathlib import Path

import pytest

from claude_proxy.ledger.price_table import rates
from claude_proxy.ledger.prices import PriceSettings
from tests.config.loading import faults, loaded


def test_nothing_is_priced_by_default(tmp_path: Path) -> None:
    assert loaded(tmp_path, "{}").prices == PriceSettings()


def test_prices_are_read_exactly(tmp_path: Path) -> None:
    text = (
        "prices: { models: { 'Kimi-*': { input: 0.6, output: '2.5', cache_read: 1e-06, cache_write_1h: 3 }, "
        "m: { output: 0, web_search: 10 } } }"
    )
    assert loaded(tmp_path, text).prices == PriceSettings(
        {
            "Kimi-*": rates({"input": "0.6", "output": "2.5", "cache_read": "0.000001", "cache_write_1h": "3"}),
            "m": rates({"output": "0", "web_search": "10"}),
        }
    )


def test_a_price_can_be_set_by_a_variable(tmp_path: Path) -> None:
    variable = {"CLAUDE_PROXY_PRICES__MODELS__KIMI__INPUT": "0.25"}
    assert list(loaded(tmp_path, "{}", variable).prices.models.values()) == [rates({"input": "0.25"})]


@pytest.mark.parametrize("price", ["-1", "free", "0.0000001", "1000001", ".nan", ".inf", "true", "[1]", "{}"])
def test_what_is_no_price_is_told(tmp_path: Path, price: str) -> None:
    (told,) = faults(tmp_path, f"prices: {{ models: {{ m: {{ input: {price} }} }} }}\n")
    assert told.startswith("config.yaml:1:")
    assert "prices.models.m.input: expected a number from 0 to 1000000 with at most 6 decimal places" in told


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    told = faults(tmp_path, "prices: { models: { a: {}, b: 3, c: { inptu: 1, output: 2 } }, model: {} }\n")
    assert len(told) == 4
    for words in (
        "prices.models.a: expected at least one price: input, output,",
        "prices.models.b: expected a mapping of settings",
        "prices.models.c.inptu: unknown setting; did you mean 'input'?",
        "prices.model: unknown setting; did you mean 'models'?",
    ):
        assert sum(words in each for each in told) == 1


def test_an_upstream_s_key_may_belong_to_a_plan(tmp_path: Path) -> None:
    text = (
        "credentials: { coding: { sources: ['env:A_KEY'] } }\n"
        "upstreams: { coding: { preset: kimi, credential: coding, plan: true } }\n"
    )
    upstreams = loaded(tmp_path, text).upstreams
    assert {name: upstream.plan for name, upstream in upstreams.items()} == {
        "claude": False,
        "minimax": False,
        "coding": True,
    }

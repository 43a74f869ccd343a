"""Prices are those of genai-prices, over every model of the snapshot and every kind of usage.

Where they differ, it is by intention, and the test says so.
"""

from datetime import datetime
from itertools import product

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices import calc_price

from claude_proxy.ledger.cost import PER_DOLLAR, Billing
from claude_proxy.ledger.price_table import PriceTable
from claude_proxy.ledger.prices import PriceList, Tokens
from claude_proxy.wire.usage import Usage

PRICES = PriceList()
_SNAPSHOT = PriceTable()._snapshot

USAGES = [
    Usage(1000, 10),
    Usage(0, 0, 0, 7),
    Usage(3, 5, cache_creation_input_tokens=11, cache_read_input_tokens=13),
    Usage(3, 5, 30, 13, cache_creation_5m_input_tokens=10, cache_creation_1h_input_tokens=20),
    Usage(1, 1, 50_000, 50_000),  # about the size from which Haiku 5.5 is dearer
    Usage(0, 1, 50_000, 50_000),
    Usage(250_001, 1000),
    Usage(600_000, 64_000, 200_000, 200_000),
    Usage(5, 5, web_search_requests=3),
]
MOMENTS = [
    datetime.fromisoformat(f"{text}+00:00")
    for text in ("2026-03-12T00:00", "2026-03-13T00:00", "2026-11-26T00:00", "2026-11-26T02:00")
]


def theirs(usage: Usage) -> TheirUsage:
    """In their words: input contains what was cached, and writes for five minutes are the rest of all writes."""
    tokens = Tokens.of(usage)
    return TheirUsage(
        input_tokens=tokens.prompt,
        cache_read_tokens=tokens.cache_read,
        cache_write_tokens=tokens.cache_write_5m + tokens.cache_write_1h,
        cache_write_1h_tokens=tokens.cache_write_1h,
        output_tokens=tokens.output,
        web_searches=usage.web_search_requests or 0,
    )


def asked(name: str, provider: str, usage: Usage, at: datetime, context: dict[str, str] | None = None) -> int:
    price = calc_price(
        theirs(usage), name, provider_id=provider, genai_request_timestamp=at, price_context=context
    ).total_price
    return int(price * PER_DOLLAR)


def ours(name: str, usage: Usage, at: datetime) -> int | None:
    return PRICES.cost(name, usage, at.timestamp(), Billing.API).list_value


@pytest.mark.parametrize("provider", ["anthropic", "minimax", "deepseek", "moonshotai", "zai", "openai", "openrouter"])
def test_every_model_costs_what_genai_prices_says(provider: str) -> None:
    compared = 0
    for model in _SNAPSHOT.models:
        if model.provider != provider:
            continue
        names = [*model.names, *model.begin]
        # Of OpenRouter's 755 models one name and one moment each: the rest takes half a minute.
        moments = MOMENTS[2:3] if provider == "openrouter" else MOMENTS
        for name in names[:1] if provider == "openrouter" else names:
            found = PRICES.listed(name)
            assert found is not None
            if (found.provider, found.id) != (provider, model.id):
                continue  # two providers know the name, and the first of them was taken
            for usage, at in product(USAGES, moments):
                expected = asked(name, provider, usage, at)
                # Some of OpenRouter's prices are no whole numbers of picodollars, and were rounded.
                slack = sum(Tokens.of(usage)) // 2 if provider == "openrouter" else 0
                assert abs((ours(name, usage, at) or 0) - expected) <= slack, (name, usage, at)
                compared += 1
    assert compared >= 36 * 8


@pytest.mark.parametrize(
    "name",
    [
        "claude-haiku-4-5-20251001",
        "Claude-Opus-5-5-20261001",
        "claude-sonnet-4-5@20250929",
        "claude-3-5-haiku-20241022",
        "claude-opus-4-1-20250805",
        "claude-opus-4-20250514",
    ],
)
def test_dated_names_are_those_of_the_same_models(name: str) -> None:
    assert ours(name, USAGES[3], MOMENTS[2]) == asked(name, "anthropic", USAGES[3], MOMENTS[2])


@pytest.mark.parametrize("name", ["claude-opus-5-5", "claude-opus-4-8", "claude-opus-5", "claude-fable-5-2"])
def test_fast_mode_and_batches_cost_what_genai_prices_says(name: str) -> None:
    at = MOMENTS[2]
    for base in USAGES:
        fast, batch = (_with(base, **change) for change in ({"speed": "fast"}, {"service_tier": "batch"}))
        assert ours(name, fast, at) == asked(name, "anthropic", fast, at, {"speed": "fast"})
        assert ours(name, batch, at) == asked(name, "anthropic", batch, at, {"processing": "batch"})


def test_where_fast_mode_has_no_price_genai_prices_takes_the_ordinary_one_and_we_none() -> None:
    usage, at = Usage(10, 10, speed="fast"), MOMENTS[2]
    assert asked("claude-sonnet-5-5", "anthropic", usage, at, {"speed": "fast"}) > 0
    assert ours("claude-sonnet-5-5", usage, at) is None


def test_the_surcharge_for_the_us_is_ours_alone() -> None:
    usage, at = Usage(10, 10, inference_geo="us"), MOMENTS[2]
    assert (ours("claude-opus-5-5", usage, at) or 0) * 10 == asked("claude-opus-5-5", "anthropic", usage, at) * 11


def test_a_batch_before_the_discount_was_told_has_it_all_the_same() -> None:
    usage, at = Usage(10, 10, service_tier="batch"), MOMENTS[0]
    assert (ours("claude-opus-4-5", usage, at) or 0) * 2 == asked("claude-opus-4-5", "anthropic", usage, at)


def _with(usage: Usage, **changes: str) -> Usage:
    changed = Usage()
    changed.update(usage)
    changed.update(Usage(**changes))  # type: ignore[arg-type]  # the words among its fields
    return changed

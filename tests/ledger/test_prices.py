"""What an answer costs: kinds of tokens, sizes of prompts, speed, tier, place, calls of other models, who pays."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_proxy.ledger.cost import PER_DOLLAR, Billing, Cost
from claude_proxy.ledger.price_table import PriceTable, rates
from claude_proxy.ledger.prices import STALE_AFTER, PriceList, PriceSettings, Tokens
from claude_proxy.wire.usage import Iteration, Usage

NOW = datetime(2026, 11, 26, tzinfo=UTC).timestamp()
MILLION = 10**6
PRICES = PriceList()

# Dollars per million tokens are picodollars per token, times a million: with a million tokens of each kind, the
# prices that Anthropic publishes can be read off the sum.
_OPUS = "claude-opus-5-5"


def value(model: str, usage: Usage, at: float = NOW) -> float | None:
    """The list value in dollars."""
    found = PRICES.cost(model, usage, at, Billing.API).list_value
    return None if found is None else found / PER_DOLLAR


@pytest.mark.parametrize(
    ("usage", "dollars"),
    [
        (Usage(input_tokens=MILLION), 4),
        (Usage(output_tokens=MILLION), 20),
        (Usage(cache_read_input_tokens=MILLION), 0.2),
        (Usage(cache_creation_input_tokens=MILLION), 5),
        (Usage(cache_creation_5m_input_tokens=MILLION), 5),
        (Usage(cache_creation_1h_input_tokens=MILLION), 8),
        (Usage(cache_creation_input_tokens=MILLION, cache_creation_1h_input_tokens=MILLION), 8),
        (Usage(cache_creation_input_tokens=3 * MILLION, cache_creation_1h_input_tokens=MILLION), 18),
        (Usage(output_tokens=MILLION, thinking_tokens=MILLION), 20),
        (Usage(web_search_requests=1000), 10),
        (Usage(web_search_requests=0, input_tokens=MILLION, web_fetch_requests=5), 4),
    ],
)
def test_each_kind_of_token_has_its_own_price(usage: Usage, dollars: float) -> None:
    assert value(_OPUS, usage) == dollars


def test_a_cache_read_is_no_fixed_share_of_the_input() -> None:
    reads = {
        model: value(model, Usage(cache_read_input_tokens=MILLION)) for model in ("claude-fable-5", "claude-fable-5-1")
    }
    assert reads == {"claude-fable-5": 1, "claude-fable-5-1": 0.25}


@pytest.mark.parametrize(("prompt", "dollars"), [(Usage(100_000, MILLION), 0.51), (Usage(100_001, MILLION), 2.5500005)])
def test_a_prompt_beyond_a_size_makes_every_token_dearer(prompt: Usage, dollars: float) -> None:
    assert value("claude-haiku-5-5", prompt) == dollars


def test_cached_tokens_count_to_the_size_of_the_prompt() -> None:
    usage = Usage(1, 0, cache_creation_input_tokens=50_000, cache_read_input_tokens=50_000)
    assert value("claude-haiku-5-5", usage) == pytest.approx(5e-7 + 50_000 * 0.625e-6 + 50_000 * 0.05e-6)


def test_prices_are_those_of_the_day_of_the_call() -> None:
    usage = Usage(300_000, 0)
    before, after = (datetime(2026, 3, day, tzinfo=UTC).timestamp() for day in (12, 13))
    assert (value("claude-opus-4-6", usage, before), value("claude-opus-4-6", usage, after)) == (3.0, 1.5)


@pytest.mark.parametrize(
    ("changes", "dollars"),
    [
        ({}, 24),
        ({"speed": "standard", "service_tier": "standard", "inference_geo": "global"}, 24),
        ({"speed": "fast"}, 48),
        ({"service_tier": "batch"}, 12),
        ({"service_tier": "priority"}, 24),
        ({"inference_geo": "us"}, 26.4),
        ({"inference_geo": "us", "speed": "fast"}, 52.8),
        ({"inference_geo": "a region of tomorrow"}, 24),
    ],
)
def test_speed_tier_and_place_have_prices(changes: dict[str, Any], dollars: float) -> None:
    assert value(_OPUS, Usage(MILLION, MILLION, **changes)) == dollars


def test_a_model_that_is_not_offered_in_one_place_costs_the_same_everywhere() -> None:
    assert value("claude-haiku-4-5", Usage(MILLION, inference_geo="us")) == 1


def test_a_web_search_costs_the_same_everywhere() -> None:
    assert value(_OPUS, Usage(web_search_requests=1000, inference_geo="us", speed="fast")) == 10


@pytest.mark.parametrize(
    ("model", "usage"),
    [
        ("a-model-of-tomorrow", Usage(1, 2, 3, 4)),
        ("", Usage(1, 2, 3, 4)),
        ("claude-sonnet-5-5", Usage(1, 2, 3, 4, speed="fast")),
        (_OPUS, Usage(1, 2, 3, 4, speed="faster")),
        (_OPUS, Usage(1, 2, 3, 4, service_tier="a tier of tomorrow")),
    ],
)
def test_what_nobody_has_told_the_price_of_is_unpriced_and_never_nothing(model: str, usage: Usage) -> None:
    assert PRICES.cost(model, usage, NOW, Billing.API) == Cost(None, None, 0, 10)
    usage.speed = None
    assert PRICES.cost("a-model-of-tomorrow", usage, NOW, Billing.PLAN) == Cost(None, 0, None, 10)


def test_nobody_knows_what_was_not_metered() -> None:
    assert PRICES.cost(_OPUS, Usage(speed="fast"), NOW, Billing.API) == Cost()
    assert PRICES.cost(_OPUS, Usage(0, 0), NOW, Billing.API) == Cost(0, 0, 0)


def test_a_plan_covers_what_a_key_is_billed_for() -> None:
    usage = Usage(MILLION, 0)
    on_the_plan = PRICES.cost(_OPUS, usage, NOW, Billing.PLAN)
    on_a_key = PRICES.cost(_OPUS, usage, NOW, Billing.API)
    four = 4 * PER_DOLLAR
    assert (on_the_plan.list_value, on_the_plan.billed, on_the_plan.covered) == (four, 0, four)
    assert (on_a_key.list_value, on_a_key.billed, on_a_key.covered) == (four, four, 0)
    assert (on_a_key.source, on_a_key.dated) == ("genai-prices 0.2.3", "2026-11-09")


@pytest.mark.parametrize("model", [_OPUS, "qwen-on-this-machine"])
def test_what_nobody_pays_for_costs_nothing(model: str) -> None:
    assert PRICES.cost(model, Usage(5, 5), NOW, Billing.NONE) == Cost(0, 0, 0)


def of(kind: str, tokens_in: int, tokens_out: int = 0, model: str | None = None) -> Iteration:
    return Iteration(kind, model, Usage(tokens_in, tokens_out))


def test_an_advisor_is_told_apart_and_has_its_own_price_and_speed() -> None:
    usage = Usage(
        MILLION,
        0,
        speed="fast",
        iterations=(of("message", MILLION, 0), of("advisor_message", MILLION, 0, model="claude-haiku-4-5")),
    )
    assert value(_OPUS, usage) == 8 + 1


def test_a_compaction_is_told_apart_and_costs_what_the_model_costs() -> None:
    usage = Usage(MILLION, 0, iterations=(of("compaction", MILLION, MILLION), of("message", MILLION, 0)))
    assert value(_OPUS, usage) == 24 + 4


def test_a_fallback_is_priced_as_the_model_that_answered() -> None:
    calls = (of("message", MILLION, 0, model="claude-fable-5-2"), of("fallback_message", 0, MILLION, model=_OPUS))
    assert value("claude-fable-5-2", Usage(MILLION, MILLION, iterations=calls)) == 8 + 20


def test_each_call_has_the_size_of_its_own_prompt() -> None:
    calls = (of("message", 60_000, 0), of("message", 70_000, 0))
    assert value("claude-haiku-5-5", Usage(130_000, 0, iterations=calls)) == 0.013
    assert value("claude-haiku-5-5", Usage(130_000, 0)) == 0.065


def test_what_the_calls_do_not_tell_is_not_lost() -> None:
    assert value(_OPUS, Usage(3 * MILLION, 0, iterations=(of("message", MILLION, 0), of("of_tomorrow", MILLION)))) == 12


def test_an_advisor_that_is_told_alone_is_not_taken_for_a_part_of_the_answer() -> None:
    advisor = of("advisor_message", MILLION, 0, model="claude-haiku-4-5")
    assert value(_OPUS, Usage(MILLION, 0, iterations=(advisor,))) == 4 + 1


def test_web_searches_are_counted_once_however_many_calls_there_were() -> None:
    calls = (of("message", MILLION), of("message", MILLION))
    assert value(_OPUS, Usage(2 * MILLION, 0, web_search_requests=1000, iterations=calls)) == 8 + 10


def test_one_call_without_a_price_does_not_hide_the_others() -> None:
    usage = Usage(MILLION, 0, iterations=(of("message", MILLION, 0), of("advisor_message", 7, 3, model="unknown")))
    assert PRICES.cost(_OPUS, usage, NOW, Billing.API) == Cost(
        4 * PER_DOLLAR, 4 * PER_DOLLAR, 0, 10, "genai-prices 0.2.3", "2026-11-09"
    )


_counts = st.none() | st.integers(0, 10**9)


@given(st.lists(st.builds(Usage, _counts, _counts, _counts, _counts, _counts, _counts), max_size=5))
def test_money_adds_up_to_the_last_picodollar(answers: list[Usage]) -> None:
    rate = {"input": 4, "output": 20, "cache_read": 0.2, "cache_write_5m": 5, "cache_write_1h": 8}
    expected = 0
    total = Cost(0, 0, 0)
    for usage in answers:
        expected += sum(
            tokens * round(rate[kind] * MILLION) for kind, tokens in zip(rate, _in_order(usage, rate), strict=True)
        )
        total += PRICES.cost(_OPUS, usage, NOW, Billing.PLAN)
    assert (total.list_value, total.billed, total.covered) == (expected, 0, expected)


def _in_order(usage: Usage, kinds: dict[str, float]) -> list[int]:
    return [getattr(Tokens.of(usage), kind) for kind in kinds]


def test_the_users_own_price_goes_first_for_every_speed_tier_and_place() -> None:
    own = PriceList(
        PriceSettings({"Claude-Opus-*": rates({"input": "1", "output": "2"}), "local-?": rates({"input": "0.5"})})
    )
    usage = Usage(MILLION, MILLION, MILLION, MILLION, speed="fast", service_tier="batch", inference_geo="us")
    assert own.cost(_OPUS, usage, NOW, Billing.API) == Cost(5 * PER_DOLLAR, 5 * PER_DOLLAR, 0, 0, "configuration")
    # No price for output: a kind is unpriced for itself.
    assert own.cost("local-1", Usage(MILLION, 7), NOW, Billing.API) == Cost(
        PER_DOLLAR // 2, PER_DOLLAR // 2, 0, 7, "configuration"
    )
    assert own.cost("claude-haiku-4-5", Usage(MILLION), NOW, Billing.API).list_value == PER_DOLLAR


def test_an_old_price_list_says_so() -> None:
    day = 86400
    dated = datetime(2026, 11, 9, tzinfo=UTC).timestamp()
    assert PRICES.dated == "2026-11-09"
    assert [PRICES.age(dated + days * day) for days in (0, 0.99, 1, 90)] == [0, 0, 1, 90]
    assert [PRICES.is_stale(dated + days * day) for days in (STALE_AFTER, STALE_AFTER + 1)] == [False, True]


def test_nothing_is_read_before_a_price_is_asked_for() -> None:
    table = PriceTable(b"no JSON")
    prices = PriceList(PriceSettings({"m": rates({"input": "1"})}), table)
    assert prices.cost("m", Usage(1), NOW, Billing.API).list_value == MILLION
    with pytest.raises(ValueError, match="malformed"):
        prices.cost("another", Usage(1), NOW, Billing.API)


def test_a_tiered_price_without_tiers_in_other_kinds_is_read_by_the_same_prompt() -> None:
    model = {"id": "m", "provider": "p", "names": ["m"], "prices": [{"input": ["1", [[10, "2"]]], "output": "3"}]}
    snapshot = PriceTable(json.dumps({"source": "s", "dated": "2026-01-01", "models": [model]}).encode())
    prices = PriceList(table=snapshot)
    costs = [prices.cost("m", Usage(tokens, 1), NOW, Billing.API).list_value for tokens in (10, 11)]
    assert costs == [10 * MILLION + 3 * MILLION, 22 * MILLION + 3 * MILLION]

"""What an exchange cost: who pays for it, and its attempts that began an answer and failed."""

from typing import Any

import msgspec
import pytest

from claude_proxy.exchange import Attempt, End
from claude_proxy.ledger.cost import PER_DOLLAR, Billing, Cost
from claude_proxy.ledger.price_table import rates
from claude_proxy.ledger.prices import PriceList, PriceSettings
from claude_proxy.ledger.pricing import Pricing, billing_of
from claude_proxy.wire.quota import Overage, Quota, Window
from claude_proxy.wire.usage import Usage
from tests.client_requests import count_request, message_request
from tests.observers.closed_exchanges import REFUSED, attempt, exchange

PROMPT = Usage(100_000)  # of 3 dollars for a million


def tried(upstream: str = "claude", **fields: Any) -> Attempt:
    return msgspec.structs.replace(attempt(upstream), **fields)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"on_plan": True}, Billing.PLAN),
        ({"on_plan": False}, Billing.API),
        ({"on_plan": None}, Billing.NONE),
        ({"quota": Quota("allowed", overage=Overage(in_use=False))}, Billing.PLAN),
        ({"quota": Quota("allowed", overage=Overage(Window("allowed")))}, Billing.PLAN),
        ({"quota": Quota("rejected", overage=Overage(in_use=True))}, Billing.API),
    ],
)
def test_the_credential_says_who_pays_and_the_answer_when_the_plan_is_spent(
    fields: dict[str, Any], expected: Billing
) -> None:
    assert billing_of(exchange(), tried(**fields)) is expected


def test_fast_answers_are_billed_on_a_plan_too() -> None:
    assert billing_of(exchange(usage=Usage(1, speed="fast")), tried()) is Billing.API
    assert billing_of(exchange(usage=Usage(1, speed="standard")), tried()) is Billing.PLAN
    # It is the attempt's own speed that counts.
    assert billing_of(exchange(), tried(usage=Usage(1, speed="fast"))) is Billing.API


def test_a_count_of_tokens_costs_nothing() -> None:
    assert billing_of(exchange(count_request()), tried(on_plan=False)) is Billing.NONE


def test_an_exchange_costs_what_all_its_attempts_did() -> None:
    began = tried("gateway", failure=REFUSED, usage=PROMPT, on_plan=False)
    refused = tried("minimax", failure=REFUSED, on_plan=False)
    priced = Pricing().of(exchange(attempts=[began, refused, tried()], usage=PROMPT))
    price = 3 * PER_DOLLAR // 10
    assert (priced.list_value, priced.billed, priced.covered) == (2 * price, price, price)


def test_an_answer_that_began_and_failed_everywhere_is_priced_too() -> None:
    began = tried(failure=REFUSED, usage=PROMPT)
    failed = exchange(attempts=[began], upstream="", usage=Usage(), end=End.FAILED)
    assert Pricing().of(failed).covered == 3 * PER_DOLLAR // 10


def test_what_nobody_answered_has_no_cost() -> None:
    assert Pricing().of(exchange(attempts=[], upstream="", usage=Usage())) == Cost()
    assert Pricing().of(exchange(attempts=[tried(failure=REFUSED)], upstream="", usage=Usage())) == Cost()


def test_the_same_exchange_is_priced_once_and_only_when_it_has_ended() -> None:
    pricing, open_one = Pricing(), exchange(usage=Usage(1), end=None)
    assert pricing.of(open_one).list_value == 3_000_000
    open_one.usage, open_one.end = Usage(2), End.COMPLETE
    assert pricing.of(open_one).list_value == 6_000_000
    assert pricing.by_attempt(open_one) is pricing.by_attempt(open_one)
    assert pricing.of(exchange(message_request(), id="another", usage=Usage(3))).list_value == 9_000_000


def test_other_prices_hold_for_the_exchanges_that_end_after_them() -> None:
    pricing = Pricing()
    assert pricing.of(exchange(usage=PROMPT)).list_value == 3 * PER_DOLLAR // 10
    pricing.prices = pricing.prices.under(PriceSettings({"claude-*": rates({"input": "1"})}))
    assert pricing.of(exchange(id="next", usage=PROMPT)).list_value == PER_DOLLAR // 10
    assert pricing.prices.dated == PriceList().dated

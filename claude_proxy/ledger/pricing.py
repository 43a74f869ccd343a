"""What an exchange cost: each of its attempts by who paid for it, whether the client got an answer or not."""

from typing import NamedTuple

from claude_proxy.exchange import Attempt, Exchange
from claude_proxy.ledger.cost import NO_COST, Billing, Cost
from claude_proxy.ledger.prices import PriceList


class _Priced(NamedTuple):
    """What one exchange cost, told apart by attempts and altogether."""

    exchange_id: str
    attempts: list[tuple[Attempt, Cost]]
    cost: Cost


class Pricing:
    """Prices exchanges that have closed. Several who watch ask for the same one, one after the other."""

    def __init__(self, prices: PriceList | None = None) -> None:
        self.prices = prices or PriceList()
        """Swapped whole by a reload."""
        self._newest = _Priced("", [], NO_COST)

    def of(self, exchange: Exchange) -> Cost:
        """What it cost, all attempts together; those that began an answer and failed are billed as well."""
        return self._priced(exchange).cost

    def by_attempt(self, exchange: Exchange) -> list[tuple[Attempt, Cost]]:
        """What each attempt cost of which an answer had begun."""
        return self._priced(exchange).attempts

    def _priced(self, exchange: Exchange) -> _Priced:
        newest = self._newest  # looked at once: the ledger's thread asks as well
        if newest.exchange_id == exchange.id:
            return newest
        attempts = []
        for attempt in exchange.attempts:
            answered = attempt is exchange.attempts[-1] and bool(exchange.upstream)
            usage = exchange.usage if answered else attempt.usage
            if usage is not None:
                billing = billing_of(exchange, attempt)
                attempts.append((attempt, self.prices.cost(attempt.model, usage, exchange.accepted, billing)))
        costs = [cost for _, cost in attempts]
        priced = _Priced(exchange.id, attempts, costs[0] if len(costs) == 1 else sum(costs, NO_COST))
        if exchange.end is not None:
            self._newest = priced
        return priced


def billing_of(exchange: Exchange, attempt: Attempt) -> Billing:
    """Who pays for an attempt, as the credential tells that was sent.

    A login that goes on beyond its plan pays by the token, at the prices of the API: the answer says so in
    `anthropic-ratelimit-unified-overage-in-use`. No plan contains fast answers, however much of it is left
    (https://code.claude.com/docs/en/fast-mode).
    """
    if attempt.on_plan is None or exchange.request.counts_tokens:
        return Billing.NONE
    overage = attempt.quota.overage if attempt.quota is not None else None
    beyond = overage is not None and overage.in_use is True
    fast = (attempt.usage or exchange.usage).speed == "fast"
    return Billing.PLAN if attempt.on_plan and not beyond and not fast else Billing.API

"""What an exchange cost: each of its attempts by who paid for it, whether the client got an answer or not."""

from claude_proxy.exchange import Attempt, Exchange
from claude_proxy.ledger.cost import Billing, Cost
from claude_proxy.ledger.prices import PriceList


class Pricing:
    """Prices exchanges that have closed. Several who watch ask for the same one, one after the other."""

    def __init__(self, prices: PriceList | None = None) -> None:
        self.prices = prices or PriceList()
        """Swapped whole by a reload."""
        self._newest: tuple[str, list[tuple[Attempt, Cost]]] = ("", [])

    def of(self, exchange: Exchange) -> Cost:
        """What it cost, all attempts together; those that began an answer and failed are billed as well."""
        costs = [cost for _, cost in self.by_attempt(exchange)]
        return costs[0] if len(costs) == 1 else sum(costs, Cost())

    def by_attempt(self, exchange: Exchange) -> list[tuple[Attempt, Cost]]:
        """What each attempt cost of which an answer had begun."""
        if exchange.end is None:
            return self._priced(exchange)
        if self._newest[0] != exchange.id:
            self._newest = exchange.id, self._priced(exchange)
        return self._newest[1]

    def _priced(self, exchange: Exchange) -> list[tuple[Attempt, Cost]]:
        priced = []
        for attempt in exchange.attempts:
            answered = attempt is exchange.attempts[-1] and bool(exchange.upstream)
            usage = exchange.usage if answered else attempt.usage
            if usage is not None:
                billing = billing_of(exchange, attempt)
                priced.append((attempt, self.prices.cost(attempt.model, usage, exchange.accepted, billing)))
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

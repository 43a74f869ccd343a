"""What is counted of every exchange, each count declared here as Prometheus' metric; `scrape.py` shows them.

Labels are bounded: upstreams and routes come from the configuration, and a model that the configuration does not
know is counted as `other`.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from claude_proxy.exchange import Attempt, Exchange, Observer
from claude_proxy.failures import Failure
from claude_proxy.ledger.cost import PER_DOLLAR
from claude_proxy.ledger.prices import Tokens
from claude_proxy.ledger.pricing import Pricing
from claude_proxy.observers.tallies import Histograms, Sums
from claude_proxy.wire.usage import Usage

_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600)
_LAGS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_SERVER_TOOLS = {
    "web_search": "web_search_requests",
    "web_fetch": "web_fetch_requests",
    "code_execution": "code_execution_requests",
}

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of a scrape's text."""


class Metrics(Observer):
    """Counts exchanges as they close. `known_model` tells whether a name may become a label."""

    def __init__(self, known_model: Callable[[str], bool], pricing: Pricing | None = None) -> None:
        self._known_model = known_model
        self._pricing = pricing or Pricing()
        self._requests = Sums(
            "claude_proxy_requests_total",
            "Exchanges closed, by who answered and how they ended.",
            ("upstream", "model", "status_class", "end"),
        )
        self._duration = Histograms(
            "claude_proxy_request_duration_seconds",
            "From a request's arrival to the end of its answer.",
            _SECONDS,
            ("upstream",),
        )
        self._first_byte = Histograms(
            "claude_proxy_time_to_first_byte_seconds",
            "From a request's arrival to the first byte of its answer.",
            _SECONDS,
            ("upstream",),
        )
        self._tokens = Sums(
            "claude_proxy_tokens_total", "Tokens that upstreams reported.", ("upstream", "model", "type")
        )
        self._tool_requests = Sums(
            "claude_proxy_server_tool_requests_total",
            "Requests of tools that run at the upstream, as it reported them.",
            ("upstream", "model", "tool"),
        )
        self._cost = Sums(
            "claude_proxy_cost_usd_total",
            "US dollars by the price list: billed by the token (api), or covered by a subscription (plan).",
            ("upstream", "model", "billing"),
        )
        self._unpriced = Sums(
            "claude_proxy_unpriced_tokens_total",
            "Tokens of which no price is known; they are in no sum of money.",
            ("upstream", "model"),
        )
        self._errors = Sums(
            "claude_proxy_upstream_errors_total", "Attempts that failed, by kind.", ("upstream", "kind")
        )
        self._skips = Sums(
            "claude_proxy_targets_skipped_total",
            "Targets passed over without being asked: no credential, or an open breaker.",
            ("upstream", "kind"),
        )
        self._failovers = Sums(
            "claude_proxy_failovers_total",
            "Exchanges that another target answered than the one asked first.",
            ("from_upstream", "to_upstream"),
        )
        self.loop_lag = Histograms(
            "claude_proxy_event_loop_lag_seconds",
            "How much too late the event loop comes to what is due; looked at four times a second.",
            _LAGS,
        )
        self.counted = (
            self._requests,
            *(self._duration, self._first_byte),
            *(self._tokens, self._tool_requests, self._cost, self._unpriced),
            *(self._errors, self._skips, self._failovers),
            self.loop_lag,
        )

    def skipped(self, exchange: Exchange, upstream: str, failure: Failure) -> None:
        self._skips.add(1, upstream, failure.kind.value)

    def attempt_failed(self, exchange: Exchange, attempt: Attempt) -> None:
        if attempt.failure is not None:
            self._errors.add(1, attempt.upstream, attempt.failure.kind.value)
        if attempt.usage is not None:
            self._count_tokens(attempt.upstream, self._model(exchange), attempt.usage)

    def closed(self, exchange: Exchange) -> None:
        model = self._model(exchange)
        upstream = exchange.upstream or "none"
        status_class = f"{exchange.status // 100}xx" if exchange.status else "none"
        self._requests.add(1, upstream, model, status_class, str(exchange.end))
        if exchange.ended is not None:
            self._duration.observe(exchange.ended - exchange.started, upstream)
        if exchange.first_byte is not None:
            self._first_byte.observe(exchange.first_byte - exchange.started, upstream)
        self._count_tokens(upstream, model, exchange.usage)
        self._count_cost(exchange, model)
        first = exchange.attempts[0].upstream if exchange.attempts else upstream
        if exchange.upstream and first != exchange.upstream:
            self._failovers.add(1, first, exchange.upstream)

    def _model(self, exchange: Exchange) -> str:
        name = exchange.request.model
        return name if name and self._known_model(name) else ("other" if name else "none")

    def _count_tokens(self, upstream: str, model: str, usage: Usage) -> None:
        for kind, amount in zip(Tokens._fields, Tokens.of(usage), strict=True):
            if amount:
                self._tokens.add(amount, upstream, model, kind)
        for tool, field in _SERVER_TOOLS.items():
            if amount := getattr(usage, field):
                self._tool_requests.add(amount, upstream, model, tool)

    def _count_cost(self, exchange: Exchange, model: str) -> None:
        for attempt, cost in self._pricing.by_attempt(exchange):
            for billing, amount in (("api", cost.billed), ("plan", cost.covered)):
                if amount:
                    self._cost.add(amount / PER_DOLLAR, attempt.upstream, model, billing)
            if cost.unpriced_tokens:
                self._unpriced.add(cost.unpriced_tokens, attempt.upstream, model)


class UpstreamState(NamedTuple):
    """What a scrape shows of one upstream: its breaker's state, why each part of it is open (whose affair, which
    kind of failure), and how many requests it is answering and are waiting for it."""

    circuit: str
    open_for: Sequence[tuple[str, str]]
    in_use: int
    waiting: int

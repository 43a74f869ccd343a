"""Every Prometheus metric is declared here.

Labels are bounded: upstreams and routes come from the configuration, and a model that the configuration does not
know is counted as `other`.
"""

from collections import Counter as Counted
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from itertools import accumulate
from typing import NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from claude_proxy import __version__
from claude_proxy.exchange import Attempt, Exchange, Observer
from claude_proxy.failures import Failure
from claude_proxy.ledger.cost import PER_DOLLAR
from claude_proxy.ledger.prices import PriceList, Tokens
from claude_proxy.ledger.pricing import Pricing
from claude_proxy.observers.quota import Reading
from claude_proxy.observers.recorder import RecorderState
from claude_proxy.observers.tallies import Histograms, Sums
from claude_proxy.wire.quota import Window
from claude_proxy.wire.usage import Usage

_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600)
_LAGS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_SERVER_TOOLS = {
    "web_search": "web_search_requests",
    "web_fetch": "web_fetch_requests",
    "code_execution": "code_execution_requests",
}
_STATUSES = ("allowed", "allowed_warning", "rejected")

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics(Observer, Collector):
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
        self._counted = (
            self._requests,
            *(self._duration, self._first_byte),
            *(self._tokens, self._tool_requests, self._cost, self._unpriced),
            *(self._errors, self._skips, self._failovers),
            self.loop_lag,
        )
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """All that was counted, as a scrape shows it."""
        for counted in self._counted:
            yield _sums(counted) if isinstance(counted, Sums) else _histograms(counted)

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

    def render(self) -> bytes:
        """The text that a scrape gets."""
        return generate_latest(self.registry)


class UpstreamState(NamedTuple):
    """What a scrape shows of one upstream: its breaker's state, why each part of it is open (whose affair, which
    kind of failure), and how many requests it is answering and are waiting for it."""

    circuit: str
    open_for: Sequence[tuple[str, str]]
    in_use: int
    waiting: int


class StateCollector(Collector):
    """What is not counted but looked up at each scrape: what is in flight, upstreams, reads of credentials."""

    def __init__(
        self,
        in_flight: Callable[[], int],
        upstreams: Callable[[], Mapping[str, UpstreamState]],
        reads: Callable[[], Mapping[tuple[str, str], int]],
    ) -> None:
        self._in_flight = in_flight
        self._upstreams = upstreams
        self._reads = reads

    def collect(self) -> Iterable[Metric]:
        yield InfoMetricFamily("claude_proxy_build", "The running version.", {"version": __version__})
        yield GaugeMetricFamily("claude_proxy_requests_in_flight", "Requests being answered now.", self._in_flight())
        states = GaugeMetricFamily(
            "claude_proxy_circuit_state",
            "1 for the state in which an upstream's breaker is, the gravest where there are several.",
            labels=("upstream", "state"),
        )
        reasons = GaugeMetricFamily(
            "claude_proxy_circuit_reason",
            "How many breakers of an upstream are not closed, by whose affair it is and the kind of failure.",
            labels=("upstream", "of", "kind"),
        )
        in_use = GaugeMetricFamily(
            "claude_proxy_upstream_requests_in_flight", "Requests an upstream is answering now.", labels=("upstream",)
        )
        waiting = GaugeMetricFamily(
            "claude_proxy_upstream_queue_length",
            "Requests that wait until an upstream has a free place.",
            labels=("upstream",),
        )
        for upstream, current in self._upstreams().items():
            for state in ("closed", "half_open", "open"):
                states.add_metric((upstream, state), float(state == current.circuit))
            for (of, kind), number in Counted(current.open_for).items():
                reasons.add_metric((upstream, of, kind), number)
            in_use.add_metric((upstream,), current.in_use)
            waiting.add_metric((upstream,), current.waiting)
        yield from (states, reasons, in_use, waiting)
        reads = CounterMetricFamily(
            "claude_proxy_credential_reads",
            "Reads of a place that may hold a credential.",
            labels=("credential", "source"),
        )
        for (credential, source), count in self._reads().items():
            reads.add_metric((credential, source), count)
        yield reads


class LedgerCollector(Collector):
    """What the recorder has done and what waits for it, looked up at each scrape."""

    def __init__(self, state: Callable[[], RecorderState]) -> None:
        self._state = state

    def collect(self) -> Iterable[Metric]:
        state = self._state()
        for name, told, count in (
            ("written", "Exchanges whose record was written whole.", state.written),
            (
                "dropped",
                "Records that were dropped: more waited than may, or they could not be written.",
                state.dropped,
            ),
        ):
            yield CounterMetricFamily(f"claude_proxy_ledger_records_{name}", told, count)
        yield CounterMetricFamily("claude_proxy_ledger_failures", "Writes that failed, by any fault.", state.failures)
        yield GaugeMetricFamily("claude_proxy_ledger_queue_records", "Records that wait to be written.", state.waiting)
        yield GaugeMetricFamily(
            "claude_proxy_ledger_queue_bytes", "About what these hold in memory, in bytes.", state.waiting_bytes
        )


class QuotaCollector(Collector):
    """What is left of the plan by the newest reading of each upstream, looked up at each scrape.

    `window` is `all` for the plan as a whole, `overage` for what is paid beyond it, else a window's own name, of
    which `QuotaWatch` keeps a bounded number; a status that is not known here is `other`.
    """

    def __init__(self, readings: Callable[[], Mapping[str, Reading]]) -> None:
        self._readings = readings

    def collect(self) -> Iterable[Metric]:
        used = GaugeMetricFamily(
            "claude_proxy_ratelimit_utilization_ratio",
            "How much of a window of the plan is used, 1 being all of it.",
            labels=("upstream", "window"),
        )
        resets = GaugeMetricFamily(
            "claude_proxy_ratelimit_reset_timestamp_seconds",
            "When a window of the plan begins anew, as Unix time.",
            labels=("upstream", "window"),
        )
        states = GaugeMetricFamily(
            "claude_proxy_ratelimit_status",
            "1 for the status in which a window of the plan is.",
            labels=("upstream", "window", "status"),
        )
        read = GaugeMetricFamily(
            "claude_proxy_ratelimit_read_timestamp_seconds",
            "When the plan's windows were last read from an answer, as Unix time.",
            labels=("upstream",),
        )
        for upstream, reading in self._readings().items():
            read.add_metric((upstream,), reading.at)
            for name, window in _windows(reading):
                if window.utilization is not None:
                    used.add_metric((upstream, name), window.utilization)
                if window.reset is not None:
                    resets.add_metric((upstream, name), window.reset)
                if window.status is not None:
                    current = window.status if window.status in _STATUSES else "other"
                    for status in (*_STATUSES, "other"):
                        states.add_metric((upstream, name, status), float(status == current))
        yield from (used, resets, states, read)


class PriceListCollector(Collector):
    """How old the prices are, looked up at each scrape."""

    def __init__(self, prices: Callable[[], PriceList]) -> None:
        self._prices = prices

    def collect(self) -> Iterable[Metric]:
        dated = datetime.combine(date.fromisoformat(self._prices().dated), time(), UTC)
        yield GaugeMetricFamily(
            "claude_proxy_price_list_timestamp_seconds",
            "The day of the newest price in the price list, as Unix time.",
            dated.timestamp(),
        )


def _sums(counted: Sums) -> Metric:
    family = CounterMetricFamily(counted.name, counted.told, labels=counted.labels)
    for labels, amount in counted.sums.items():
        family.add_metric(labels, amount, created=counted.began[labels])
    return family


def _histograms(counted: Histograms) -> Metric:
    family = HistogramMetricFamily(counted.name, counted.told, labels=counted.labels)
    steps = [*(str(float(step)) for step in counted.steps), "+Inf"]
    for labels, spread in counted.spreads.items():
        family.add_metric(labels, list(zip(steps, accumulate(spread.counts), strict=True)), spread.sum)
        named = dict(zip(counted.labels, labels, strict=True))
        family.add_sample(f"{counted.name}_created", named, spread.began)
    return family


def _windows(reading: Reading) -> Iterable[tuple[str, Window]]:
    quota = reading.quota
    yield "all", Window(quota.status, None, quota.reset)
    for name, (window, _) in reading.windows.items():
        yield name, window
    if quota.overage is not None:
        yield "overage", quota.overage.window

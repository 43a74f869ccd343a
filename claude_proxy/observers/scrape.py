"""What a scrape of Prometheus gets: what was counted, and what is looked up then, which is declared here.

The only file that imports prometheus_client, and itself imported at the first scrape: that takes 15 ms.
"""

from collections import Counter as Counted
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, time
from itertools import accumulate

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
from claude_proxy.ledger.prices import PriceList
from claude_proxy.observers.metrics import UpstreamState
from claude_proxy.observers.quota import Reading
from claude_proxy.observers.recorder import RecorderState
from claude_proxy.observers.tallies import Histograms, Sums
from claude_proxy.wire.quota import Window

_STATUSES = ("allowed", "allowed_warning", "rejected")


def registered(*collectors: Collector) -> CollectorRegistry:
    """What collectors show, one after the other."""
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    return registry


def text(*collectors: Collector) -> bytes:
    """The text that a scrape gets."""
    return generate_latest(registered(*collectors))


class CountsCollector(Collector):
    """All that was counted."""

    def __init__(self, counted: Iterable[Sums | Histograms]) -> None:
        self._counted = counted

    def collect(self) -> Iterable[Metric]:
        for counted in self._counted:
            yield _sums(counted) if isinstance(counted, Sums) else _histograms(counted)


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

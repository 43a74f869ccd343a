"""A scrape: what is looked up for it, and that its text is as prometheus_client's own counters write it."""

from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from claude_proxy import __version__
from claude_proxy.ledger.prices import PriceList
from claude_proxy.observers.metrics import Metrics, UpstreamState
from claude_proxy.observers.quota import Reading
from claude_proxy.observers.scrape import (
    CountsCollector,
    PriceListCollector,
    QuotaCollector,
    StateCollector,
    registered,
    text,
)
from claude_proxy.wire.quota import Overage, Quota, Window
from claude_proxy.wire.usage import Usage
from tests.observers.closed_exchanges import exchange
from tests.observers.scraping import scraped, value

STATES = ("closed", "half_open", "open")


def test_the_age_of_the_prices_can_be_read() -> None:
    registry = registered(PriceListCollector(PriceList))
    dated = datetime.fromisoformat(PriceList().dated).replace(tzinfo=UTC)
    assert registry.get_sample_value("claude_proxy_price_list_timestamp_seconds") == dated.timestamp()


def test_states_are_looked_up_at_each_scrape() -> None:
    upstreams = {"claude": UpstreamState("closed", [], 2, 1)}
    in_flight, reads = [3], {("claude", "keychain"): 2}
    metrics = Metrics(bool)
    collector = StateCollector(lambda: in_flight[0], lambda: upstreams, lambda: reads)
    samples = scraped(metrics, collector)
    assert value(samples, "build_info", version=__version__) == 1
    assert value(samples, "requests_in_flight") == 3
    assert value(samples, "credential_reads_total", credential="claude", source="keychain") == 2
    states = {state: value(samples, "circuit_state", upstream="claude", state=state) for state in STATES}
    assert states == {"closed": 1, "half_open": 0, "open": 0}
    assert value(samples, "upstream_requests_in_flight", upstream="claude") == 2
    assert value(samples, "upstream_queue_length", upstream="claude") == 1
    in_flight[0] = 0
    upstreams["claude"] = UpstreamState(
        "open", [("api", "connect"), ("model", "rate_limit"), ("model", "rate_limit")], 0, 0
    )
    samples = scraped(metrics, collector)
    assert value(samples, "circuit_reason", upstream="claude", of="api", kind="connect") == 1
    assert value(samples, "circuit_reason", upstream="claude", of="model", kind="rate_limit") == 2
    assert value(samples, "requests_in_flight") == 0
    states = {state: value(samples, "circuit_state", upstream="claude", state=state) for state in STATES}
    assert states == {"closed": 0, "half_open": 0, "open": 1}


def reading(quota: Quota, *names: str) -> Reading:
    return Reading(quota, 1_800_000_000.0, 0.0, {name: (quota.windows[name], 1.0) for name in names})


def test_what_is_left_of_the_plan_is_looked_up_at_each_scrape() -> None:
    windows = {"5h": Window("rejected", 1.02, 1_800_000_500.0), "7d": Window("allowed_warning", 0.8), "7d_oi": Window()}
    quota = Quota("rejected", 1_800_000_500.0, windows=windows, overage=Overage(Window("allowed", 0.25, 9.0)))
    readings = {"claude": reading(quota, *windows)}
    metrics, collector = Metrics(bool), QuotaCollector(lambda: readings)
    samples = scraped(metrics, collector)

    def values(name: str, **labels: str) -> dict[str, float | None]:
        every = ("all", "5h", "7d", "7d_oi", "overage")
        found = {w: value(samples, f"ratelimit_{name}", upstream="claude", window=w, **labels) for w in every}
        return {name: number for name, number in found.items() if number is not None}

    assert values("utilization_ratio") == {"5h": 1.02, "7d": 0.8, "overage": 0.25}
    assert values("reset_timestamp_seconds") == {"all": 1_800_000_500.0, "5h": 1_800_000_500.0, "overage": 9.0}
    assert values("status", status="rejected") == {"all": 1, "5h": 1, "7d": 0, "overage": 0}
    assert values("status", status="allowed_warning") == {"all": 0, "5h": 0, "7d": 1, "overage": 0}
    assert values("status", status="allowed") == {"all": 0, "5h": 0, "7d": 0, "overage": 1}
    assert value(samples, "ratelimit_read_timestamp_seconds", upstream="claude") == 1_800_000_000.0
    readings.clear()
    assert scraped(metrics, collector) == {}


def test_a_status_that_is_not_known_makes_no_label() -> None:
    readings = {"claude": reading(Quota("a status of tomorrow"))}
    samples = scraped(Metrics(bool), QuotaCollector(lambda: readings))
    states = {dict(labels).get("status"): number for (_, labels), number in samples.items()}
    assert states == {None: 1_800_000_000.0, "allowed": 0, "allowed_warning": 0, "rejected": 0, "other": 1}


def untimed(shown: bytes) -> list[str]:
    """The lines of a scrape, without the times at which something began to be counted."""
    return [line.split(" ")[0] if "_created{" in line else line for line in shown.decode().splitlines()]


def test_the_text_is_as_prometheus_clients_own_counters_write_it() -> None:
    metrics = Metrics(bool)
    for seconds in (0.01, 0.3, 700.0):
        metrics.closed(exchange(ended=100.0 + seconds, first_byte=None, usage=Usage()))
    registry = CollectorRegistry()
    requests = Counter(
        "claude_proxy_requests_total",
        "Exchanges closed, by who answered and how they ended.",
        ("upstream", "model", "status_class", "end"),
        registry=registry,
    )
    requests.labels("claude", "claude-sonnet-4-5", "2xx", "complete").inc(3)
    duration = Histogram(
        "claude_proxy_request_duration_seconds",
        "From a request's arrival to the end of its answer.",
        ("upstream",),
        buckets=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600),
        registry=registry,
    )
    for seconds in (0.01, 0.3, 700.0):
        duration.labels("claude").observe(100.0 + seconds - 100.0)
    own = untimed(generate_latest(registry))
    assert untimed(text(CountsCollector(metrics.counted)))[: len(own)] == own


def test_every_name_begins_with_the_proxys_own_and_is_explained() -> None:
    counts = CountsCollector(Metrics(bool).counted)
    for family in registered(counts, StateCollector(lambda: 0, dict, dict), QuotaCollector(dict)).collect():
        assert family.name.startswith("claude_proxy_")
        assert family.documentation.endswith(".")


def test_a_collector_can_be_described_without_a_scrape_of_its_own() -> None:
    registry = registered(StateCollector(lambda: 0, dict, dict))
    assert registry.get_sample_value("claude_proxy_requests_in_flight") == 0

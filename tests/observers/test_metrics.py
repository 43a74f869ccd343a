"""The metrics: what is counted, and that no request can make a label."""

from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from claude_proxy import __version__
from claude_proxy.exchange import End
from claude_proxy.failures import Failure, FailureKind
from claude_proxy.ledger.prices import PriceList
from claude_proxy.observers.metrics import (
    CONTENT_TYPE,
    Metrics,
    PriceListCollector,
    QuotaCollector,
    StateCollector,
    UpstreamState,
)
from claude_proxy.observers.quota import Reading
from claude_proxy.wire.messages import ClientRequest
from claude_proxy.wire.quota import Overage, Quota, Window
from claude_proxy.wire.usage import Usage
from tests.client_requests import message_request, other_request
from tests.observers.closed_exchanges import REFUSED, attempt, exchange

KNOWN = frozenset({"claude-sonnet-4-5", "claude-haiku-4-5"})
LAG = "claude_proxy_event_loop_lag_seconds"
STATES = ("closed", "half_open", "open")
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(KNOWN.__contains__)


def scraped(metrics: Metrics) -> Samples:
    """What a scrape reads: name and labels, without the time at which each began to count, and without the lag of
    the loop, which needs no exchange."""
    families = text_string_to_metric_families(metrics.render().decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
        if not sample.name.endswith("_created") and not sample.name.startswith(LAG)
    }


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((f"claude_proxy_{name}", tuple(sorted(labels.items()))))


def test_nothing_is_counted_before_anything_has_happened(metrics: Metrics) -> None:
    assert scraped(metrics) == {}


def test_the_lag_of_the_loop_is_counted_in_steps_of_which_one_is_twenty_milliseconds(metrics: Metrics) -> None:
    for seconds in (0.0004, 0.015, 0.03, 7.0):
        metrics.loop_lag.observe(seconds)
    text = metrics.render().decode()
    for step, count in (("0.001", 1), ("0.02", 2), ("0.05", 3), ("+Inf", 4)):
        assert f'{LAG}_bucket{{le="{step}"}} {count}.0' in text


def test_a_closed_exchange_is_counted_timed_and_its_tokens_added(metrics: Metrics) -> None:
    for _ in range(2):
        metrics.closed(exchange())
    samples = scraped(metrics)
    model = {"upstream": "claude", "model": "claude-sonnet-4-5"}
    assert value(samples, "requests_total", **model, status_class="2xx", end="complete") == 2
    assert value(samples, "request_duration_seconds_sum", upstream="claude") == 3.0
    assert value(samples, "request_duration_seconds_bucket", upstream="claude", le="1.0") == 0
    assert value(samples, "request_duration_seconds_bucket", upstream="claude", le="2.0") == 2
    assert value(samples, "time_to_first_byte_seconds_sum", upstream="claude") == 0.5
    for kind, tokens in {"input": 10, "output": 7, "cache_write_5m": 3, "cache_read": 5}.items():
        assert value(samples, "tokens_total", **model, type=kind) == 2 * tokens
    assert value(samples, "tokens_total", **model, type="cache_write_1h") is None
    assert value(samples, "cost_usd_total", **model, billing="plan") == 2 * 147.75e-6
    assert value(samples, "cost_usd_total", **model, billing="api") is None


def test_cache_writes_are_counted_by_their_time_to_live_and_server_tools_by_name(metrics: Metrics) -> None:
    usage = Usage(cache_creation_input_tokens=30, cache_creation_1h_input_tokens=20, web_search_requests=2)
    metrics.closed(exchange(usage=usage))
    samples = scraped(metrics)
    model = {"upstream": "claude", "model": "claude-sonnet-4-5"}
    assert value(samples, "tokens_total", **model, type="cache_write_5m") == 10
    assert value(samples, "tokens_total", **model, type="cache_write_1h") == 20
    assert value(samples, "server_tool_requests_total", **model, tool="web_search") == 2
    assert value(samples, "server_tool_requests_total", **model, tool="web_fetch") is None


def test_money_is_counted_where_it_was_spent_and_by_who_pays(metrics: Metrics) -> None:
    failed, answered = attempt("gateway", failure=REFUSED), attempt("minimax")
    failed.usage, failed.on_plan = Usage(100_000), False
    answered.model = "unknown"
    metrics.closed(exchange(attempts=[failed, answered], upstream="minimax"))
    samples = scraped(metrics)
    model = {"model": "claude-sonnet-4-5"}
    assert value(samples, "cost_usd_total", upstream="gateway", **model, billing="api") == 0.3
    assert value(samples, "unpriced_tokens_total", upstream="minimax", **model) == 25
    assert value(samples, "cost_usd_total", upstream="minimax", **model, billing="plan") is None


def test_the_age_of_the_prices_can_be_read() -> None:
    registry = CollectorRegistry()
    registry.register(PriceListCollector(PriceList))
    dated = datetime.fromisoformat(PriceList().dated).replace(tzinfo=UTC)
    assert registry.get_sample_value("claude_proxy_price_list_timestamp_seconds") == dated.timestamp()


def test_tokens_of_an_attempt_that_began_and_failed_are_counted_where_they_were_spent(metrics: Metrics) -> None:
    failed = attempt("gateway", failure=REFUSED)
    failed.usage = Usage(10, 3)
    metrics.attempt_failed(exchange(), failed)
    samples = scraped(metrics)
    model = {"upstream": "gateway", "model": "claude-sonnet-4-5"}
    assert value(samples, "tokens_total", **model, type="input") == 10
    assert value(samples, "tokens_total", **model, type="output") == 3
    assert value(samples, "tokens_total", **model, type="cache_read") is None


def test_what_did_not_happen_is_not_counted(metrics: Metrics) -> None:
    metrics.closed(
        exchange(
            other_request("GET", "/v1/models"),
            attempts=[],
            upstream="",
            status=None,
            first_byte=None,
            ended=None,
            usage=Usage(),
            end=End.CLIENT_GONE,
        )
    )
    assert scraped(metrics) == {
        (
            "claude_proxy_requests_total",
            (("end", "client_gone"), ("model", "none"), ("status_class", "none"), ("upstream", "none")),
        ): 1
    }


@pytest.mark.parametrize(("status", "expected"), [(200, "2xx"), (404, "4xx"), (529, "5xx"), (None, "none")])
def test_statuses_are_counted_by_class(metrics: Metrics, status: int | None, expected: str) -> None:
    metrics.closed(exchange(status=status))
    assert ("status_class", expected) in next(labels for name, labels in scraped(metrics) if "requests" in name)


def test_failed_attempts_are_counted_by_kind(metrics: Metrics) -> None:
    metrics.attempt_failed(exchange(), attempt(failure=REFUSED))
    metrics.attempt_failed(exchange(), attempt(failure=REFUSED))
    metrics.attempt_failed(exchange(), attempt("minimax", failure=Failure(FailureKind.TIMEOUT, "too late")))
    metrics.attempt_failed(exchange(), attempt())
    samples = scraped(metrics)
    assert value(samples, "upstream_errors_total", upstream="claude", kind="connect") == 2
    assert value(samples, "upstream_errors_total", upstream="minimax", kind="timeout") == 1
    assert len(samples) == 2


def test_targets_that_were_passed_over_are_counted_by_reason(metrics: Metrics) -> None:
    metrics.skipped(exchange(), "minimax", Failure(FailureKind.NO_CREDENTIAL, "none"))
    assert scraped(metrics) == {
        ("claude_proxy_targets_skipped_total", (("kind", "no_credential"), ("upstream", "minimax"))): 1
    }


def test_an_answer_of_another_target_than_the_first_is_a_failover(metrics: Metrics) -> None:
    metrics.closed(exchange(attempts=[attempt("minimax", failure=REFUSED), attempt("claude")]))
    metrics.closed(exchange(attempts=[attempt("claude", failure=REFUSED), attempt("claude")]))
    metrics.closed(exchange(attempts=[attempt("minimax", failure=REFUSED)], upstream=""))
    samples = scraped(metrics)
    assert value(samples, "failovers_total", from_upstream="minimax", to_upstream="claude") == 1
    assert sum(number for (name, _), number in samples.items() if "failovers" in name) == 1


@pytest.mark.parametrize(
    ("request_of", "label"),
    [
        (message_request(model="claude-haiku-4-5"), "claude-haiku-4-5"),
        (message_request(model="invented"), "other"),
        (message_request(model="claude-haiku-4-5" + "x" * 200), "other"),
        (other_request("GET", "/v1/models"), "none"),
    ],
    ids=["known", "invented", "long", "none"],
)
def test_only_known_models_become_labels(metrics: Metrics, request_of: ClientRequest, label: str) -> None:
    metrics.closed(exchange(request_of))
    assert ("model", label) in next(labels for name, labels in scraped(metrics) if "requests" in name)


def test_a_thousand_invented_names_paths_and_methods_are_no_more_lines_than_one(metrics: Metrics) -> None:
    metrics.closed(exchange(message_request(model="invented")))
    metrics.closed(exchange(other_request("GET", "/v1/models")))
    before = set(scraped(metrics))
    for number in range(1000):
        metrics.closed(exchange(message_request(("x-claude-code-agent-id", str(number)), model=f"model-{number}")))
        metrics.closed(exchange(other_request(f"M{number}", f"/v1/{number}"), route=f"route {number}"))
    assert set(scraped(metrics)) == before


def test_two_houses_do_not_share_their_metrics() -> None:
    first, second = Metrics(KNOWN.__contains__), Metrics(KNOWN.__contains__)
    first.closed(exchange())
    assert scraped(second) == {}


def test_states_are_looked_up_at_each_scrape(metrics: Metrics) -> None:
    upstreams = {"claude": UpstreamState("closed", [], 2, 1)}
    in_flight, reads = [3], {("claude", "keychain"): 2}
    metrics.registry.register(StateCollector(lambda: in_flight[0], lambda: upstreams, lambda: reads))
    samples = scraped(metrics)
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
    samples = scraped(metrics)
    assert value(samples, "circuit_reason", upstream="claude", of="api", kind="connect") == 1
    assert value(samples, "circuit_reason", upstream="claude", of="model", kind="rate_limit") == 2
    assert value(samples, "requests_in_flight") == 0
    states = {state: value(samples, "circuit_state", upstream="claude", state=state) for state in STATES}
    assert states == {"closed": 0, "half_open": 0, "open": 1}


def reading(quota: Quota, *names: str) -> Reading:
    return Reading(quota, 1_800_000_000.0, 0.0, {name: (quota.windows[name], 1.0) for name in names})


def test_what_is_left_of_the_plan_is_looked_up_at_each_scrape(metrics: Metrics) -> None:
    windows = {"5h": Window("rejected", 1.02, 1_800_000_500.0), "7d": Window("allowed_warning", 0.8), "7d_oi": Window()}
    quota = Quota("rejected", 1_800_000_500.0, windows=windows, overage=Overage(Window("allowed", 0.25, 9.0)))
    readings = {"claude": reading(quota, *windows)}
    metrics.registry.register(QuotaCollector(lambda: readings))
    samples = scraped(metrics)

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
    assert scraped(metrics) == {}


def test_a_status_that_is_not_known_makes_no_label(metrics: Metrics) -> None:
    readings = {"claude": reading(Quota("a status of tomorrow"))}
    metrics.registry.register(QuotaCollector(lambda: readings))
    states = {dict(labels).get("status"): number for (_, labels), number in scraped(metrics).items()}
    assert states == {None: 1_800_000_000.0, "allowed": 0, "allowed_warning": 0, "rejected": 0, "other": 1}


def untimed(text: bytes) -> list[str]:
    """The lines of a scrape, without the times at which something began to be counted."""
    return [line.split(" ")[0] if "_created{" in line else line for line in text.decode().splitlines()]


def test_the_text_is_as_prometheus_clients_own_counters_write_it(metrics: Metrics) -> None:
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
    assert untimed(metrics.render())[: len(own)] == own


def test_every_name_begins_with_the_proxys_own_and_is_explained(metrics: Metrics) -> None:
    metrics.registry.register(StateCollector(lambda: 0, dict, dict))
    metrics.registry.register(QuotaCollector(dict))
    for family in metrics.registry.collect():
        assert family.name.startswith("claude_proxy_")
        assert family.documentation.endswith(".")


def test_a_collector_can_be_described_without_a_scrape_of_its_own() -> None:
    registry = CollectorRegistry()
    registry.register(StateCollector(lambda: 0, dict, dict))
    assert registry.get_sample_value("claude_proxy_requests_in_flight") == 0


def test_the_text_is_of_the_type_that_a_scrape_is_told() -> None:
    assert CONTENT_TYPE.startswith("text/plain; version=0.0.4")

"""The metrics: what is counted, and that no request can make a label."""

import pytest

from claude_proxy.exchange import End
from claude_proxy.failures import Failure, FailureKind
from claude_proxy.observers.metrics import CONTENT_TYPE, Metrics
from claude_proxy.observers.scrape import CountsCollector, text
from claude_proxy.wire.messages import ClientRequest
from claude_proxy.wire.usage import Usage
from tests.client_requests import message_request, other_request
from tests.observers.closed_exchanges import REFUSED, attempt, exchange
from tests.observers.scraping import LAG, scraped, value

KNOWN = frozenset({"claude-sonnet-4-5", "claude-haiku-4-5"})


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(KNOWN.__contains__)


def test_nothing_is_counted_before_anything_has_happened(metrics: Metrics) -> None:
    assert scraped(metrics) == {}


def test_the_lag_of_the_loop_is_counted_in_steps_of_which_one_is_twenty_milliseconds(metrics: Metrics) -> None:
    for seconds in (0.0004, 0.015, 0.03, 7.0):
        metrics.loop_lag.observe(seconds)
    shown = text(CountsCollector(metrics.counted)).decode()
    for step, count in (("0.001", 1), ("0.02", 2), ("0.05", 3), ("+Inf", 4)):
        assert f'{LAG}_bucket{{le="{step}"}} {count}.0' in shown


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


def test_the_text_is_of_the_type_that_a_scrape_is_told() -> None:
    assert CONTENT_TYPE.startswith("text/plain; version=0.0.4")

"""One line for each exchange, and one for each attempt that failed."""

import logging
from typing import Any

import pytest

from claude_proxy.exchange import End
from claude_proxy.failures import Failure, FailureKind
from claude_proxy.ledger.cost import Billing
from claude_proxy.logline import KeyValueFormatter, Redactor
from claude_proxy.observers.log import ExchangeLog
from claude_proxy.wire.usage import Usage
from tests.client_requests import message_request, other_request
from tests.observers.closed_exchanges import REFUSED, attempt, exchange


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The log, from the level up at which the daemon logs by default."""
    caplog.set_level(logging.INFO)
    return caplog


def only(lines: pytest.LogCaptureFixture) -> tuple[str, int, dict[str, Any]]:
    """The only line's event, level and fields, without those that are left out of it."""
    [record] = lines.records
    fields: dict[str, Any] = record.__dict__["fields"]
    return record.getMessage(), record.levelno, {name: value for name, value in fields.items() if value is not None}


def test_a_good_exchange_is_one_line_with_all_that_is_known(lines: pytest.LogCaptureFixture) -> None:
    ExchangeLog().closed(exchange())
    assert only(lines) == (
        "exchange",
        logging.INFO,
        {
            "id": "req_cp_1",
            "method": "POST",
            "path": "/v1/messages",
            "model": "claude-sonnet-4-5",
            "route": "everything",
            "upstream": "claude",
            "credential": "client",
            "status": 200,
            "end": End.COMPLETE,
            "attempts": 1,
            "first_byte_ms": 250,
            "total_ms": 1500,
            "input_tokens": 10,
            "output_tokens": 7,
            "cache_write": 3,
            "cache_read": 5,
            "list_value": "0.000148",
            "billing": Billing.PLAN,
        },
    )


def test_tokens_without_a_price_are_told_as_tokens_and_not_as_money(lines: pytest.LogCaptureFixture) -> None:
    unknown = attempt()
    unknown.model, unknown.on_plan = "a-model-of-tomorrow", False
    ExchangeLog().closed(exchange(attempts=[unknown]))
    told = only(lines)[2]
    assert (told.get("list_value"), told["unpriced_tokens"], told["billing"]) == (None, 25, Billing.API)


def test_what_was_not_metered_has_no_price_in_its_line(lines: pytest.LogCaptureFixture) -> None:
    ExchangeLog().closed(exchange(usage=Usage()))
    assert not {"list_value", "unpriced_tokens", "billing"} & set(only(lines)[2])


def test_the_query_is_not_in_the_line_of_an_exchange(lines: pytest.LogCaptureFixture) -> None:
    ExchangeLog().closed(exchange(other_request("GET", "/v1/models?after_id=FAKE")))
    assert only(lines)[2]["path"] == "/v1/models"


def test_what_is_not_known_is_left_out(lines: pytest.LogCaptureFixture) -> None:
    bare = exchange(
        other_request("GET", "/v1/models"),
        attempts=[],
        route="",
        upstream="",
        status=None,
        first_byte=None,
        usage=Usage(),
        end=End.CLIENT_GONE,
    )
    ExchangeLog().closed(bare)
    assert set(only(lines)[2]) == {"id", "method", "path", "end", "attempts", "total_ms"}


def test_a_subagent_is_named(lines: pytest.LogCaptureFixture) -> None:
    ExchangeLog().closed(exchange(message_request(("x-claude-code-agent-id", "a1"))))
    assert only(lines)[2]["agent"] == "sub"


@pytest.mark.parametrize(
    ("end", "level"),
    [
        (End.COMPLETE, logging.INFO),
        (End.CLIENT_GONE, logging.INFO),
        (End.FAILED, logging.WARNING),
        (End.BROKEN, logging.WARNING),
    ],
)
def test_what_the_client_suffered_is_a_warning(lines: pytest.LogCaptureFixture, end: End, level: int) -> None:
    ExchangeLog().closed(exchange(end=end, failure=REFUSED))
    event, found, fields = only(lines)
    assert (event, found, fields["cause"]) == ("exchange", level, REFUSED.message)


def test_a_failed_attempt_is_one_line_with_what_it_takes_to_find_the_reason(lines: pytest.LogCaptureFixture) -> None:
    request = message_request(query="beta=true", stream=True, thinking={"type": "adaptive"})
    refused = Failure(FailureKind.OVERLOADED, "Overloaded", "claude")
    second_try = attempt(failure=refused, status=529)
    second_try.started = 100.05
    ExchangeLog().attempt_failed(exchange(request), second_try)
    event, level, fields = only(lines)
    assert (event, level) == ("attempt_failed", logging.WARNING)
    assert fields == {
        "id": "req_cp_1",
        "upstream": "claude",
        "model": "claude-sonnet-4-5",
        "kind": "overloaded",
        "status": 529,
        "stream": True,
        "body_bytes": len(request.body),
        "thinking": True,
        "betas": request.header("anthropic-beta"),
        "query": "beta=true",
        "elapsed_ms": 150,
        "total_ms": 200,
        "cause": "Overloaded",
    }


def test_an_attempt_without_a_failure_or_an_end_is_a_line_all_the_same(lines: pytest.LogCaptureFixture) -> None:
    unfinished = attempt(status=None)
    unfinished.ended = None
    ExchangeLog().attempt_failed(exchange(), unfinished)
    assert {"kind", "cause", "status", "elapsed_ms", "total_ms", "query"}.isdisjoint(only(lines)[2])


def test_what_a_failed_attempt_was_billed_stands_in_its_line(lines: pytest.LogCaptureFixture) -> None:
    begun = attempt(failure=REFUSED)
    begun.usage = Usage(10, 3)
    ExchangeLog().attempt_failed(exchange(), begun)
    fields = only(lines)[2]
    assert (fields["input_tokens"], fields["output_tokens"]) == (10, 3)


def test_a_target_that_was_passed_over_is_one_line_with_the_reason(lines: pytest.LogCaptureFixture) -> None:
    ExchangeLog().skipped(exchange(), "minimax", Failure(FailureKind.NO_CREDENTIAL, "no credential for minimax"))
    assert only(lines) == (
        "target_skipped",
        logging.INFO,
        {"id": "req_cp_1", "upstream": "minimax", "cause": "no credential for minimax"},
    )


def test_neither_the_body_nor_a_header_is_ever_logged(lines: pytest.LogCaptureFixture) -> None:
    lines.set_level(logging.DEBUG)
    secrets = (("x-api-key", "FAKE-key"), ("cookie", "FAKE-cookie"))
    request = message_request(*secrets, text="FAKE-conversation", query="beta=true&key=FAKE-key")
    log = ExchangeLog()
    log.closed(exchange(request))
    log.attempt_failed(exchange(request), attempt(failure=REFUSED))
    log.skipped(exchange(request), "minimax", REFUSED)
    formatter = KeyValueFormatter(Redactor())
    written = "\n".join(formatter.format(record) for record in lines.records)
    assert written.count("\n") == 2
    assert "FAKE" not in written

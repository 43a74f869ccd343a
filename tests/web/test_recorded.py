"""A record as the API tells it: whatever was recorded, it has the shape that is described."""

import json

from hypothesis import given, settings

from claude_proxy.ledger.record import ExchangeRecord
from claude_proxy.ledger.store import Total
from claude_proxy.web.recorded import moment, request_shown, summary_shown, total_shown
from tests.ledger.made_records import record, records
from tests.web.described import assert_as_schema


@settings(max_examples=50, deadline=None)
@given(records)
def test_any_record_is_told_as_it_is_described(made: ExchangeRecord) -> None:
    shown = json.loads(json.dumps(request_shown(made)))
    assert_as_schema({**shown, "outcome": None}, "Request")
    assert_as_schema({**json.loads(json.dumps(summary_shown(made))), "outcome": None}, "Summary")


def test_times_are_utc_to_the_millisecond() -> None:
    assert moment(1_800_000_000.0) == "2027-01-15T08:00:00.000Z"
    assert moment(1_800_000_000.9996) == "2027-01-15T08:00:00.999Z"


def test_money_is_in_dollars_and_unknown_is_no_nothing() -> None:
    known = request_shown(record(list_value=12_840_000_000_000, billed=0, covered=None))["cost"]
    assert (known["listValue"], known["billed"], known["covered"]) == ("12.84", "0.00", None)


def test_a_stream_that_was_told_to_be_broken_says_why() -> None:
    assert request_shown(record(end="broken", cause=None, failure="broken_stream"))["response"]["streamError"] == (
        "broken_stream"
    )
    assert request_shown(record(end="failed", cause="no"))["response"]["streamError"] is None


def test_every_token_counts_once_in_a_total() -> None:
    total = Total((), input_tokens=1, output_tokens=2, cache_creation_input_tokens=4, cache_read_input_tokens=8)
    assert total_shown(total)["tokens"] == 15

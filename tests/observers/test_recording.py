"""An exchange in the words of a record: what is told of each fate, and no secret in any of them."""

from typing import Any

import msgspec
import pytest
from multidict import istr

from claude_proxy.exchange import Attempt, End, Exchange, Transcript
from claude_proxy.failures import Failure, FailureKind, Said
from claude_proxy.ledger.cost import Cost
from claude_proxy.ledger.record import Kept
from claude_proxy.ledger.store import Change
from claude_proxy.observers.recording import Recording
from tests.client_requests import message_request, other_request
from tests.observers.closed_exchanges import REFUSED, attempt, exchange
from tests.stand_in import message_json, text_stream

PRICED = Cost(7, 0, 7, 1, "a list", "2026-11-20")


def recording(*secrets: str) -> Recording:
    return Recording(lambda: secrets, lambda _: PRICED)


def whole(of: Exchange, *secrets: str, bodies: bool = True, was_written: bool = False) -> Change:
    made = recording(*secrets)
    return made.whole(of, made.begun(of, bodies=bodies, max_request=1 << 20), PRICED, was_written=was_written)


def answered(*blocks: bytes, limit: int = 1000, **fields: Any) -> Exchange:
    transcript = Transcript(limit)
    for block in blocks:
        transcript.add(block)
    return exchange(transcript=transcript, answer_headers=(("request-id", "req_1"),), **fields)


def test_a_beginning_tells_what_does_not_change_any_more() -> None:
    made, of = recording(), exchange(message_request(query="beta=true"))
    change = made.beginning(of, made.begun(of, bodies=True, max_request=1 << 20))
    assert change.record.end is None
    assert change.record.attempts == ()
    assert (change.record.id, change.record.accepted, change.record.query) == (of.id, of.accepted, "beta=true")
    assert change.record.kept is Kept.WHOLE
    assert change.bodies is not None
    assert (change.bodies.request, change.bodies.answer) == (of.request.text, None)


def test_an_end_tells_times_attempts_and_cost() -> None:
    record = whole(answered(b"{}", attempts=[attempt("minimax", failure=REFUSED, status=None), attempt()])).record
    assert (record.first_byte_ms, record.total_ms, record.end) == (250, 1500, "complete")
    assert [(one.upstream, one.failure, one.started_ms, one.ended_ms) for one in record.attempts] == [
        ("minimax", "connect", 0, 200),
        ("claude", None, 0, 200),
    ]
    assert (record.list_value, record.billed, record.covered, record.unpriced_tokens) == (7, 0, 7, 1)
    assert (record.price_source, record.price_dated) == ("a list", "2026-11-20")
    assert record.upstream_request_id == "req_1"


def test_an_end_repeats_no_body_that_is_written_already() -> None:
    once, again = whole(answered(b"{}")).bodies, whole(answered(b"{}"), was_written=True).bodies
    assert once is not None
    assert again is not None
    assert once.request
    assert (again.request, again.request_headers, again.answer) == (None, None, b"{}")


@pytest.mark.parametrize(
    ("blocks", "reason"),
    [
        (text_stream(), "end_turn"),
        ([message_json()], "end_turn"),
        (text_stream()[:2], None),
        ([b'{"stop_reason":null}'], None),
        ([b'{"stop_reason": "tool'], "tool"),
        ([], None),
    ],
)
def test_the_stop_reason_is_the_last_that_the_answer_states(blocks: list[bytes], reason: str | None) -> None:
    assert whole(answered(*blocks, limit=1 << 20)).record.stop_reason == reason


def test_of_a_refusal_the_upstream_s_own_words_are_the_answer() -> None:
    said = Said(429, (("anthropic-ratelimit-tokens-limit", "5"),), b'{"type":"error"}')
    failed = exchange(
        end=End.FAILED,
        status=429,
        failure=Failure(FailureKind.RATE_LIMIT, "slow down", "claude", said),
        first_byte=None,
    )
    change = whole(failed)
    assert change.bodies is not None
    assert change.bodies.answer == said.body
    assert change.record.rate_limit == {"tokens-limit": "5"}
    assert (change.record.failure, change.record.cause, change.record.first_byte_ms) == (
        "rate_limit",
        "slow down",
        None,
    )


def test_an_answer_that_was_cut_says_so() -> None:
    record = whole(answered(b"12345", b"67890", limit=7)).record
    assert (record.kept, record.answer_bytes) == (Kept.CUT, 10)


def test_without_bodies_nothing_that_was_said_is_kept() -> None:
    change = whole(answered(b"FAKE answer", limit=0, request=message_request(text="FAKE question")), bodies=False)
    assert change.bodies is None
    assert (change.record.first_message, change.record.kept, change.record.answer_bytes) == (None, Kept.NONE, 11)
    assert b"FAKE" not in msgspec.json.encode(change.record)


def test_an_exchange_that_was_never_tried_has_a_record() -> None:
    record = whole(exchange(other_request("GET", "/v1/x"), attempts=[], upstream="", end=End.FAILED)).record
    assert (record.upstream, record.attempts, record.method) == ("", (), "GET")


def test_no_secret_stands_in_any_word_of_a_record() -> None:
    secret, key = "FAKE-of-the-client", "FAKE-of-our-own"
    failure = Failure(FailureKind.MALFORMED, f"it said {secret} and {key}", "claude")
    request = message_request(
        ("Authorization", f"Bearer {secret}"),
        ("Cookie", f"a={secret}"),
        ("x-claude-code-agent-id", secret),
        ("X-Tenant", "FAKE-tenant"),
        query=f"key={secret}",
        model=f"model-{secret}",
        text=f"say {key}",
        system=f"\nWorking directory: /home/{key}\n",
    )
    of = answered(
        b"{}",
        request=request,
        end=End.FAILED,
        failure=failure,
        attempts=[Attempt("claude", f"model-{secret}", 100.0, "client", 101.0, 500, failure)],
    )
    of.answer_headers = (
        ("anthropic-organization-id", secret),
        ("request-id", key),
        (f"anthropic-ratelimit-{key}", secret),
        ("Set-Cookie", secret),
    )
    change = whole(of, key)
    assert b"FAKE" not in msgspec.json.encode(change.record)
    assert change.secrets >= {secret, key, "FAKE-tenant"}
    headers = dict(change.bodies.request_headers or ()) if change.bodies else {}
    assert {headers[name] for name in ("Authorization", "Cookie", "X-Tenant")} == {"[redacted]"}
    assert headers["User-Agent"].startswith("claude-cli")


@pytest.mark.parametrize("before", [0, 290, 1190, 5000])
def test_no_part_of_a_secret_stands_where_a_long_word_is_cut(before: int) -> None:
    secret = "FAKE-of-the-client"
    long = "x" * before + secret
    request = message_request(("Authorization", f"Bearer {secret}"), ("User-Agent", long), query=f"beta={long}")
    of = answered(b"{}", request=request)
    of.answer_headers = (("request-id", long), ("anthropic-ratelimit-x", long), (f"anthropic-ratelimit-{long}", "1"))
    assert b"FAKE" not in msgspec.json.encode(whole(of).record)


def test_what_is_too_short_to_be_told_from_a_word_is_looked_for_nowhere() -> None:
    change = whole(answered(b"an answer"), "a", "", "short", "FAKE-long-enough")
    assert change.secrets == {"FAKE-long-enough"}
    assert change.record.user_agent == "claude-cli/2.1.197 (external, sdk-cli)"


def test_names_of_headers_are_plain_text_whatever_they_came_as() -> None:
    of = answered(b"{}")
    of.answer_headers = ((istr("Request-Id"), "req_1"),)
    bodies = whole(of).bodies
    assert bodies is not None
    assert bodies.answer_headers == (("Request-Id", "req_1"),)
    assert [type(name) for name, _ in bodies.answer_headers] == [str]

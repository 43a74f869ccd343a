"""The noun of the house: what an exchange is before anything has happened to it."""

import re
import time

from claude_proxy.exchange import Attempt, End, Exchange, Transcript, new_id
from claude_proxy.wire.messages import ClientRequest
from claude_proxy.wire.usage import Usage

REQUEST = ClientRequest.read("POST", "/v1/messages", (("Authorization", "Bearer FAKE-login"),), b'{"model": "m"}')


def test_an_id_is_told_apart_from_anthropics_and_from_every_other() -> None:
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch(r"req_cp_[0-9a-f]{24}", one) for one in ids)


def test_a_new_exchange_has_an_id_and_a_beginning_and_no_fate() -> None:
    unix, monotonic = time.time(), time.monotonic()
    exchange = Exchange(REQUEST)
    assert exchange.request is REQUEST
    assert exchange.id.startswith("req_cp_")
    assert unix <= exchange.accepted <= time.time()
    assert monotonic <= exchange.started <= time.monotonic()
    assert (exchange.first_byte, exchange.ended, exchange.status, exchange.failure, exchange.end) == (None,) * 5
    assert (exchange.route, exchange.upstream, exchange.attempts, exchange.usage) == ("", "", [], Usage())


def test_exchanges_share_nothing_but_the_request() -> None:
    one, other = Exchange(REQUEST), Exchange(REQUEST)
    one.attempts.append(Attempt("claude", "m", 0.0))
    one.usage.input_tokens = 7
    assert one.id != other.id
    assert (other.attempts, other.usage) == ([], Usage())


def test_a_new_attempt_has_no_outcome() -> None:
    attempt = Attempt("claude", "m", 1.5)
    assert (attempt.upstream, attempt.model, attempt.started, attempt.credential) == ("claude", "m", 1.5, "")
    assert (attempt.ended, attempt.status, attempt.failure, attempt.quota) == (None,) * 4


def test_an_end_is_logged_as_one_word() -> None:
    assert [str(end) for end in End] == ["complete", "failed", "broken", "client_gone"]


def test_an_exchange_shows_no_login_of_itself() -> None:
    assert "FAKE" not in repr(Exchange(REQUEST))


def test_a_transcript_keeps_blocks_as_they_are_and_copies_none() -> None:
    one, other = b"event: ping\n\n", b"data: x\n\n"
    transcript = Transcript(100)
    transcript.add(one)
    transcript.add(other)
    assert transcript.blocks[0] is one
    assert transcript.blocks[1] is other
    assert (transcript.size, transcript.cut) == (len(one) + len(other), False)


def test_a_transcript_keeps_what_came_first_and_says_that_it_was_more() -> None:
    transcript = Transcript(10)
    for block in (b"12345678", b"90ab", b"c"):
        transcript.add(block)
    assert transcript.blocks == [b"12345678", b"90"]
    assert (transcript.size, transcript.cut) == (13, True)

"""The load generator: which answers count, which of them came byte for byte, and when it asks no more."""

import gzip
import math
import os
import time

import pytest

from benchmarks.framing import MessageReader
from benchmarks.load import AnswerError, Expected, Lags, turns_of
from benchmarks.workloads import Stream, json_answer, stream_answer

STREAM = Stream(10)
WHOLE = b"".join(stream_answer(STREAM))


def answer(body: bytes, status: int = 200, *headers: str) -> MessageReader:
    reader = MessageReader()
    head = "\r\n".join([f"HTTP/1.1 {status} Any", f"Content-Length: {len(body)}", *headers])
    assert reader.feed(head.encode() + b"\r\n\r\n" + body)
    return reader


def test_the_upstream_s_own_bytes_are_verbatim() -> None:
    assert Expected(Stream()).check(answer(json_answer()))
    assert Expected(STREAM).check(answer(WHOLE))


@pytest.mark.parametrize("body", [json_answer().replace(b":", b": "), WHOLE.replace(b'"type"', b' "type"')])
def test_what_was_written_anew_counts_but_is_not_verbatim(body: bytes) -> None:
    assert not Expected(STREAM if b"event:" in body else Stream()).check(answer(body))


def test_what_was_compressed_on_the_way_counts_but_is_not_verbatim() -> None:
    packed = gzip.compress(json_answer())
    assert not Expected(Stream()).check(answer(packed, 200, "Content-Encoding: gzip"))


@pytest.mark.parametrize("packed", [gzip.compress(json_answer())[:-9], b"no gzip at all"])
def test_what_cannot_be_unpacked_does_not_count(packed: bytes) -> None:
    with pytest.raises(AnswerError):
        Expected(Stream()).check(answer(packed, 200, "Content-Encoding: gzip"))


def test_a_refusal_and_a_cut_stream_do_not_count() -> None:
    with pytest.raises(AnswerError, match="529"):
        Expected(Stream()).check(answer(json_answer(), 529))
    with pytest.raises(AnswerError, match="incomplete stream"):
        Expected(STREAM).check(answer(b"".join(stream_answer(STREAM)[:-1])))


def test_a_turn_has_so_many_requests_and_none_when_its_time_is_up() -> None:
    assert list(turns_of(3, math.inf)) == [0, 1, 2]
    assert list(turns_of(3, -1.0)) == []


def stamped(seconds: float, many: int) -> bytes:
    return b"data: @%019.6f\n\n" % (time.perf_counter() - seconds) * many


def test_events_are_timed_while_all_streams_run_and_neither_before_nor_after() -> None:
    lags = Lags(os.getpid(), connections=2, expected=20)
    for many, late in ((5, 1000.0), (2, 10.0), (5, 20.0), (1, 30.0), (2, 2000.0), (5, 3000.0)):
        lags.feed(stamped(late, many))
    assert [round(seconds, -1) for seconds in lags.seconds] == [10.0] * 2 + [20.0] * 5 + [30.0]
    assert lags.cpu is not None


def test_where_no_process_is_looked_at_events_are_timed_all_the_same() -> None:
    lags = Lags(None, connections=1, expected=9)
    for _ in range(9):
        lags.feed(stamped(10.0, 1))
    assert len(lags.seconds) == 3
    assert lags.cpu is None

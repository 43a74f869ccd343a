"""The soak: what is compared with the start, and what the looks at the event loop come to in words."""

from dataclasses import replace

from benchmarks.holdings import Holdings
from benchmarks.soak import lateness

START = Holdings(in_flight=0, clients=0, upstreams=0, descriptors=7, tasks=4, threads=4, rss=40_000_000)


def test_what_has_grown_is_named_and_neither_memory_nor_lateness_is_a_holding() -> None:
    assert replace(START, rss=50_000_000, lags=(0.1,)).grown(START) == []
    assert replace(START, tasks=5, threads=3).grown(START) == ["tasks went from 4 to 5", "threads went from 4 to 3"]


def test_lateness_is_told_of_half_of_the_looks_and_of_nearly_all_and_at_worst() -> None:
    lags = [0.001] * 600 + [0.004] * 390 + [0.0123] * 9 + [0.05]
    assert lateness(lags[::-1]) == (
        "Under load the event loop was late by at most 1.0 ms in 50 % and 12.3 ms in 99 % of 1,000 looks,"
        " and 50.0 ms at worst."
    )


def test_a_load_that_nobody_looked_at_has_no_lateness() -> None:
    assert lateness([]) == "The load was over before the first look at the event loop."

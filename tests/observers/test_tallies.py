"""Plain numbers by the values of their labels: the same as prometheus_client's own would be."""

import time

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram

from claude_proxy.observers.tallies import Histograms, Sums

STEPS = (0.01, 0.5, 1, 60)


def test_amounts_are_added_up_for_each_set_of_labels_by_itself() -> None:
    before = time.time()
    sums = Sums("requests", "Requests.", ("upstream", "kind"))
    assert sums.sums == {}
    for amount, upstream, kind in ((1, "claude", "a"), (2.5, "claude", "a"), (7, "claude", "b"), (0, "minimax", "a")):
        sums.add(amount, upstream, kind)
    assert sums.sums == {("claude", "a"): 3.5, ("claude", "b"): 7, ("minimax", "a"): 0}
    assert sums.began.keys() == sums.sums.keys()
    assert all(before <= began <= time.time() for began in sums.began.values())


def test_since_when_something_is_counted_does_not_change() -> None:
    sums, histograms = Sums("s", "S.", ("upstream",)), Histograms("h", "H.", STEPS, ("upstream",))
    sums.add(1, "claude")
    histograms.observe(1, "claude")
    began = sums.began["claude",], histograms.spreads["claude",].began
    sums.add(1, "claude")
    histograms.observe(1, "claude")
    assert (sums.began["claude",], histograms.spreads["claude",].began) == began


def test_what_has_no_labels_is_there_from_the_beginning_on() -> None:
    assert Histograms("h", "H.", STEPS, ("upstream",)).spreads == {}
    spread = Histograms("h", "H.", STEPS).spreads[()]
    assert (spread.counts, spread.sum) == ([0, 0, 0, 0, 0], 0)


def test_the_largest_amount_of_a_step_belongs_to_it_and_what_is_beyond_all_to_one_more() -> None:
    histograms = Histograms("h", "H.", STEPS, ("upstream",))
    for amount in (0, 0.01, 0.011, 60, 60.1, 1e9):
        histograms.observe(amount, "claude")
    assert histograms.spreads["claude",].counts == [2, 1, 0, 1, 2]


@given(st.lists(st.one_of(st.sampled_from(STEPS), st.floats(0, 100))))
def test_amounts_are_spread_as_by_prometheus_client(amounts: list[float]) -> None:
    registry = CollectorRegistry()
    theirs, ours = Histogram("h", "H.", buckets=STEPS, registry=registry), Histograms("h", "H.", STEPS)
    for amount in amounts:
        theirs.observe(amount)
        ours.observe(amount)
    spread = ours.spreads[()]
    assert registry.get_sample_value("h_sum") == spread.sum
    for index, step in enumerate(STEPS):
        assert registry.get_sample_value("h_bucket", {"le": str(float(step))}) == sum(spread.counts[: index + 1])
    assert registry.get_sample_value("h_count") == sum(spread.counts)

"""What is counted on the event loop and shown at a scrape: plain numbers by the values of their labels.

The counters of prometheus_client are made for any number of threads: each step takes a lock and checks its labels,
which for one small request was 75 calls and 19 locks. Here one thread counts, and a step is one call.
"""

import time
from bisect import bisect_left
from collections.abc import Sequence

import msgspec

Labels = tuple[str, ...]


class Sums:
    """A sum for each set of labels that has been counted. `began` says since when, in Unix time."""

    def __init__(self, name: str, told: str, labels: Labels) -> None:
        self.name = name
        self.told = told
        self.labels = labels
        self.sums: dict[Labels, float] = {}
        self.began: dict[Labels, float] = {}

    def add(self, amount: float, *labels: str) -> None:
        if labels not in self.sums:
            self.sums[labels] = 0.0
            self.began[labels] = time.time()
        self.sums[labels] += amount


class Spread(msgspec.Struct):
    """How many amounts were in each step, and their sum. `began` says since when, in Unix time."""

    counts: list[int]
    sum: float = 0.0
    began: float = msgspec.field(default_factory=time.time)


class Histograms:
    """How amounts are spread, for each set of labels; without labels from the beginning on."""

    def __init__(self, name: str, told: str, steps: Sequence[float], labels: Labels = ()) -> None:
        self.name = name
        self.told = told
        self.labels = labels
        self.steps = steps
        """The largest amount of each; one more step follows, for all that is beyond."""
        self.spreads: dict[Labels, Spread] = {}
        if not labels:
            self._begin(())

    def observe(self, amount: float, *labels: str) -> None:
        spread = self.spreads.get(labels) or self._begin(labels)
        spread.counts[bisect_left(self.steps, amount)] += 1
        spread.sum += amount

    def _begin(self, labels: Labels) -> Spread:
        spread = self.spreads[labels] = Spread([0] * (len(self.steps) + 1))
        return spread

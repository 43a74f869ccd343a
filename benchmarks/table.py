"""From measurements to the table: medians over the rounds, their spread, one row beside another."""

import statistics
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass

COLUMNS = (
    "workload",
    "contestant",
    "first byte p50, ms",
    "added p50, ms",
    "added p99, ms",
    "event lag added p50, ms",
    "p99, ms",
    "CPU, us/request",
    "CPU, ms/1000 events",
    "CPU / nginx",
    "peak RSS, MB",
    "per second",
)


@dataclass(frozen=True)
class Measured:
    """One contestant in one round of one workload."""

    workload: str
    contestant: str
    round: int
    first_byte_p50: float  # seconds
    first_byte_p99: float
    lag_p50: float | None  # seconds from a paced event's sending to its arrival
    lag_p99: float | None
    cpu: float | None  # seconds of the proxy's processes for each request
    cpu_event: float | None  # and for each event; of paced ones, while no stream begins or ends
    peak: int | None  # bytes of the proxy's processes at most
    rate: float  # events per second, or requests where there are no events
    verbatim: bool  # every answer was byte for byte the upstream's


Figure = Callable[[Measured], float | None]


def percentile(values: Iterable[float], percent: float) -> float:
    """The nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


class Results:
    """All measurements of a run."""

    def __init__(self, measured: Sequence[Measured], no_baseline: Set[str]) -> None:
        """`no_baseline` names the workloads in which a direct connection is no measure of added time."""
        self._no_baseline = no_baseline
        self._by_place = {(m.workload, m.contestant, m.round): m for m in measured}
        self._rows = list(dict.fromkeys((m.workload, m.contestant) for m in measured))

    def table(self, order: Sequence[str]) -> str:
        """Markdown; the contestants of each workload in this order."""
        workloads = list(dict.fromkeys(workload for workload, _ in self._rows))
        rows = [self._row(w, c) for w in workloads for c in order if (w, c) in self._rows]
        widths = [max(len(row[i]) for row in (COLUMNS, *rows)) for i in range(len(COLUMNS))]
        rule = tuple("-" * width for width in widths)
        lines = (
            " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in (COLUMNS, rule, *rows)
        )
        return "\n".join(f"| {line} |" for line in lines)

    def _row(self, workload: str, contestant: str) -> tuple[str, ...]:
        def figures(figure: Figure, beside: str | None = None, ratio: bool = False) -> list[float]:
            return self._figures(workload, contestant, figure, beside, ratio)

        firsts: list[Figure] = [lambda m: m.first_byte_p50, lambda m: m.first_byte_p99]
        lags: list[Figure] = [lambda m: m.lag_p50, lambda m: m.lag_p99]
        if contestant == "direct":
            shown = ["-"] * 4
        else:
            no_baseline = workload in self._no_baseline
            shown = ["-" if no_baseline else _spread(figures(figure, "direct"), 1e3, 2) for figure in firsts]
            shown += [_spread(figures(figure, "direct"), 1e3, 2) for figure in lags]
        return (
            workload,
            contestant,
            _median(figures(lambda m: m.first_byte_p50), 1e3, 2),
            *shown,
            _spread(figures(lambda m: m.cpu), 1e6, 0),
            _median(figures(lambda m: m.cpu_event), 1e6, 1),
            _median(figures(lambda m: m.cpu or m.cpu_event, "nginx", ratio=True), 1, 2),
            _median(figures(lambda m: m.peak), 1e-6, 0),
            _median(figures(lambda m: m.rate), 1, 0),
        )

    def _figures(self, workload: str, contestant: str, figure: Figure, beside: str | None, ratio: bool) -> list[float]:
        """One figure of each round; beside another contestant its difference or ratio within the same round,
        so that what slows the whole machine for a while slows both.
        """
        found = []
        for (w, c, number), measured in self._by_place.items():
            if (w, c) != (workload, contestant) or (value := figure(measured)) is None:
                continue
            if beside is not None:
                other = self._by_place.get((workload, beside, number))
                reference = figure(other) if other else None
                if not reference:
                    continue
                value = value / reference if ratio else value - reference
            found.append(value)
        return found


def _median(values: Sequence[float], scale: float, digits: int) -> str:
    return f"{statistics.median(values) * scale:.{digits}f}" if values else "-"


def _spread(values: Sequence[float], scale: float, digits: int) -> str:
    """The median, and in parentheses the least and the greatest."""
    if not values:
        return "-"
    low, high = min(values) * scale, max(values) * scale
    return f"{_median(values, scale, digits)} ({low:.{digits}f} to {high:.{digits}f})"

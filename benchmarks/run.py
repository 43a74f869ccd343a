"""Runs the benchmark: starts all it needs on the loopback, measures in rounds, prints one table."""

import argparse
import dataclasses
import json
import os
import platform
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.contestants import CONTESTANTS, Place, Ready
from benchmarks.peers import PEERS
from benchmarks.processes import Cores, NotRunning, choose_cores, ending, forget_peak, run_to_end, start, usage
from benchmarks.table import Measured, Results, percentile
from benchmarks.workloads import WORKLOADS, Workload

TURN_SECONDS = 10  # in which a contestant's requests begin
LOAD_SECONDS = 60  # the bound of its turn


class Bench:
    """One run of the benchmark in a temporary directory of its own."""

    def __init__(self, directory: Path, cores: Cores, stack: ExitStack) -> None:
        self._directory = directory
        self._cores = cores
        self._stack = stack
        self.measured: list[Measured] = []
        self.notes: list[str] = []

    def start_all(self, names: Sequence[str]) -> list[Ready]:
        """Starts the upstream and those contestants that can be started; says why the others cannot."""
        command = [sys.executable, "-m", "benchmarks.upstream"]
        upstream = start("upstream", command, self._directory / "upstream", self._cores.rig)
        url = self._stack.enter_context(ending(upstream)).url()
        place = Place(self._directory, url, self._cores.proxy, self._stack)
        ready = []
        for name in names:
            try:
                ready.append(PEERS[name].ready(name, place) if name in PEERS else CONTESTANTS[name](place))
            except NotRunning as reason:
                self._note(f"{name} does not take part: {reason}")
        return ready

    def run(self, ready: list[Ready], workloads: Sequence[Workload], rounds: int, seconds: float) -> None:
        """Every contestant in every workload, in shuffled order, round by round, until the time is up."""
        until = time.monotonic() + seconds
        out: set[tuple[str, str]] = set()
        for number in range(1, rounds + 1):
            print(f"round {number} of {rounds}", file=sys.stderr)
            for workload in workloads:
                for contestant in random.sample(ready, len(ready)):
                    place = (workload.name, contestant.name)
                    if place in out:
                        continue
                    if time.monotonic() > until:
                        self._note(f"stopped in round {number} of {rounds}: {seconds:g} s are over (--seconds)")
                        return
                    try:
                        self.measured.append(self._measure(contestant, workload, number))
                    except NotRunning as reason:
                        out.add(place)
                        self._note(f"{contestant.name} fails in {workload.name}: {reason}")

    def _measure(self, contestant: Ready, workload: Workload, number: int) -> Measured:
        if contestant.running and (code := contestant.running.process.poll()) is not None:
            raise NotRunning(f"it ended with code {code}: {contestant.running.last_words()}")
        pid = contestant.running.pid if contestant.running else None
        if pid is not None:
            forget_peak(pid)
        loaded = self._load(contestant.url, workload, pid)
        after = usage(pid) if pid is not None else None
        if not loaded["verbatim"]:
            self._note(f"{contestant.name} does not hand on the answers of {workload.name} byte for byte")
        cpu = loaded["cpu"] if not workload.stream.pause else None
        per_event = loaded["cpu_event"]
        if cpu is not None and workload.stream.events:
            per_event = cpu / workload.stream.events
        return Measured(
            workload=workload.name,
            contestant=contestant.name,
            round=number,
            first_byte_p50=percentile(loaded["first_byte"], 50),
            first_byte_p99=percentile(loaded["first_byte"], 99),
            lag_p50=percentile(loaded["lag"], 50) if loaded["lag"] else None,
            lag_p99=percentile(loaded["lag"], 99) if loaded["lag"] else None,
            cpu=cpu,
            cpu_event=per_event,
            peak=after.peak if after else None,
            rate=loaded["requests"] * (workload.stream.events or 1) / loaded["seconds"],
            verbatim=loaded["verbatim"],
        )

    def _load(self, url: str, workload: Workload, pid: int | None) -> dict[str, Any]:
        options = {**workload.options, "turn": TURN_SECONDS, "seconds": LOAD_SECONDS}
        if pid is not None:
            options["pid"] = pid
        command = [sys.executable, "-m", "benchmarks.load", url, *(f"--{k}={v}" for k, v in options.items())]
        printed = run_to_end("load", command, self._directory / "load", self._cores.rig, LOAD_SECONDS + 5)
        try:
            loaded: dict[str, Any] = json.loads(printed.strip().splitlines()[-1])
        except (ValueError, IndexError):
            raise NotRunning(f"the load generator failed: {printed[-500:]}") from None
        if "error" in loaded:
            raise NotRunning(loaded["error"])
        return loaded

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def describe(cores: Cores, workloads: Sequence[Workload], rounds: int) -> str:
    """What was measured and where, to stand above the table."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return "\n".join(
        [
            f"{machine}, Python {platform.python_version()}; load average before: {load}.",
            str(cores),
            f"Medians of {rounds} interleaved rounds, in parentheses the least and the greatest round.",
            *(f"- {w.name}: {w.title}, {w.requests} requests a round" for w in workloads),
        ]
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    others = [name for name in CONTESTANTS if name != "direct"]
    names = [workload.name for workload in WORKLOADS]
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--contestants", nargs="+", choices=others, default=others, help="beside direct")
    parser.add_argument(
        "--peer",
        action="append",
        choices=list(PEERS),
        default=[],
        help="another proxy, installed for it; may be repeated",
    )
    parser.add_argument("--workloads", nargs="+", choices=names, default=names)
    parser.add_argument("--seconds", type=float, default=300, help="no turn begins after this time (default: 300)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="writes every measurement there, too")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    cores = choose_cores()
    workloads = [workload for workload in WORKLOADS if workload.name in options.workloads]
    order = ["direct", *(name for name in CONTESTANTS if name in options.contestants), *options.peer]
    # With more, the time to the first byte is mostly waiting for load and upstream.
    no_baseline = {workload.name for workload in workloads if workload.connections > 1}
    heading = describe(cores, workloads, options.rounds)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    with tempfile.TemporaryDirectory(prefix="claude-proxy-benchmark-") as directory, ExitStack() as stack:
        bench = Bench(Path(directory), cores, stack)
        try:
            bench.run(bench.start_all(order), workloads, options.rounds, options.seconds)
        except NotRunning as reason:
            print(f"the benchmark cannot run: {reason}", file=sys.stderr)
            return 1
    print(heading, "", Results(bench.measured, no_baseline).table(order), sep="\n")
    for note in bench.notes:
        print(f"\n{note}")
    if options.json:
        options.json.write_text(json.dumps([dataclasses.asdict(m) for m in bench.measured], indent=1))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)

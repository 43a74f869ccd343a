"""How many calls one request costs in the daemon: the same figures on any machine, however busy it is.

Python's time goes with its calls, one taking about as long as another, so what a change saves is seen here first.
"""

import argparse
import dataclasses
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from benchmarks.contestants import Place
from benchmarks.processes import NotRunning, Running, choose_cores, ending, run_to_end, start
from benchmarks.workloads import WORKLOADS, Workload

REQUESTS = 200
SECONDS = 60  # the bound of one load
COUNTED = {
    "aiohttp": ("benchmarks.plain_aiohttp", None),
    "unrecorded": ("claude_proxy", {"ledger": {"enabled": False}}),
    "daemon": ("claude_proxy", {}),
}


class Counting:
    """One program that is counted, and the load that is put on it."""

    def __init__(self, name: str, place: Place) -> None:
        self._place = place
        self._told = place.directory / name / "calls.json"
        self._asked = 0
        self._told.parent.mkdir(parents=True)
        module, settings = COUNTED[name]
        arguments = [place.upstream]
        if settings is not None:
            config = self._told.parent / "config.yaml"
            upstreams = {"claude": {"base_url": place.upstream}}
            config.write_text(json.dumps({"listen": {"port": 0}, "upstreams": upstreams, **settings}))
            arguments = ["serve", "--config", str(config)]
        command = [sys.executable, "-m", "benchmarks.counted", str(self._told), module, *arguments]
        self._running: Running = place.start(name, command)
        self._url = self._running.url()

    def of(self, workload: Workload) -> Counter[tuple[str, str, str]]:
        """Calls by thread, kind and function, of all requests of a load that follows another like it."""
        self._load(dataclasses.replace(workload, requests=max(50, workload.connections)))
        self._counted()
        self._load(workload)
        time.sleep(2)  # what is recorded is written a second later
        return self._counted()

    def _load(self, workload: Workload) -> None:
        options = {**workload.options, "warm-up": 0, "seconds": SECONDS}
        command = [sys.executable, "-m", "benchmarks.load", self._url, *(f"--{k}={v}" for k, v in options.items())]
        printed = json.loads(run_to_end("load", command, self._place.directory / "load", None, SECONDS + 5))
        if "error" in printed:
            raise NotRunning(printed["error"])

    def _counted(self) -> Counter[tuple[str, str, str]]:
        self._asked += 1
        os.kill(self._running.pid, signal.SIGUSR1)
        until = time.monotonic() + 10
        while time.monotonic() < until:
            if self._told.exists() and (told := json.loads(self._told.read_text()))[0] == self._asked:
                return Counter({(thread, kind, name): many for thread, kind, name, many in told[1]})
            time.sleep(0.02)
        raise NotRunning(f"it did not tell its calls: {self._running.last_words()}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calls", description=__doc__)
    names = [workload.name for workload in WORKLOADS]
    parser.add_argument("--workloads", nargs="+", choices=names, default=["small-1", "stream-1"])
    parser.add_argument("--programs", nargs="+", choices=COUNTED, default=list(COUNTED))
    parser.add_argument("--functions", type=int, default=0, help="how many to name of each, the most called first")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        upstream = start("upstream", [sys.executable, "-m", "benchmarks.upstream"], Path(directory) / "up", None)
        url = stack.enter_context(ending(upstream)).url()
        place = Place(Path(directory), url, choose_cores().proxy, stack)
        counting = {name: Counting(name, place) for name in chosen.programs}
        print("| workload | program | Python calls | C calls | Python calls, other threads | C calls, other threads |")
        print("| --- | --- | --- | --- | --- | --- |")
        for workload in (workload for workload in WORKLOADS if workload.name in chosen.workloads):
            requests = max(REQUESTS if not workload.stream.pause else 1, workload.connections)
            for name, program in counting.items():
                found = program.of(dataclasses.replace(workload, requests=requests))
                sums: Counter[tuple[str, str]] = Counter()
                for (thread, kind, _), many in found.items():
                    sums[thread, kind] += many
                cells = [sums[key] / requests for key in (("main", "Python"), ("main", "C"))]
                cells += [sums[key] / requests for key in (("others", "Python"), ("others", "C"))]
                print(f"| {workload.name} | {name} | {' | '.join(f'{cell:.0f}' for cell in cells)} |", flush=True)
                for (thread, kind, function), many in found.most_common(chosen.functions):
                    print(f"    {many / requests:8.1f} {kind} {function}{' (another thread)' * (thread != 'main')}")


if __name__ == "__main__":
    try:
        main()
    except NotRunning as reason:
        sys.exit(f"benchmarks.calls: {reason}")

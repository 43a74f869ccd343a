"""The soak: thousands of mixed requests, one in ten of which goes wrong, and nothing may be left of any of them.

Exits with 1 where something did not return to its start, an answer was wrong, or memory grew too much.
"""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.holdings import Holdings, Watched
from benchmarks.processes import Cores, NotRunning, Running, choose_cores, ending, pinned, start
from benchmarks.soak_clients import Crowd
from benchmarks.table import percentile

STEP = 1_000  # requests between two looks
SETTLE_SECONDS = 75.0  # idle connections to an upstream are kept for 30 s, and looked at every 30 s
MOST_GROWTH = 10_000_000  # bytes of memory after the first thousand requests
COLUMNS = ("after", "in flight", "clients", "upstreams", "descriptors", "tasks", "threads", "RSS, MB", "requests/s")


class Soak:
    """One run in a temporary directory of its own."""

    def __init__(self, directory: Path, cores: Cores, stack: ExitStack) -> None:
        self._directory = directory
        self._cores = cores
        self._stack = stack
        self.rows: list[tuple[str, ...]] = []
        self.lags: list[float] = []
        """By how many seconds the daemon's event loop was late, at each look under load."""
        self.growth = 0
        """Bytes of memory, from the first step's end to the end."""

    def start(self) -> Watched:
        """Two upstreams, the second of which can always answer, and the daemon before them."""
        rig = self._cores.rig
        faulty = self._run("faulty", ["-m", "benchmarks.faulty_upstream"], rig).url()
        healthy = self._run("healthy", ["-m", "benchmarks.faulty_upstream", "--healthy"], rig).url()
        settings = {
            "listen": {"host": "127.0.0.1", "port": 0},
            "credentials": {"claude": {"sources": ["client"]}},
            "upstreams": {
                name: {"base_url": url, "dialect": "anthropic", "credential": "claude"}
                for name, url in (("faulty", faulty), ("healthy", healthy))
            },
            "routes": [{"to": [{"upstream": "faulty"}, {"upstream": "healthy"}]}],
            # Short, or the soak would mostly wait; all else is as shipped.
            "breaker": {"cooldown": "200ms", "max_cooldown": "200ms"},
            "retry": {"first_wait": "50ms"},
            "transport": {"stream_idle_timeout": "500ms"},
        }
        config = self._directory / "config.yaml"
        config.write_text(json.dumps(settings))  # JSON is YAML
        told = self._directory / "told"
        command = ["-m", "benchmarks.watched_daemon", str(told), "serve", "--config", str(config)]
        daemon = self._run("daemon", command, self._cores.proxy)
        return Watched(daemon.pid, daemon.url(), told)

    def _run(self, name: str, command: list[str], core: int | None) -> Running:
        return self._stack.enter_context(ending(start(name, [sys.executable, *command], self._directory / name, core)))

    async def run(self, daemon: Watched, crowd: Crowd, requests: int) -> list[str]:
        """Sends the requests; what is wrong in the end, in words."""
        begin = await self._settled(daemon, None)
        self._note("start", begin)
        early: Holdings | None = None
        done = 0
        while done < requests:
            step = min(STEP, requests - done)
            began = time.monotonic()
            await asyncio.gather(crowd.ask(step), asyncio.to_thread(daemon.scrape))
            rate = step / (time.monotonic() - began)
            done += step
            held = await asyncio.to_thread(daemon.holdings)
            early = early or held
            self.lags += held.lags
            self._note(f"{done:,}", held, rate)
        crowd.leave()
        end = await self._settled(daemon, begin)
        self._note("the end", end)
        assert early is not None
        complaints = end.grown(begin) + crowd.wrong[:10]
        self.growth = end.rss - early.rss
        if self.growth >= MOST_GROWTH:
            complaints.append(
                f"memory may grow by less than {MOST_GROWTH / 1e6:g} MB after the first {STEP:,} requests"
            )
        return complaints

    async def _settled(self, daemon: Watched, begin: Holdings | None) -> Holdings:
        """What it holds once that is what it held at the start, or the time is up; at the start, what does not change
        from one look to the next."""
        give_up = time.monotonic() + SETTLE_SECONDS
        held = await asyncio.to_thread(daemon.holdings)
        while time.monotonic() < give_up:
            await asyncio.sleep(0.5)
            before, held = held, await asyncio.to_thread(daemon.holdings)
            if not held.grown(begin or before) and (begin or not held.clients):
                break
        return held

    def _note(self, when: str, held: Holdings, rate: float | None = None) -> None:
        counts = (held.in_flight, held.clients, held.upstreams, held.descriptors, held.tasks, held.threads)
        row = (when, *map(str, counts), f"{held.rss / 1e6:.1f}", f"{rate:.0f}" if rate else "")
        self.rows.append(row)
        print(", ".join(f"{name} {cell}" for name, cell in zip(COLUMNS, row, strict=True) if cell), file=sys.stderr)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown, numbers to the right."""
    widths = [max(len(row[i]) for row in (columns, *rows)) for i in range(len(columns))]
    rule = tuple("-" * (width - 1) + ":" for width in widths)
    return "\n".join(
        "| " + " | ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in (columns, rule, *rows)
    )


def lateness(lags: Sequence[float]) -> str:
    """What the looks at the event loop say, as a sentence. `lags` are seconds."""
    if not lags:
        return "The load was over before the first look at the event loop."
    parts = " and ".join(f"{percentile(lags, part) * 1000:.1f} ms in {part} %" for part in (50, 99))
    worst = max(lags) * 1000
    return f"Under load the event loop was late by at most {parts} of {len(lags):,} looks, and {worst:.1f} ms at worst."


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--at-once", type=int, default=20, help="how many clients there are")
    parser.add_argument("--seed", type=int, default=1, help="draws the same requests again")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    if not Path("/proc/self/fd").exists():
        print("the soak reads what a process holds from /proc: run it on Linux", file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    cores = choose_cores()
    with tempfile.TemporaryDirectory(prefix="claude-proxy-soak-") as directory, ExitStack() as stack:
        soak = Soak(Path(directory), cores, stack)
        try:
            daemon = soak.start()
            crowd = Crowd(daemon.url, options.at_once, options.seed)
            with pinned(cores.rig):
                complaints = asyncio.run(soak.run(daemon, crowd, options.requests))
        except NotRunning as reason:
            print(f"the soak cannot run: {reason}", file=sys.stderr)
            return 2
    befell = [(what, came, f"{number:,}") for (what, came), number in sorted(crowd.befell.items())]
    print(cores, "", table(COLUMNS, soak.rows), "", sep="\n")
    print(table(("what befell a request", "what came of it", "requests"), befell))
    print(f"\nMemory changed by {soak.growth / 1e6:+.1f} MB after the first {STEP:,} requests.")
    print(lateness(soak.lags))
    print("\n" + ("\n".join(["NOT WELL:", *complaints]) if complaints else "All else is as it was at the start."))
    return int(bool(complaints))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)

"""What recording costs whoever waits: the event loop's lag and the time to the first byte, with the ledger and without.

    python -m benchmarks.recording

The daemon runs in this process, the upstream in another. Four conversations of Claude Code's size go on at once, each
request with one message more than the one before. A ticker sleeps for a millisecond again and again on the daemon's
loop; how much later it wakes is the lag. The two ways take turns, round after round.
"""

import argparse
import asyncio
import contextlib
import json
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp

from benchmarks.workloads import STREAM_HEADER, Stream
from tests.in_process import LOGIN, in_process

_TICK = 0.001
HEADERS = {**LOGIN, "Content-Type": "application/json", STREAM_HEADER: str(Stream(50))}
_WAYS = ("without the ledger", "with the ledger", "with the ledger, its disk locked")


def conversation(turns: int, size: int) -> list[bytes]:
    """That many messages as JSON, of that many bytes in all: written before, so that it takes no time meanwhile."""
    chance = random.Random(turns)
    words = ["".join(chance.choices("etaoinshrdlu", k=chance.randint(2, 9))) for _ in range(3000)]
    return [
        message(("user", "assistant")[turn % 2], " ".join(chance.choices(words, k=size // turns // 6)))
        for turn in range(turns)
    ]


def message(role: str, text: str) -> bytes:
    return json.dumps({"role": role, "content": [{"type": "text", "text": text}]}).encode()


async def ticking(lags: list[float]) -> None:
    while True:
        before = time.perf_counter()
        await asyncio.sleep(_TICK)
        lags.append(time.perf_counter() - before - _TICK)


async def talking(url: str, messages: list[bytes], seconds: float, pause: float, times: list[float]) -> None:
    """One conversation, turn after turn; its first bytes' times are noted."""
    end = time.monotonic() + seconds
    said = list(messages)
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < end:
            body = b'{"model": "claude-opus-4-8", "stream": true, "messages": [%b]}' % b",".join(said)
            await asyncio.sleep(pause)
            before = time.perf_counter()
            async with session.post(f"{url}/v1/messages", data=body, headers=HEADERS) as reply:
                await reply.content.readany()
                times.append(time.perf_counter() - before)
                await reply.read()
            said.append(message("user", f"{random.random()} " * 200))


async def measured(
    home: Path, way: str, upstream: str, arguments: argparse.Namespace
) -> tuple[list[float], list[float]]:
    lags: list[float] = []
    times: list[float] = []
    config = {
        "upstreams": {"claude": {"base_url": upstream}},
        "ledger": {"enabled": way != _WAYS[0], "url": f"sqlite://{home}/ledger.db"},
        "log": {"level": "error"},
    }
    messages = conversation(150, arguments.size)
    async with in_process(home, config) as daemon:
        await talking(daemon.url, messages, 0.5, 0.05, [])
        with contextlib.ExitStack() as stack:
            if way == _WAYS[2]:
                stack.enter_context(locked(home / "ledger.db"))
            ticker = asyncio.create_task(ticking(lags))
            talks = [talking(daemon.url, messages, arguments.seconds, arguments.pause, times) for _ in range(4)]
            await asyncio.gather(*talks)
            ticker.cancel()
    return lags, times


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """The ledger, held by another process's transaction."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


def shown(values: list[float]) -> str:
    ordered = sorted(values)
    parts = (
        statistics.median(ordered),
        ordered[int(len(ordered) * 0.99)],
        ordered[int(len(ordered) * 0.999)],
        ordered[-1],
    )
    return " ".join(f"{part * 1000:8.2f}" for part in parts)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--pause", type=float, default=0.2, help="seconds between two requests of a conversation")
    parser.add_argument("--size", type=int, default=800_000, help="bytes of a conversation")
    arguments = parser.parse_args()
    print(f"{'ms':34} {'':>6} {'median':>8} {'p99':>8} {'p99.9':>8} {'most':>8}")
    found: dict[str, tuple[list[float], list[float]]] = {way: ([], []) for way in _WAYS}
    with tempfile.TemporaryDirectory() as directory:
        upstream = subprocess.Popen([sys.executable, "-m", "benchmarks.upstream"], stdout=subprocess.PIPE, text=True)
        try:
            assert upstream.stdout is not None
            url = upstream.stdout.readline().partition("url=")[2].strip()
            for number in range(arguments.rounds):
                for way in _WAYS:
                    home = Path(directory) / f"{number}{way.replace(' ', '')}"
                    home.mkdir()
                    lags, times = await measured(home, way, url, arguments)
                    found[way][0].extend(lags)
                    found[way][1].extend(times)
        finally:
            upstream.terminate()
            upstream.wait()
    for way, (lags, times) in found.items():
        print(f"{way:34} {'lag':>6} {shown(lags)}")
        print(f"{'':34} {'first':>6} {shown(times)}   {len(times)} requests")


if __name__ == "__main__":
    asyncio.run(main())

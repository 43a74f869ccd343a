"""A steady load while something happens to the daemon: whole answers and streams, on old connections and new."""

import asyncio
import time
from dataclasses import dataclass, field

import aiohttp

from tests.in_process import LOGIN
from tests.paths.held_streams import ASKED
from tests.stand_in import Answer, Received, Wire, says, text_stream

PER_SECOND = 20
SLOW = "claude-slow"
SLOW_SECONDS = 8


@dataclass
class Load:
    """What became of the requests so far. A request is lost where its answer is not whole, or none comes."""

    sent: int = 0
    lost: list[str] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        longest = max(self.latencies, default=0.0)
        return f"{self.sent} requests, {len(self.lost)} lost, longest {longest * 1000:.0f} ms"


def slow_stream() -> list[bytes]:
    """The events of an answer that takes eight seconds."""
    return text_stream(" ".join(map(str, range(SLOW_SECONDS))), SLOW)


def answers(slow: list[bytes]) -> Answer:
    """An upstream that answers at once, but takes its time where the slow model is asked."""
    quick = says("hello")

    async def answer(received: Received, wire: Wire) -> None:
        if received.json()["model"] != SLOW:
            await quick(received, wire)
            return
        await wire.start_stream()
        for event in slow:
            await wire.chunk(event)
            await asyncio.sleep(SLOW_SECONDS / len(slow))  # this stream's slowness is what the test is about
        await wire.end()

    return answer


async def steady_load(url: str, seconds: float) -> Load:
    """Twenty requests a second for so long; returns once the last has been answered, or has been lost."""
    load = Load()
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as requests:
        for number in range(round(PER_SECOND * seconds)):
            load.sent += 1
            requests.create_task(_ask(load, session, url, number))
            await asyncio.sleep(1 / PER_SECOND)
    return load


async def _ask(load: Load, session: aiohttp.ClientSession, url: str, number: int) -> None:
    """Every second one is a stream, every third one comes on a connection of its own."""
    stream = number % 2 == 0
    headers = {**LOGIN, **({"Connection": "close"} if number % 3 == 0 else {})}
    started = time.monotonic()
    try:
        async with session.post(f"{url}/v1/messages", json={**ASKED, "stream": stream}, headers=headers) as reply:
            body = await reply.read()
            whole = b"message_stop" in body if stream else b'"end_turn"' in body
            if reply.status != 200 or not whole:
                load.lost.append(f"{number}: {reply.status} {body[:200]!r}")
    except aiohttp.ClientError as error:
        load.lost.append(f"{number}: {error!r}")
    load.latencies.append(time.monotonic() - started)

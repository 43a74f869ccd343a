"""The load generator, a process of its own: keeps connections busy, checks answers, prints JSON."""

import argparse
import asyncio
import gc
import gzip
import json
import math
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from benchmarks.framing import FramingError, MessageReader
from benchmarks.processes import Usage, usage
from benchmarks.workloads import FIXED_EVENTS, NO_STAMP, STAMP, Stream, json_answer, request_bytes, stream_answer


class AnswerError(Exception):
    """An answer that does not count: refused, cut short, or not what the upstream sent."""


@dataclass(frozen=True)
class Sample:
    """One request: seconds from its first byte sent to the answer's first body byte, and to its last."""

    first_byte: float
    total: float
    verbatim: bool  # the body is byte for byte the upstream's


class Expected:
    """What a right answer looks like."""

    def __init__(self, stream: Stream) -> None:
        self._body = b"".join(stream_answer(stream)) if stream.events else json_answer()
        self.paced = stream.pause > 0
        self._deltas = self._body.count(b"event: content_block_delta")
        self._stops = self._body.count(b"event: message_stop")

    def check(self, answer: MessageReader) -> bool:
        """Whether the body came verbatim; raises where it is not even complete."""
        if not answer.start_line.startswith("HTTP/1.1 200"):
            raise AnswerError(f"{answer.start_line!r}: {bytes(answer.body[:300])!r}")
        packed = answer.headers.get("content-encoding") == "gzip"
        body: bytes | bytearray = _unpacked(answer.body) if packed else answer.body
        if self.paced:
            body = STAMP.sub(NO_STAMP, body)
        if body == self._body:
            return not packed
        if self._stops:
            # A proxy that writes the events anew is slower, not wrong.
            found = body.count(b"event: content_block_delta"), body.count(b"event: message_stop")
            if found != (self._deltas, self._stops):
                raise AnswerError(f"incomplete stream: {found} deltas and stops of {self._deltas, self._stops}")
        elif json.loads(body).get("stop_reason") != "end_turn":
            raise AnswerError(f"not the upstream's answer: {bytes(body[:300])!r}")
        return False


def _unpacked(body: bytearray) -> bytes:
    """A proxy may compress what the upstream did not: the load says that it takes gzip, as Claude Code does."""
    try:
        return gzip.decompress(body)
    except (OSError, EOFError, zlib.error) as error:
        raise AnswerError(f"an answer that cannot be unpacked: {error}") from error


class Lags:
    """How late paced events come, and what they cost the proxy: while all streams run, and only then. To begin and to
    end a stream is work of another kind, and all of them begin within one pause, as no user's do."""

    def __init__(self, pid: int | None, connections: int, expected: int) -> None:
        self._pid = pid
        self._from, self._until = 3 * connections, expected - 3 * connections
        self._seen = 0
        self._before: tuple[int, Usage | None] = (0, None)
        self.seconds: list[float] = []
        self.cpu: float | None = None  # seconds for each event

    def feed(self, data: bytes) -> None:
        now = time.perf_counter()
        stamps = STAMP.findall(data)
        self._seen += len(stamps)
        if not self._from <= self._seen < self._until:
            return self._end()
        if not self._before[0]:
            self._before = self._seen, usage(self._pid) if self._pid is not None else None
        self.seconds += (now - float(stamp[1:]) for stamp in stamps)
        return None

    def _end(self) -> None:
        number, before = self._before
        if self._pid is None or before is None or self.cpu is not None:
            return
        after = usage(self._pid)
        self.cpu = (after.cpu - before.cpu) / (self._seen - number) if after else None


class Connection(asyncio.Protocol):
    """One kept-alive connection with at most one request under way."""

    def __init__(self, expected: Expected, lags: Lags | None) -> None:
        self._expected = expected
        self._lags = lags
        self._answer = MessageReader()
        self._waiting: asyncio.Future[Sample] | None = None
        self._sent = self._first = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def ask(self, request: bytes) -> asyncio.Future[Sample]:
        """Sends a request; the future ends with its answer."""
        self._waiting = asyncio.get_running_loop().create_future()
        self._answer.next()
        self._first = 0.0
        if self._transport.is_closing():
            self._waiting.set_exception(AnswerError("the connection was closed between two requests"))
        else:
            self._sent = time.perf_counter()
            self._transport.write(request)
        return self._waiting

    def data_received(self, data: bytes) -> None:
        if self._waiting is None or self._waiting.done():
            self._transport.abort()
            return
        if self._lags is not None:
            self._lags.feed(data)
        try:
            whole = self._answer.feed(data)
            if not self._first and self._answer.body:
                self._first = time.perf_counter()
            if whole:
                now = time.perf_counter()
                verbatim = self._expected.check(self._answer)
                self._waiting.set_result(Sample(self._first - self._sent, now - self._sent, verbatim))
        except (AnswerError, FramingError, ValueError) as error:
            self._waiting.set_exception(AnswerError(str(error)))
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(AnswerError(f"the connection was lost before the answer's end: {exc}"))

    def close(self) -> None:
        self._transport.abort()


def turns_of(count: int, seconds: float) -> Iterator[int]:
    """So many turns, but none that would begin later than this."""
    until = time.perf_counter() + seconds
    for number in range(count):
        if time.perf_counter() > until:
            return
        yield number


async def run_phase(
    connections: list[Connection],
    request: bytes,
    count: int,
    over: float = 0.0,
    rest: float = 0.0,
    seconds: float = math.inf,
) -> list[Sample]:
    """This many requests, handed out to the connections as they become free; the first ones spread over a time.
    Fewer where the time is up: a slow proxy is measured by as many as it can answer.

    `rest` is the time that a connection lets pass after each answer.
    """
    samples: list[Sample] = []
    turns = turns_of(count, seconds)

    async def keep_busy(number: int, connection: Connection) -> None:
        await asyncio.sleep(over * number / len(connections))
        for _ in turns:
            samples.append(await connection.ask(request))
            if rest:
                await asyncio.sleep(rest)

    await asyncio.gather(*(keep_busy(number, connection) for number, connection in enumerate(connections)))
    return samples


async def measure(options: argparse.Namespace) -> dict[str, object]:
    """Warms up, then measures; the result as it is printed."""
    address = urlsplit(options.url)
    stream = Stream(options.events, options.delta_bytes, options.pause)
    request = request_bytes(options.body_bytes, stream, address.netloc)
    expected = Expected(stream)
    lags = None
    if stream.pause:
        lags = Lags(options.pid, options.connections, options.requests * (stream.events - FIXED_EVENTS))
    loop = asyncio.get_running_loop()
    connections: list[Connection] = []
    try:
        async with asyncio.timeout(options.seconds):
            for _ in range(options.connections):
                _, made = await loop.create_connection(
                    lambda: Connection(expected, lags), address.hostname, address.port
                )
                connections.append(made)
            await run_phase(connections, request, options.warm_up)
            gc.disable()  # a collection here would be timed as the proxy's
            before = usage(options.pid) if options.pid else None
            began, began_cpu = time.perf_counter(), time.process_time()
            samples = await run_phase(connections, request, options.requests, stream.pause, options.rest, options.turn)
            ended, ended_cpu = time.perf_counter(), time.process_time()
            after = usage(options.pid) if options.pid else None
    finally:
        for connection in connections:
            connection.close()
    return {
        "requests": len(samples),
        "cpu": (after.cpu - before.cpu) / len(samples) if before and after else None,
        "cpu_event": lags.cpu if lags else None,
        "lag": lags.seconds if lags else [],
        "seconds": ended - began,
        "generator_cpu": ended_cpu - began_cpu,
        "verbatim": all(sample.verbatim for sample in samples),
        "first_byte": [sample.first_byte for sample in samples],
        "total": [sample.total for sample in samples],
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--body-bytes", type=int, default=85_000)
    parser.add_argument("--events", type=int, default=50, help="0: a JSON answer")
    parser.add_argument("--delta-bytes", type=int, default=0, help="of each event; 0: a line of prose")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between two events; 0: all at once")
    parser.add_argument("--pid", type=int, help="a process whose CPU time is told")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--warm-up", type=int, default=20)
    parser.add_argument("--rest", type=float, default=0.0, help="seconds between an answer and the next request")
    parser.add_argument("--turn", type=float, default=math.inf, help="seconds after which no measured request begins")
    parser.add_argument("--seconds", type=float, default=60, help="gives up after this time")
    options = parser.parse_args()
    try:
        result = asyncio.run(measure(options))
    except AnswerError as error:
        result = {"error": str(error)}
    except OSError as error:  # TimeoutError is one
        result = {"error": f"{type(error).__name__} {error} (bounded by --seconds {options.seconds:g})"}
    print(json.dumps(result))
    return int("error" in result)


if __name__ == "__main__":
    sys.exit(main())

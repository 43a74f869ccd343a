"""The clients of the soak: what each request is, what befalls it, and what must come of it."""

import asyncio
import functools
import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from benchmarks.faulty_upstream import COUNTED, ERROR_EVENT, FAULT_HEADER, begun
from benchmarks.framing import FramingError, MessageReader
from benchmarks.load import AnswerError, Expected
from benchmarks.workloads import Stream, request_bytes

SECONDS = 30.0  # after which an answer counts as hung
LONGEST_STAY = 0.05  # seconds that a client waits before it leaves


@dataclass(frozen=True)
class Kind:
    """One kind of request; `share` of all. `events` 0: not streaming."""

    name: str
    share: int
    body_bytes: int
    events: int = 0
    counts: bool = False


KINDS = (
    Kind("stream, 85 KB", 35, 85_000, 50),
    Kind("stream, 1 KB", 25, 1_000, 50),
    Kind("whole, 85 KB", 10, 85_000),
    Kind("whole, 1 KB", 20, 1_000),
    Kind("count_tokens, 85 KB", 10, 85_000, counts=True),
)

# What befalls one request in ten: half of it by the upstream's fault, half because the client leaves.
BEFORE_COMMITMENT = ("drop", "529", "malformed")  # another upstream answers
AFTER_COMMITMENT = ("cut", "stall", "error")  # of streams only: one error event ends them
LEAVES = ("leaves while sending", "leaves before the head", "leaves before the first event", "leaves mid-stream")
FAULT_OF = dict(zip(LEAVES, ("", "hold", "head", "stall"), strict=True))
"""What the upstream does, so that there is time to leave."""


@dataclass(frozen=True)
class Asked:
    """One request: of which kind, and what befalls it ("" for nothing)."""

    kind: Kind
    befalls: str


def drawn(chance: random.Random) -> Asked:
    """The next request."""
    kind = chance.choices(KINDS, [kind.share for kind in KINDS])[0]
    dice = chance.random()
    if dice < 0.05:
        return Asked(kind, chance.choice(BEFORE_COMMITMENT + (AFTER_COMMITMENT if kind.events else ())))
    if dice < 0.10:
        return Asked(kind, chance.choice(LEAVES if kind.events else LEAVES[:2]))
    return Asked(kind, "")


@functools.cache
def _written(asked: Asked, host: str) -> bytes:
    kind = asked.kind
    request = request_bytes(kind.body_bytes, Stream(kind.events), host)
    if fault := FAULT_OF.get(asked.befalls, asked.befalls):
        request = request.replace(b"Content-Length:", f"{FAULT_HEADER}: {fault}\r\nContent-Length:".encode(), 1)
    if kind.counts:
        request = request.replace(b"/v1/messages?", b"/v1/messages/count_tokens?", 1)
    return request


@functools.cache
def _expected(events: int) -> Expected:
    return Expected(Stream(events))


class Client:
    """One client after another on a kept-alive connection; a new one where the last has left."""

    def __init__(self, url: str, chance: random.Random) -> None:
        self._host = urlsplit(url).netloc
        self._chance = chance
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, asked: Asked) -> str:
        """What came of it, in a word or two. Raises AnswerError where it is not what must come."""
        try:
            async with asyncio.timeout(SECONDS):
                return await self._ask(asked)
        except TimeoutError:
            raise AnswerError(f"no end within {SECONDS:g} s") from None
        except (ConnectionError, FramingError, asyncio.IncompleteReadError) as error:
            raise AnswerError(f"{type(error).__name__}: {error}") from None

    async def _ask(self, asked: Asked) -> str:
        reader, writer = await self._connected()
        request = _written(asked, self._host)
        if asked.befalls == "leaves while sending":
            request = request[: self._chance.randrange(1, len(request))]
        writer.write(request)
        await writer.drain()
        if asked.befalls in LEAVES:
            if asked.befalls == "leaves mid-stream":
                await reader.readuntil(b"event: message_start")
            await asyncio.sleep(self._chance.uniform(0, LONGEST_STAY))
            self.leave()
            return "left"
        answer = MessageReader()
        while not answer.feed(await self._some(reader)):
            pass
        return _judged(asked, answer)

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            host, _, port = self._host.rpartition(":")
            self._streams = await asyncio.open_connection(host, int(port))
        return self._streams

    async def _some(self, reader: asyncio.StreamReader) -> bytes:
        piece = await reader.read(1 << 16)
        if not piece:
            self.leave()
            raise AnswerError("the connection ended before the answer did")
        return piece

    def leave(self) -> None:
        """Ends the connection, sometimes politely."""
        if self._streams is not None:
            writer = self._streams[1]
            self._streams = None
            if self._chance.random() < 0.5:
                writer.close()
            else:
                writer.transport.abort()


def _judged(asked: Asked, answer: MessageReader) -> str:
    kind, body = asked.kind, bytes(answer.body)
    if asked.befalls in AFTER_COMMITMENT:
        so_far = begun(Stream(kind.events))
        added = body.removeprefix(so_far)
        right = body.startswith(so_far) and added.startswith(b"event: error\ndata: ") and added.count(b"\n\n") == 1
        if not right or (asked.befalls == "error") != (added == ERROR_EVENT):
            raise AnswerError(f"not ended with one error event: {body[-300:]!r}")
        json.loads(added.partition(b"data: ")[2])
        return "ended with one error event"
    if kind.counts:
        if body != COUNTED or not answer.start_line.startswith("HTTP/1.1 200"):
            raise AnswerError(f"not counted: {answer.start_line} {body[:300]!r}")
    elif not _expected(kind.events).check(answer):
        raise AnswerError(f"not byte for byte: {body[:300]!r}")
    return "answered"


class Crowd:
    """So many clients at once; what came of their requests is counted."""

    def __init__(self, url: str, at_once: int, seed: int) -> None:
        self._chance = random.Random(seed)
        self._clients = [Client(url, random.Random(seed + number)) for number in range(1, at_once + 1)]
        self.befell: Counter[tuple[str, str]] = Counter()
        """By what befell a request and what came of it."""
        self.wrong: list[str] = []

    async def ask(self, number: int) -> None:
        """Sends so many requests, each as soon as a client is free."""
        turns = (drawn(self._chance) for _ in range(number))
        await asyncio.gather(*(self._keep_busy(client, turns) for client in self._clients))

    async def _keep_busy(self, client: Client, turns: Iterator[Asked]) -> None:
        for asked in turns:
            try:
                came = await client.ask(asked)
            except AnswerError as error:
                came = "WRONG"
                self.wrong.append(f"{asked.kind.name}, {asked.befalls or 'nothing befell it'}: {error}")
                client.leave()
            self.befell[asked.befalls or "nothing", came] += 1

    def leave(self) -> None:
        """All clients go."""
        for client in self._clients:
            client.leave()

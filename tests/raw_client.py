"""A raw asyncio client: sends exactly these bytes, keeps whatever comes back, never waits without a bound."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Self

SECONDS = 15.0  # the longest that any wait here lasts: a failed test, never a part of one that passes


@dataclass(frozen=True)
class Answer:
    """One answer as it lay on the wire."""

    version: str
    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first value of a header, by its case-insensitive name."""
        return next((v for k, v in self.headers if k.lower() == name.lower()), None)

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        return [v for k, v in self.headers if k.lower() == name.lower()]

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Outcome:
    """What came back on one connection: the answers in order, what was left over, and how it ended."""

    raw: bytes
    answers: tuple[Answer, ...]
    rest: bytes  # bytes that are no whole answer: half of one, or something that is not HTTP
    closed: bool  # False: the other side still held the connection open when the time was over

    @property
    def statuses(self) -> list[int]:
        return [answer.status for answer in self.answers]

    @property
    def final(self) -> Answer:
        """The first answer that is not an interim one (1xx)."""
        return next(answer for answer in self.answers if answer.status >= 200)


def take_answer(raw: bytes, *, ended: bool, to_head: bool = False) -> tuple[Answer, bytes] | None:
    """The first whole answer in these bytes and what follows it; None while it is not complete.

    `ended` says that no more bytes come, which completes an answer without a length.
    """
    head, found, rest = raw.partition(b"\r\n\r\n")
    if not found or not head.startswith(b"HTTP/"):
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, status_and_reason = first.partition(" ")
    status, _, reason = status_and_reason.partition(" ")
    headers = tuple((k, v.strip()) for k, _, v in (line.partition(":") for line in lines))
    by_name = {k.lower(): v for k, v in headers}
    body: bytes
    if to_head or int(status) < 200 or int(status) in (204, 304):
        body = b""
    elif "chunked" in by_name.get("transfer-encoding", "").lower():
        unchunked = _take_chunks(rest)
        if unchunked is None:
            return None
        body, rest = unchunked
    elif "content-length" in by_name:
        length = int(by_name["content-length"])
        if len(rest) < length:
            return None
        body, rest = rest[:length], rest[length:]
    elif ended:
        body, rest = rest, b""
    else:
        return None
    return Answer(version, int(status), reason, headers, body), rest


def _take_chunks(raw: bytes) -> tuple[bytes, bytes] | None:
    """A chunked body without trailers and what follows it; None while it is not complete."""
    body = b""
    while True:
        size, found, raw = raw.partition(b"\r\n")
        if not found:
            return None
        length = int(size.split(b";")[0], 16)
        if len(raw) < length + 2:
            return None
        if not length:
            return body, raw[2:]
        body, raw = body + raw[:length], raw[length + 2 :]


@dataclass
class RawConnection:
    """An open connection: send, drip, wait for answers, say that nothing more comes."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    raw: bytearray = field(default_factory=bytearray)
    closed: bool = False
    sent: int = 0

    async def send(self, data: bytes) -> bool:
        """Writes everything; False where the other side had closed before it was all gone."""
        try:
            async with asyncio.timeout(SECONDS):
                for start in range(0, len(data), 65536):
                    piece = data[start : start + 65536]
                    self.writer.write(piece)
                    await self.writer.drain()
                    self.sent += len(piece)
        except (ConnectionError, TimeoutError):
            return False
        return True

    def finish_sending(self) -> None:
        """Sends FIN and goes on listening."""
        with contextlib.suppress(OSError, RuntimeError):
            self.writer.write_eof()

    async def read_until(self, enough: Callable[[Self], bool], seconds: float = SECONDS) -> bool:
        """Reads until the condition holds; False where the connection or the time ended before."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not enough(self) and not self.closed:
                    await self._read_some()
        return enough(self)

    async def _read_some(self) -> None:
        try:
            data = await self.reader.read(65536)
        except ConnectionError:
            data = b""
        self.raw += data
        self.closed = self.closed or not data

    async def answer(self, seconds: float = SECONDS) -> Answer | None:
        """The first final answer, once it is whole; None where the connection ended without one."""
        await self.read_until(lambda c: any(a.status >= 200 for a in c.outcome().answers), seconds)
        return next((a for a in self.outcome().answers if a.status >= 200), None)

    async def end(self, seconds: float = SECONDS) -> Outcome:
        """Everything until the other side closes."""
        await self.read_until(lambda c: c.closed, seconds)
        return self.outcome()

    async def drip(self, data: bytes, every: float) -> int:
        """Sends one byte after the other with a pause, until the other side closes; says how many went."""
        gone = 0
        listening = asyncio.create_task(self.end(seconds=len(data) * every + SECONDS))
        try:
            for start in range(len(data)):
                if not await self.send(data[start : start + 1]):
                    break
                gone += 1
                done, _ = await asyncio.wait([listening], timeout=every)
                if done:
                    break
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        return gone

    def outcome(self) -> Outcome:
        rest = bytes(self.raw)
        answers = []
        while taken := take_answer(rest, ended=self.closed):
            answers.append(taken[0])
            rest = taken[1]
        return Outcome(bytes(self.raw), tuple(answers), rest, self.closed)


@contextlib.asynccontextmanager
async def connected(port: int, host: str = "127.0.0.1") -> AsyncIterator[RawConnection]:
    """A fresh connection, reset in the end where it is still open."""
    async with asyncio.timeout(SECONDS):
        reader, writer = await asyncio.open_connection(host, port, limit=1 << 20)
    try:
        yield RawConnection(reader, writer)
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def request(
    method: str = "GET",
    target: str = "/health",
    *,
    host: str | None,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes | None = None,
) -> bytes:
    """A well-formed request with its length; `host=None` leaves Host out."""
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"Host: {host}"] if host is not None else []
    lines += [f"{k}: {v}" for k, v in headers]
    lines += [f"Content-Length: {len(body)}"] if body is not None else []
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


async def ask(port: int, target: str = "/livez") -> Answer:
    """A question of our own on a fresh connection; the daemon has read by then all that was sent before."""
    data = request(target=target, host=f"127.0.0.1:{port}", headers=[("Connection", "close")])
    async with connected(port) as connection:
        await connection.send(data)
        return (await connection.end()).final


async def send_raw(port: int, *pieces: bytes, fin: bool = False, seconds: float = SECONDS) -> Outcome:
    """Sends these pieces on a fresh connection, each once the one before has been read, and reads to the end.

    Where an answer leaves the connection open, a question of our own follows on it (`GET /livez`, then
    close). So all that the daemon makes of these bytes is in the outcome: a second request hidden in them
    would have been answered, or would have swallowed the question.
    """
    async with connected(port) as connection:
        listening = asyncio.create_task(connection.answer(seconds))
        for number, piece in enumerate(pieces):
            if number:
                await ask(port)
            await connection.send(piece)
        if fin:
            connection.finish_sending()
        await listening
        if not connection.closed:
            question = request(target="/livez", host=f"127.0.0.1:{port}", headers=[("Connection", "close")])
            await connection.send(question)
        return await connection.end(seconds)

"""A raw asyncio upstream: answers from a script, keeps every byte that it received, does what no library would."""

import asyncio
import contextlib
import itertools
import json
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Self

Headers = Iterable[tuple[str, str]]


@dataclass(frozen=True)
class Received:
    """One request as it lay on the wire."""

    method: str
    target: str
    version: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    connection: int

    def header(self, name: str) -> str | None:
        """The first value of a header, by its case-insensitive name."""
        return next((v for k, v in self.headers if k.lower() == name.lower()), None)

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


@dataclass
class Wire:
    """The connection that an answer is written to."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    keep_alive: bool = True
    peer_left: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self, status: int, headers: Headers = (), reason: str = "X") -> None:
        lines = [f"HTTP/1.1 {status} {reason}", *(f"{k}: {v}" for k, v in headers), "", ""]
        await self.send("\r\n".join(lines).encode("latin-1"))

    async def reply(self, status: int, body: bytes, headers: Headers = ()) -> None:
        """A whole answer with its length."""
        await self.head(status, [*headers, ("Content-Length", str(len(body)))])
        await self.send(body)

    async def start_stream(self, headers: Headers = (), status: int = 200) -> None:
        await self.head(status, [("Content-Type", "text/event-stream"), *headers, ("Transfer-Encoding", "chunked")])

    async def chunk(self, data: bytes) -> None:
        await self.send(b"%x\r\n%s\r\n" % (len(data), data))

    async def end(self) -> None:
        await self.send(b"0\r\n\r\n")

    def reset(self) -> None:
        """Closes with RST: what is still unsent is lost, as when a process dies."""
        self.keep_alive = False
        self.writer.transport.abort()

    def close(self) -> None:
        """Closes with FIN once what was written is sent."""
        self.keep_alive = False
        self.writer.close()


Answer = Callable[[Received, Wire], Awaitable[None]]


class StandIn:
    """An upstream on a free loopback port. `answer` serves all requests that `then` queued no answer for."""

    def __init__(self, answer: Answer | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.answer: Answer = answer or says("hello")
        self.received: list[Received] = []
        self.open_connections = 0
        self.connections = 0
        self._queued: deque[Answer] = deque()
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._changed = asyncio.Condition()

    def then(self, *answers: Answer) -> Self:
        """Queues answers, one for each coming request, before `answer` takes over again."""
        self._queued.extend(answers)
        return self

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def wait_for(self, condition: Callable[[], bool], seconds: float = 20) -> None:
        """Returns once the condition holds; looked at again after each request, connection and departure."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(condition)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls, limit=1 << 20)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Refuses new connections and resets the open ones."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.connections += 1
        self.open_connections += 1
        number = self.connections
        try:
            await self._serve(reader, writer, number)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the other side left: tests look at open_connections and received
        except asyncio.CancelledError:
            pass  # stop()
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            self.open_connections -= 1
            writer.close()
            with contextlib.suppress(asyncio.CancelledError):
                await self._notify()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        wire = Wire(reader, writer)
        while wire.keep_alive:
            received = await read_request(reader, number)
            if received is None:
                return
            self.received.append(received)
            await self._notify()
            answer = self._queued.popleft() if self._queued else self.answer
            await answer(received, wire)


async def read_request(reader: asyncio.StreamReader, connection: int = 0) -> Received | None:
    """One request from the wire, or None where the connection ended before one began."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return None
        raise
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    method, target, version = first.split(" ")
    headers = tuple((k, v.strip()) for k, _, v in (line.partition(":") for line in lines))
    by_name = {k.lower(): v for k, v in headers}
    body = b""
    if "chunked" in by_name.get("transfer-encoding", "").lower():
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")
    elif length := int(by_name.get("content-length", "0")):
        body = await reader.readexactly(length)
    return Received(method, target, version, headers, body, connection)


# --- events and bodies ---------------------------------------------------------------------------------


def sse(event: str, data: Any) -> bytes:
    """One server-sent event as Anthropic writes it."""
    return f"event: {event}\ndata: {json.dumps(data, separators=(',', ':'), ensure_ascii=False)}\n\n".encode()


_ids = itertools.count(1)


def message_start(model: str = "claude-sonnet-4-5", input_tokens: int = 10) -> bytes:
    return sse(
        "message_start",
        {
            "type": "message_start",
            "message": {
                "id": f"msg_{next(_ids):06}",
                "type": "message",
                "role": "assistant",
                "model": model,
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {"input_tokens": input_tokens, "output_tokens": 1},
            },
        },
    )


def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[bytes]:
    """A content block: its start, its deltas, its stop."""
    return [
        sse("content_block_start", {"type": "content_block_start", "index": index, "content_block": start}),
        *(sse("content_block_delta", {"type": "content_block_delta", "index": index, "delta": d}) for d in deltas),
        sse("content_block_stop", {"type": "content_block_stop", "index": index}),
    ]


def text_block(text: str, index: int = 0, pieces: int = 2) -> list[bytes]:
    cut = max(1, -(-len(text) // pieces))
    parts = [text[i : i + cut] for i in range(0, len(text), cut)]
    return block(index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": part} for part in parts))


def message_end(stop_reason: str = "end_turn", output_tokens: int = 7) -> list[bytes]:
    return [
        sse(
            "message_delta",
            {
                "type": "message_delta",
                "delta": {"stop_reason": stop_reason, "stop_sequence": None},
                "usage": {"output_tokens": output_tokens},
            },
        ),
        sse("message_stop", {"type": "message_stop"}),
    ]


def text_stream(text: str = "hello", model: str = "claude-sonnet-4-5") -> list[bytes]:
    """The events of a whole plain answer."""
    return [message_start(model), *text_block(text), *message_end()]


def message_json(text: str = "hello", model: str = "claude-sonnet-4-5") -> bytes:
    """The body of a whole non-streaming answer."""
    return json.dumps(
        {
            "id": f"msg_{next(_ids):06}",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 10, "output_tokens": 7},
        }
    ).encode()


def error_body(kind: str, message: str) -> bytes:
    return json.dumps(
        {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_standin"}
    ).encode()


# --- answers -------------------------------------------------------------------------------------------


def says(text: str = "hello", headers: Headers = ()) -> Answer:
    """A stand-in of the whole API: streams where a stream is asked for, counts tokens, lists models."""

    async def answer(received: Received, wire: Wire) -> None:
        if received.method == "HEAD":
            await wire.head(200, [("Content-Length", "0")])
        elif received.path.endswith("/count_tokens"):
            await wire.reply(200, b'{"input_tokens":42}', [("Content-Type", "application/json"), *headers])
        elif received.path.endswith("/messages"):
            asked = received.json()
            model = asked.get("model", "claude")
            if asked.get("stream"):
                await streams(text_stream(text, model), headers)(received, wire)
            else:
                await wire.reply(200, message_json(text, model), [("Content-Type", "application/json"), *headers])
        else:
            await wire.reply(200, b'{"data":[]}', [("Content-Type", "application/json"), *headers])

    return answer


def streams(chunks: Iterable[bytes], headers: Headers = ()) -> Answer:
    """A stream of these chunks, cut exactly so, then a clean end."""
    held = list(chunks)

    async def answer(_: Received, wire: Wire) -> None:
        await wire.start_stream(headers)
        for chunk in held:
            await wire.chunk(chunk)
        await wire.end()

    return answer


def replies(status: int, body: bytes, headers: Headers = (("Content-Type", "application/json"),)) -> Answer:
    async def answer(_: Received, wire: Wire) -> None:
        await wire.reply(status, body, headers)

    return answer


def fails(status: int, kind: str, message: str = "no", headers: Headers = ()) -> Answer:
    """An error in Anthropic's shape."""
    return replies(status, error_body(kind, message), [("Content-Type", "application/json"), *headers])


def raw(data: bytes) -> Answer:
    """Exactly these bytes, then the connection is closed."""

    async def answer(_: Received, wire: Wire) -> None:
        await wire.send(data)
        wire.close()

    return answer


def resets(after: Iterable[bytes] = ()) -> Answer:
    """Resets the connection, where chunks are given after streaming them."""
    held = list(after)

    async def answer(_: Received, wire: Wire) -> None:
        if held:
            await wire.start_stream()
            for chunk in held:
                await wire.chunk(chunk)
            await asyncio.sleep(0.05)  # RST discards what the peer has not read: let it arrive
        wire.reset()

    return answer


def hangs(after: Iterable[bytes] = ()) -> Answer:
    """Never answers, where chunks are given never goes on after them; ends when the peer leaves."""
    held = list(after)

    async def answer(_: Received, wire: Wire) -> None:
        if held:
            await wire.start_stream()
            for chunk in held:
                await wire.chunk(chunk)
        await wire.reader.read(1)
        wire.peer_left.set()
        wire.keep_alive = False

    return answer


@contextlib.asynccontextmanager
async def two(first: Answer | None = None, second: Answer | None = None) -> AsyncIterator[tuple[StandIn, StandIn]]:
    """Two upstreams at once."""
    async with StandIn(first) as a, StandIn(second) as b:
        yield a, b

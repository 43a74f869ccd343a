"""A tap on the wire: hands every connection on to a port, byte for byte, and keeps what came back."""

import asyncio
import contextlib
from typing import Self

from tests.raw_client import Answer, take_answer


class Tap:
    """Listens on a free loopback port. `target` is the port to which connections are handed on."""

    def __init__(self) -> None:
        self.target = 0
        self._came_back: list[bytearray] = []
        self._ended: list[bool] = []
        self._changed = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def host(self) -> str:
        assert self._server is not None
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    @property
    def answers(self) -> list[Answer]:
        """The whole answers that came back so far, connection by connection."""
        found = []
        for raw, ended in zip(self._came_back, self._ended, strict=True):
            rest = bytes(raw)
            while taken := take_answer(rest, ended=ended):
                found.append(taken[0])
                rest = taken[1]
            assert not (ended and rest), f"a connection ended within an answer: {rest[-500:]!r}"
        return found

    async def saw(self, words: bytes) -> None:
        """Returns once these words have come back on some connection."""
        async with self._changed:
            await self._changed.wait_for(lambda: any(words in raw for raw in self._came_back))

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        number = len(self._came_back)
        self._came_back.append(bytearray())
        self._ended.append(False)
        from_target, to_target = await asyncio.open_connection("127.0.0.1", self.target)
        up = asyncio.create_task(_hand_on(from_client, to_target))
        try:
            while data := await from_target.read(1 << 16):
                self._came_back[number] += data
                to_client.write(data)
                async with self._changed:
                    self._changed.notify_all()
            self._ended[number] = True
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client has left, or __aexit__
        finally:
            self._tasks.discard(task)
            up.cancel()
            to_client.close()
            to_target.close()


async def _hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.write_eof()

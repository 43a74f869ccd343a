"""A forward proxy on a free loopback port: leads CONNECT and absolute-form requests to where the test says, and keeps
every byte that it could read on the way up."""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Self


class ForwardProxy:
    """`leads` has the local port for each `host:port` that it lets through; others get 403.

    `wants` is the Proxy-Authorization without which it says 407; `says`, where set, is its whole answer to anybody.
    """

    def __init__(self, leads: Mapping[str, int], tls: ssl.SSLContext | None = None) -> None:
        self.leads = leads
        self.wants = ""
        self.says: bytes | None = None
        self.heads: list[str] = []
        self.read = bytearray()
        self.connections = 0
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        assert self._server is not None
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.address}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self.cut()

    async def cut(self) -> None:
        """Ends the connections that there are."""
        for writer in list(self._writers):
            writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.connections += 1
        try:
            await self._lead(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # one side left: tests look at heads and read
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.read += head
        self.heads.append(head.decode())
        method, target, _ = head.decode().split(" ", 2)
        where = target if method == "CONNECT" else f"{target.split('/')[2]}:80"
        if self.says is not None:
            writer.write(self.says)
        elif self.wants and f"\r\nProxy-Authorization: {self.wants}\r\n" not in head.decode():
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        elif where not in self.leads:
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        else:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.leads[where])
            self._writers.add(up_writer)
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                up_writer.write(head)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pour(reader, up_writer, keep=True))
                both.create_task(self._pour(up_reader, writer, keep=False))
        await writer.drain()

    async def _pour(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, keep: bool) -> None:
        try:
            while piece := await reader.read(1 << 16):
                if keep:
                    self.read += piece
                writer.write(piece)
                await writer.drain()
        except ConnectionError:
            pass  # one side left
        finally:
            writer.close()

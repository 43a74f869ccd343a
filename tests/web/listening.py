"""Who listens to `/api/events`: a raw client that reads events as they come."""

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.raw_client import RawConnection, connected, request

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Told:
    """One event as it came."""

    id: int | None
    name: str
    data: Any


class Listener:
    """An open connection to `/api/events`."""

    def __init__(self, connection: RawConnection) -> None:
        self.connection = connection

    @property
    def head(self) -> str:
        return bytes(self.connection.raw).partition(b"\r\n\r\n")[0].decode("latin-1")

    @property
    def text(self) -> str:
        """The body so far, without the framing of its chunks."""
        rest, text = bytes(self.connection.raw).partition(b"\r\n\r\n")[2], b""
        while b"\r\n" in rest:
            size, _, rest = rest.partition(b"\r\n")
            text, rest = text + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
        return text.decode()

    @property
    def ended(self) -> bool:
        """Whether the body has come to its proper end."""
        return self.connection.raw.endswith(b"\r\n0\r\n\r\n")

    @property
    def events(self) -> list[Told]:
        """What has come so far; comments and times of return are no events."""
        told = []
        for block in self.text.split("\n\n")[:-1]:
            fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
            if "event" in fields:
                number = int(fields["id"]) if "id" in fields else None
                told.append(Told(number, fields["event"], json.loads(fields["data"])))
        return told

    async def heard(self, number: int) -> list[Told]:
        """The first events, once there are so many."""
        assert await self.connection.read_until(lambda _: len(self.events) >= number), self.text
        return self.events[:number]

    async def sees(self, text: str) -> None:
        """Returns once this text has come."""
        assert await self.connection.read_until(lambda _: text in self.text), self.text

    async def end(self) -> None:
        """Returns once the other side has closed."""
        assert (await self.connection.end()).closed


@contextlib.asynccontextmanager
async def listening(port: int, headers: Headers = (), query: str = "", host: str = "") -> AsyncIterator[Listener]:
    """Listens until the block ends; within it the daemon has begun to answer."""
    async with connected(port) as connection:
        target = f"/api/events{query}"
        await connection.send(request("GET", target, host=host or f"127.0.0.1:{port}", headers=headers))
        assert await connection.read_until(lambda c: b"\r\n\r\n" in c.raw)
        yield Listener(connection)

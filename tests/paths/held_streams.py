"""Streams that stay open until the test lets them end: what is in flight when something happens to the daemon."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp

from tests.in_process import LOGIN
from tests.stand_in import Answer, Received, Wire, text_stream

ASKED: Mapping[str, Any] = {"model": "claude-sonnet-4-5", "max_tokens": 100, "stream": True, "messages": []}


class HeldStreams:
    """An upstream's answer that stops after its first event; `let_go` lets all of them end."""

    def __init__(self, text: str = "one two three") -> None:
        self.events = text_stream(text)
        self._go = asyncio.Event()

    @property
    def whole(self) -> bytes:
        return b"".join(self.events)

    @property
    def answer(self) -> Answer:
        async def answer(_: Received, wire: Wire) -> None:
            await wire.start_stream()
            await wire.chunk(self.events[0])
            await self._go.wait()
            for event in self.events[1:]:
                await wire.chunk(event)
            await wire.end()

        return answer

    def let_go(self) -> None:
        self._go.set()


class Client:
    """One client in the middle of a stream: its first event has come."""

    def __init__(self, reply: aiohttp.ClientResponse, first: bytes) -> None:
        self._reply = reply
        self._first = first

    @property
    def headers(self) -> Mapping[str, str]:
        return self._reply.headers

    async def all(self) -> bytes:
        """The whole body. Raises aiohttp.ClientError where it does not end as it should."""
        async with asyncio.timeout(20):
            return self._first + await self._reply.content.read()


@contextlib.asynccontextmanager
async def in_the_middle(url: str, held: HeldStreams, number: int) -> AsyncIterator[list[Client]]:
    """So many clients, each of which has received the first event and nothing more."""
    first = held.events[0]
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session, contextlib.AsyncExitStack() as stack:
        asked = (session.post(f"{url}/v1/messages", json=ASKED, headers=LOGIN) for _ in range(number))
        replies = [await stack.enter_async_context(question) for question in asked]
        async with asyncio.timeout(20):
            received = [await reply.content.readexactly(len(first)) for reply in replies]
        assert received == [first] * number
        yield [Client(reply, first) for reply in replies]

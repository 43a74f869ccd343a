"""Where connections come in: the sockets that are listened on, open or closed to new ones."""

import asyncio
import socket
from collections.abc import Sequence

from claude_proxy.web.protocol import Server

BACKLOG = 128
"""Connections that wait in the kernel while none is taken in."""

_LAST_WAIT = 0.1  # seconds for connections to close; what runs has ended by then, or shall not be waited for
_TURNS = 3  # of the event loop, after which a connection that was taken in has its handler
_QUIET = 2.0  # seconds without a byte, after which a client is not about to ask


class Gate:
    """Takes connections in while it is open. Closing it leaves those that are in alone, and the sockets as they are.

    Another process may listen on the same sockets: what waits in the kernel is left to it.
    """

    def __init__(self, server: Server, sockets: Sequence[socket.socket]) -> None:
        self._server = server
        self._sockets = sockets
        self._open: list[tuple[asyncio.Server, int]] = []

    async def open(self) -> None:
        """Takes connections in from now on; each is answered as if it were not the last answer."""
        self._server.last_answers = False
        loop = asyncio.get_running_loop()
        for listening in self._sockets:
            taken = listening.dup()  # asyncio closes its socket when it ends
            accepting = await loop.create_server(self._server, sock=taken, backlog=BACKLOG)
            self._open.append((accepting, taken.fileno()))

    async def close(self) -> None:
        """Takes no more connections in. Whoever is in is answered once more, with `Connection: close`."""
        self._server.last_answers = True
        loop = asyncio.get_running_loop()
        for _, descriptor in self._open:
            loop.remove_reader(descriptor)
        # asyncio drops a connection that was accepted where its server ends before the handler has been made.
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        self._end_accepting()

    async def quiet(self) -> None:
        """Returns once every client that is still in has been silent for two seconds.

        A client that sends its next request in the very moment in which its connection is closed loses it.
        """
        while (left := _QUIET - self._server.silence()) > 0:  # noqa: ASYNC110 - the next byte is announced by nobody
            await asyncio.sleep(left)

    async def leave(self) -> None:
        """Ends all connections."""
        self._end_accepting()
        await asyncio.sleep(0)  # what has just been asked has its handler then
        self._server.pre_shutdown()
        await self._server.shutdown(_LAST_WAIT)

    def _end_accepting(self) -> None:
        for accepting, _ in self._open:
            accepting.close()
        self._open.clear()

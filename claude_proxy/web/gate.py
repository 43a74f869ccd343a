"""Where connections come in: the sockets that are listened on, open or closed to new ones."""

import asyncio
import errno
import socket
from collections.abc import Sequence

from claude_proxy.web.protocol import Server

BACKLOG = 128
"""Connections that wait in the kernel while none is taken in."""

_LAST_WAIT = 0.1  # seconds for connections to close; what runs has ended by then, or shall not be waited for
_QUIET = 2.0  # seconds without a byte, after which a client is not about to ask
_LACKING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_LACK = 1.0  # seconds without a look at who waits, after there was no descriptor for one: the kernel would tell at once


class Gate:
    """Takes connections in while it is open. Closing it leaves those that are in alone, and the sockets as they are.

    Another process may listen on the same sockets: what waits in the kernel is left to it. So the sockets are never
    given to a server of the event loop, which loses whom it has just accepted when it ends.
    """

    def __init__(self, server: Server, sockets: Sequence[socket.socket]) -> None:
        self._server = server
        self._sockets = sockets
        self._open = False
        self._coming: set[asyncio.Task[None]] = set()
        self._later: dict[socket.socket, asyncio.TimerHandle] = {}

    async def open(self) -> None:
        """Takes connections in from now on; each is answered as if it were not the last answer."""
        self._server.last_answers = False
        for listening in self._sockets:
            listening.setblocking(False)
            listening.listen(BACKLOG)
            self._look(listening)
        self._open = True

    async def close(self) -> None:
        """Takes no more connections in. Whoever is in is answered once more, with `Connection: close`."""
        self._server.last_answers = True
        if self._open:  # else they may have been closed for good
            for listening in self._sockets:
                self._look_away(listening)
        self._open = False
        if self._coming:
            await asyncio.wait(self._coming)

    async def quiet(self) -> None:
        """Returns once every client that is still in has been silent for two seconds.

        A client that sends its next request in the very moment in which its connection is closed loses it.
        """
        while (left := _QUIET - self._server.silence()) > 0:  # noqa: ASYNC110 - the next byte is announced by nobody
            await asyncio.sleep(left)

    async def leave(self) -> None:
        """Ends all connections."""
        await self.close()
        await asyncio.sleep(0)  # what has just been asked has its handler then
        self._server.pre_shutdown()
        await self._server.shutdown(_LAST_WAIT)

    def _look(self, listening: socket.socket) -> None:
        self._later.pop(listening, None)
        asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    def _look_away(self, listening: socket.socket) -> None:
        asyncio.get_running_loop().remove_reader(listening)
        if later := self._later.pop(listening, None):
            later.cancel()

    def _accept(self, listening: socket.socket) -> None:
        """All that wait in the kernel, as far as another process has not taken them."""
        loop = asyncio.get_running_loop()
        for _ in range(BACKLOG):
            try:
                accepted, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _LACKING:
                    raise
                loop.call_exception_handler({"message": "a connection was not accepted", "exception": error})
                self._look_away(listening)
                self._later[listening] = loop.call_later(_LACK, self._look, listening)
                return
            accepted.setblocking(False)
            coming = loop.create_task(self._take_in(accepted), name="accepted")
            self._coming.add(coming)
            coming.add_done_callback(self._coming.discard)

    async def _take_in(self, accepted: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self._server, accepted)
        except OSError:
            accepted.close()  # it has left again already

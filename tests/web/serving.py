"""A handler of the test behind the daemon's own server, on a free port of 127.0.0.1."""

import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

from claude_proxy.web.errors import Refused, refusal
from claude_proxy.web.protocol import LimitSettings, Server
from tests.raw_client import connected, request

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def serving(handler: Handler, limits: LimitSettings | None = None) -> AsyncIterator[int]:
    """The port on which the handler answers until the block ends. What it raises as Refused is answered as such."""

    async def answer(asked: web.BaseRequest) -> web.StreamResponse:
        try:
            return await handler(asked)
        except Refused as refused:
            return refusal(refused)

    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listening:
        listening.setblocking(False)
        runner = web.ServerRunner(Server(answer, limits or LimitSettings()), shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.SockSite(runner, listening).start()
            yield int(listening.getsockname()[1])
        finally:
            await runner.cleanup()


def get(target: str = "/", *headers: tuple[str, str]) -> bytes:
    """A request without a body."""
    return request("GET", target, host="127.0.0.1", headers=headers)


async def silence_is_over(port: int) -> None:
    """Returns once the server has given up a connection that was opened now and says nothing."""
    async with connected(port) as silent:
        assert (await silent.end()).closed

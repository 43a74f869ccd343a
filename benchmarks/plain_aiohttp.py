"""A proxy as one writes it from aiohttp's documentation, and nothing else: the floor of the daemon."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator

from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

HOP_BY_HOP = frozenset({"connection", "host", "keep-alive", "transfer-encoding", "content-length", "te", "upgrade"})
UPSTREAM = web.AppKey("UPSTREAM", str)
SESSION = web.AppKey("SESSION", ClientSession)


async def session(app: web.Application) -> AsyncIterator[None]:
    """One client session for the life of the server."""
    # Its default is 100 connections, on which more streams than that would wait for each other.
    async with ClientSession(
        connector=TCPConnector(limit=0), auto_decompress=False, timeout=ClientTimeout(total=None)
    ) as opened:
        app[SESSION] = opened
        yield


async def relay(request: web.Request) -> web.StreamResponse:
    """Reads the body, asks the upstream, passes its answer on as it comes."""
    body = await request.read()
    headers = [(name, value) for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP]
    url = request.app[UPSTREAM] + request.path_qs
    async with request.app[SESSION].request(request.method, url, headers=headers, data=body) as answer:
        response = web.StreamResponse(status=answer.status, reason=answer.reason)
        for name, value in answer.headers.items():
            if name.lower() not in HOP_BY_HOP:
                response.headers.add(name, value)
        if answer.content_length is not None:
            response.content_length = answer.content_length
        await response.prepare(request)
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
        return response


async def main(upstream: str) -> None:
    """Serves on a free port of the loopback until it is told to end."""
    app = web.Application(client_max_size=64 * 2**20)
    app[UPSTREAM] = upstream
    app.cleanup_ctx.append(session)
    app.router.add_route("*", "/{path:.*}", relay)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"event=listening url=http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1]))

"""A stand-in of the place where Claude Code renews its login, reached as on a machine whose HTTPS goes by a proxy.

The client asks https://platform.claude.com. Here HTTPS_PROXY leads it to a proxy of the test, which connects it
with a TLS server of the test whose certificate it trusts by NODE_EXTRA_CA_CERTS. Nothing leaves the machine.
"""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import trustme

from tests.stand_in import Received, StandIn, Wire

TOKENS = "platform.claude.com"
API = "api.anthropic.com"
EIGHT_HOURS = 8 * 3600
JSON = (("Content-Type", "application/json"),)


class TokenEndpoint:
    """Rotates: each refresh token is good for one use, and an old one is refused as `invalid_grant`."""

    def __init__(self, proxy_port: int, authority: Path, server: StandIn, first_refresh_token: str) -> None:
        proxy = f"http://127.0.0.1:{proxy_port}"
        self.environment = {
            "HTTPS_PROXY": proxy,
            "HTTP_PROXY": proxy,
            "NO_PROXY": "127.0.0.1",
            "NODE_EXTRA_CA_CERTS": str(authority),
        }
        self.server = server
        self.newest = first_refresh_token
        self.access_token = ""
        self.renewals = 0
        self.refused = 0
        self.broken = False
        """With this it answers 500, and every token stays as it is."""
        self.seconds = 0.3
        """How long an answer takes, which is when tokens are on their way; no network is faster."""
        server.answer = self._answer

    @property
    def asked(self) -> list[Received]:
        """The requests for new tokens."""
        return [received for received in self.server.received if received.target == "/v1/oauth/token"]

    @property
    def everything(self) -> str:
        """All that was sent to any host but the requests for new tokens, as text."""
        others = [received for received in self.server.received if received.target != "/v1/oauth/token"]
        return "".join(f"{received.target} {received.headers} {received.body!r}\n" for received in others)

    async def _answer(self, received: Received, wire: Wire) -> None:
        if received.target != "/v1/oauth/token":
            await wire.reply(404, b"{}", JSON)  # flags, profile, usage: the client does without
            return
        status, body = self._rotate(received.json())
        await asyncio.sleep(self.seconds)
        await wire.reply(status, json.dumps(body).encode(), JSON)

    def _rotate(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.broken:
            return 500, {"error": "server_error"}
        if asked["refresh_token"] != self.newest:
            self.refused += 1
            return 400, {"error": "invalid_grant", "error_description": "Refresh token not found or invalid"}
        self.renewals += 1
        self.newest = f"sk-ant-ort01-FAKE-renewed-{self.renewals}"
        self.access_token = f"sk-ant-oat01-FAKE-renewed-{self.renewals}"
        return 200, {
            "token_type": "Bearer",
            "access_token": self.access_token,
            "refresh_token": self.newest,
            "expires_in": EIGHT_HOURS,
            "scope": "user:inference user:profile",
        }


@contextlib.asynccontextmanager
async def token_endpoint(directory: Path, first_refresh_token: str) -> AsyncIterator[TokenEndpoint]:
    """The endpoint and its proxy until the block ends; the authority's certificate is written to the directory."""
    authority = trustme.CA()
    path = directory / "authority.pem"
    authority.cert_pem.write_to_path(path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(TOKENS, API).configure_cert(tls)
    async with StandIn(tls=tls) as server, _Proxy(server.port) as proxy:
        yield TokenEndpoint(proxy.port, path, server, first_refresh_token)


class _Proxy:
    """Connects with the one server, whichever of the two hosts is asked for; refuses all others."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def __aenter__(self) -> "_Proxy":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._connect(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client left, as it does when it ends
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, target, _ = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)
        if method != b"CONNECT" or target.decode() not in {f"{TOKENS}:443", f"{API}:443"}:
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._to)
        try:
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            # Either side's end ends both.
            pumps = [asyncio.create_task(_pump(reader, back)), asyncio.create_task(_pump(there, writer))]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            back.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(1 << 16):
        sink.write(data)
        await sink.drain()

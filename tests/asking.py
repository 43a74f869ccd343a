"""One request of a plain HTTP client, and the reply as it came: status, headers, bytes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from multidict import CIMultiDictProxy

# RFC 9110 7.6.1: these belong to one connection. Host and Accept-Encoding are the daemon's to set.
HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)


@dataclass(frozen=True)
class Reply:
    """What came back. `cut` says that the connection ended before the body did."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    cut: bool = False

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[tuple[str, Any]]:
        """The events of a stream: name and data."""
        return sse_events(self.body)


def sse_events(body: bytes) -> list[tuple[str, Any]]:
    """The events of a whole stream, each with a name and one line of data, as Anthropic writes them."""
    *blocks, rest = body.decode().split("\n\n")
    assert not rest, f"the stream ends within an event: {rest!r}"
    events = []
    for lines in blocks:
        event, data = lines.split("\n")
        assert event.startswith("event: ")
        assert data.startswith("data: ")
        events.append((event.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return events


async def ask(
    url: str,
    body: bytes | Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "POST",
) -> Reply:
    """Sends a body as it is, or a mapping as JSON; follows no redirect and knows no proxy."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    sent = {**({} if data is None else {"Content-Type": "application/json"}), **(headers or {})}
    received, cut = bytearray(), False
    async with (
        aiohttp.ClientSession(auto_decompress=False, trust_env=False) as session,
        session.request(method, url, data=data, headers=sent, allow_redirects=False) as answer,
    ):
        try:
            async for piece in answer.content.iter_any():
                received += piece
        except aiohttp.ClientPayloadError:
            cut = True
        return Reply(answer.status, answer.headers, bytes(received), cut)

"""Calls of the transport: sent to an upstream of the test, with its answer read or its failure told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import pytest

from claude_proxy.failures import AttemptFailed, Failure
from claude_proxy.upstreams.connection import Pool
from claude_proxy.upstreams.transport import Answer, Outbound, Transport, TransportSettings
from claude_proxy.wire.headers import Headers

PATIENT = TransportSettings(connect_timeout=20, header_timeout=20, stream_idle_timeout=20)


@asynccontextmanager
async def transport() -> AsyncIterator[Transport]:
    async with Pool() as pool:
        yield Transport(pool)


def to(
    url: str, target: str = "/v1/messages", method: str = "POST", headers: Headers = (), body: bytes = b"{}"
) -> Outbound:
    return Outbound(method, url + target, headers, body)


async def send(through: Transport, outbound: Outbound, settings: TransportSettings = PATIENT) -> Answer:
    async with asyncio.timeout(20):
        return await through.send(outbound, settings, "claude")


async def failure_of(outbound: Outbound, settings: TransportSettings = PATIENT) -> Failure:
    """How this call fails."""
    async with transport() as through:
        with pytest.raises(AttemptFailed) as raised:
            (await send(through, outbound, settings)).close()
    assert raised.value.failure.upstream == "claude"
    return raised.value.failure


async def body_of(answer: Answer) -> bytes:
    with closing(answer):
        async with asyncio.timeout(20):
            return b"".join([chunk async for chunk in answer.chunks()])

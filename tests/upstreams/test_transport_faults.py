"""The call itself, over real sockets: how each way to fail is named. What is sent and read: test_transport.py."""

import asyncio
import socket
import ssl
from contextlib import closing

import pytest
import trustme
from aiohttp.abc import AbstractResolver, ResolveResult

from claude_proxy.failures import AttemptFailed, Failure, FailureKind
from claude_proxy.upstreams.connection import Pool
from claude_proxy.upstreams.transport import BrokenOff, Transport, TransportSettings
from tests.closed_port import refusing_url
from tests.stand_in import Received, StandIn, Wire, hangs, raw, resets
from tests.upstreams.calls import PATIENT, body_of, failure_of, send, to, transport

# --- what is no connection -------------------------------------------------------------------------------


async def test_a_refused_connection_is_named() -> None:
    with refusing_url() as url:
        failure = await failure_of(to(url))
    assert failure.kind is FailureKind.CONNECT
    assert failure.message.startswith(f"claude could not be reached at {url}: ")
    assert failure.message.endswith("check the network and upstreams.claude.base_url")


@pytest.mark.parametrize("answer", [resets(), raw(b"")], ids=["reset", "closed"])
async def test_a_connection_that_ends_without_a_byte_of_answer_is_no_connection(answer: object) -> None:
    async with StandIn(answer) as upstream:  # type: ignore[arg-type]
        assert (await failure_of(to(upstream.url))).kind is FailureKind.CONNECT


async def test_a_server_that_speaks_no_tls_is_named() -> None:
    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        failure = await failure_of(to(f"https://127.0.0.1:{port}"))
    assert failure.kind is FailureKind.CONNECT
    assert f"at https://127.0.0.1:{port}: the TLS handshake failed;" in failure.message


def untrusted() -> ssl.SSLContext:
    """A server's context with a certificate of an authority that nobody knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


async def test_a_certificate_that_is_not_trusted_ends_the_call_before_anything_is_sent() -> None:
    async with StandIn(tls=untrusted()) as upstream:
        failure = await failure_of(to(upstream.url, headers=(("x-api-key", "FAKE"),)))
        assert upstream.received == []
    assert failure.kind is FailureKind.CONNECT
    assert "its certificate is not trusted" in failure.message


class Resolver(AbstractResolver):
    """Fails to resolve any name; with a gate it does not answer before that opens."""

    def __init__(self, gate: asyncio.Event | None = None) -> None:
        self._gate = gate

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if self._gate is not None:
            await self._gate.wait()
        raise OSError(socket.EAI_NONAME, "Name or service not known")

    async def close(self) -> None:
        return None


async def fails_to_resolve(resolver: Resolver, settings: TransportSettings) -> Failure:
    async with Pool(resolver=resolver) as pool:
        with pytest.raises(AttemptFailed) as raised:
            await send(Transport(pool), to("http://api.example"), settings)
    return raised.value.failure


async def test_a_name_that_cannot_be_resolved_is_a_connection_that_failed() -> None:
    failure = await fails_to_resolve(Resolver(), PATIENT)
    assert failure.kind is FailureKind.CONNECT
    assert "at http://api.example: its host name could not be resolved;" in failure.message


async def test_a_resolver_that_does_not_answer_is_a_connection_that_failed() -> None:
    failure = await fails_to_resolve(Resolver(asyncio.Event()), TransportSettings(connect_timeout=0.05))
    assert failure.kind is FailureKind.CONNECT
    assert "at http://api.example: no connection within the time limit;" in failure.message


# --- what is no HTTP -------------------------------------------------------------------------------------

MANY_FIELDS = b"".join(b"X-Field-%d: 1\r\n" % number for number in range(300))

NO_HTTP = {
    "garbage": b"\x00\x01\x02 FAKE-secret\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.2 FAKE-secret\r\n\r\n",
    "HTTP/2": b"HTTP/2 200\r\n\r\n",
    "half a status line": b"HTTP/1.1 20",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Type: applica",
    "a head without its end": b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n",
    "a field without a colon": b"HTTP/1.1 200 OK\r\nFAKE-secret\r\n\r\n",
    "a NUL in a field": b"HTTP/1.1 200 OK\r\nX-A: FAKE-secret\x00\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
    "a length that is no number": b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n{}",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}",
    "a field out of bounds": b"HTTP/1.1 200 OK\r\nX-A: %s\r\n\r\n{}" % (b"x" * 70_000),
    "a status line out of bounds": b"HTTP/1.1 200 %s\r\n\r\n{}" % (b"x" * 70_000),
    "too many fields": b"HTTP/1.1 200 OK\r\n%s\r\n{}" % MANY_FIELDS,
}


@pytest.mark.parametrize("data", NO_HTTP.values(), ids=NO_HTTP)
async def test_what_is_no_http_answer_is_malformed_and_never_quoted(data: bytes) -> None:
    async with StandIn(raw(data)) as upstream:
        failure = await failure_of(to(upstream.url))
    assert failure.kind is FailureKind.MALFORMED
    assert "FAKE" not in failure.message
    assert len(failure.message) < 200


# --- an answer that ends before its end -------------------------------------------------------------------


async def end_of(through: Transport, url: str, settings: TransportSettings = PATIENT) -> str | FailureKind:
    """How an answer ends."""
    try:
        await body_of(await send(through, to(url), settings))
    except BrokenOff as broken:
        return "stalled" if broken.stalled else "broken off"
    except AttemptFailed as failed:
        return failed.failure.kind
    return "whole"


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst",
        CHUNKED,
        CHUNKED + b"5\r\nfi",
        CHUNKED + b"5\r\nfirstX\r\n",
        CHUNKED + b"zz\r\nfirst\r\n",
        CHUNKED + b"-1\r\nfirst\r\n",
    ],
    ids=["short", "no last chunk", "half a chunk", "a chunk too long", "a size that is none", "a negative size"],
)
async def test_a_body_that_ends_before_its_end_is_broken_off(data: bytes) -> None:
    async with StandIn(raw(data)) as upstream, transport() as through:
        # Where head and fault come in one packet, the parser may not give out the head any more.
        assert await end_of(through, upstream.url) in {"broken off", FailureKind.MALFORMED}
        await upstream.wait_for(lambda: upstream.open_connections == 0)


async def test_a_reset_amid_the_body_is_broken_off_after_what_came_before() -> None:
    async with StandIn(resets([b"first"])) as upstream, transport() as through:
        with closing(await send(through, to(upstream.url))) as answer:
            chunks = answer.chunks()
            assert await anext(chunks) == b"first"
            with pytest.raises(BrokenOff) as broken:
                await anext(chunks)
            assert not broken.value.stalled


async def test_silence_amid_the_body_is_a_stall_and_closes_the_connection() -> None:
    async with StandIn(hangs([b"first"])) as upstream, transport() as through:
        settings = TransportSettings(stream_idle_timeout=0.05)
        with closing(await send(through, to(upstream.url), settings)) as answer:
            chunks = answer.chunks()
            assert await anext(chunks) == b"first"
            with pytest.raises(BrokenOff, match="it fell silent") as broken:
                await anext(chunks)
            assert broken.value.stalled
        await upstream.wait_for(lambda: upstream.open_connections == 0)


async def test_the_limit_of_silence_does_not_run_before_the_headers() -> None:
    go_on = asyncio.Event()

    async def late(_: Received, wire: Wire) -> None:
        await go_on.wait()
        await wire.reply(200, b"{}")

    settings = TransportSettings(stream_idle_timeout=0.05)
    async with StandIn(hangs([b"first"])) as upstream, transport() as through:
        upstream.then(late)
        waiting = asyncio.create_task(send(through, to(upstream.url), settings))
        await upstream.wait_for(lambda: len(upstream.received) == 1)
        # As long as it takes another answer to stall, this one has been silent too.
        assert await end_of(through, upstream.url, settings) == "stalled"
        go_on.set()
        assert await body_of(await waiting) == b"{}"

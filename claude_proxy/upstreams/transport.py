"""The call itself: one request up, one answer back, the client library's errors named.

Redirects are never followed (they would carry a credential to another host), nothing is decompressed (what is
read is what is relayed), and an answer is read in chunks, never in lines.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence

import aiohttp
import msgspec
from yarl import URL

from claude_proxy.failures import AttemptFailed, Failure, FailureKind
from claude_proxy.upstreams.connection import Call, Pool
from claude_proxy.upstreams.egress import Egress, NoWayThrough
from claude_proxy.wire.headers import Headers, first


class TransportSettings(msgspec.Struct, frozen=True):
    """Limits of time, in seconds, and the way out.

    `header_timeout` runs until the first good event (or the whole body of a non-streaming answer);
    `stream_idle_timeout` is the longest silence in a stream after that. With `demote_nonstreaming` Anthropic is
    asked for a stream whatever the client asks for, so that the latter limit holds for long answers too.
    `egress` is None where nothing is said of the way out: straight, and trusting whom the system trusts.
    """

    connect_timeout: float = 10.0
    header_timeout: float = 300.0
    stream_idle_timeout: float = 240.0
    demote_nonstreaming: bool = False
    egress: Egress | None = None


class Outbound(msgspec.Struct, frozen=True):
    """What is sent: a method, an absolute URL whose path and query are sent as they stand, headers, bytes."""

    method: str
    url: str
    headers: Headers
    body: bytes

    def __repr__(self) -> str:
        return f"Outbound({self.method})"


class BrokenOff(Exception):
    """An answer ended before its end; `stalled` where it fell silent instead. The text says how."""

    def __init__(self, message: str, *, stalled: bool = False) -> None:
        super().__init__(message)
        self.stalled = stalled


class Answer:
    """An upstream's answer: status and headers at once, the body as it comes. Must be closed."""

    def __init__(self, call: Call, idle_timeout: float) -> None:
        self._call = call
        self.status = call.status
        self.headers: Headers = _as_spelt(call.raw_headers)
        call.limit_silence(idle_timeout)  # from here on the limit is one of silence

    @property
    def media_type(self) -> str:
        return (first(self.headers, "content-type") or "").partition(";")[0].strip().lower()

    @property
    def is_stream(self) -> bool:
        return self.media_type == "text/event-stream"

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body, piece by piece as it arrives. Raises BrokenOff."""
        content = self._call.content
        try:
            while chunk := await content.readany():
                yield chunk
        except (aiohttp.ClientError, aiohttp.http_exceptions.HttpProcessingError, OSError) as error:
            # aiohttp raises before it gives out what came before the break; a slow client still gets that.
            if rest := content._read_nowait(-1):  # noqa: SLF001 - its public twin raises first, too
                yield rest
            raise _broken_off(error) from None

    async def pour(self, take: Callable[[bytes], bool]) -> bool:
        """Gives each piece to `take` in the moment in which it arrives. True where that has asked for a rest by
        returning False, and wants to be called again; False at the end. Raises BrokenOff, and what `take` raises.
        """
        rest = await self._call.pour(take)
        error = self._call.content.exception()
        if error is not None and not rest:
            raise _broken_off(error) from None
        return rest

    async def read(self, limit: int) -> bytes:
        """The whole body, at most `limit` bytes. Raises BrokenOff."""
        parts: list[bytes] = []
        size = 0
        async for chunk in self.chunks():
            size += len(chunk)
            if size > limit:
                raise BrokenOff(f"its body is longer than {limit} bytes")
            parts.append(chunk)
        return b"".join(parts)

    def close(self) -> None:
        """Gives the connection back, or closes it where the answer was not read to its end."""
        self._call.close()


def _broken_off(error: BaseException) -> BrokenOff:
    if isinstance(error, aiohttp.SocketTimeoutError):
        return BrokenOff("it fell silent", stalled=True)
    return BrokenOff(_in_words(error))


class Transport:
    """Sends requests over one pool of connections."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def prepare(self, settings: Iterable[TransportSettings]) -> None:
        """Tells which settings are in force from here on; what takes its time is read now, not with a request."""
        self._pool.prepare(its.egress for its in settings)

    async def send(self, outbound: Outbound, settings: TransportSettings, upstream: str) -> Answer:
        """The answer, once its headers are there. The caller limits the time.

        Raises AttemptFailed: CONNECT where nothing came back, MALFORMED where it was not HTTP.
        """
        try:
            call = await self._pool.call(
                outbound.method,
                outbound.url,
                outbound.headers,
                outbound.body,
                settings.connect_timeout,
                settings.egress,
            )
        except (
            aiohttp.ConnectionTimeoutError,
            aiohttp.ClientConnectionError,
            ssl.SSLError,
            OSError,
        ) as error:
            kind = FailureKind.CONNECT
            if isinstance(error, aiohttp.ServerDisconnectedError) and error.message not in (
                None,
                "Server disconnected",
            ):
                kind = FailureKind.MALFORMED  # it began an answer and did not finish its head
            raise AttemptFailed(
                Failure(kind, _unreached(error, upstream, str(URL(outbound.url).origin()), settings.egress), upstream)
            ) from None
        except (aiohttp.ClientError, aiohttp.http_exceptions.HttpProcessingError, ValueError) as error:
            raise AttemptFailed(
                Failure(
                    FailureKind.MALFORMED,
                    f"{upstream} gave no valid HTTP answer: {_in_words(error)}",
                    upstream,
                )
            ) from None
        return Answer(call, settings.stream_idle_timeout)


def _unreached(error: BaseException, upstream: str, origin: str, egress: Egress | None) -> str:
    """Cause, place and remedy."""
    told = f"{upstream} could not be reached at {origin}"
    if isinstance(error, NoWayThrough) and egress is not None:
        return (
            f"{told}, since the proxy {egress.proxy} does not lead there: {error}; see that it runs and lets this "
            f"machine through, or change {egress.proxy_setting}"
        )
    network = "check the network"
    if egress is not None and egress.proxy:
        network = "check the network, that proxy"
        told += f" through the proxy {egress.proxy} ({egress.proxy_setting})"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        mend = f"where your company's authority has signed it, name its PEM file as upstreams.{upstream}.ca_bundle"
    else:
        mend = f"{network} and upstreams.{upstream}.base_url"
    return f"{told}: {_in_words(error)}; {mend}"


def _as_spelt(raw: Sequence[tuple[bytes, bytes]]) -> Headers:
    """Headers as the upstream spelt them; one that is not UTF-8 could not be written out again as it came."""
    try:
        return tuple([(name.decode("ascii"), value.decode()) for name, value in raw])
    except UnicodeDecodeError:
        return tuple([pair for each in raw for pair in _one_as_spelt(*each)])


def _one_as_spelt(name: bytes, value: bytes) -> Headers:
    try:
        return ((name.decode("ascii"), value.decode()),)
    except UnicodeDecodeError:
        return ()


def _in_words(error: BaseException) -> str:
    """A cause without the bytes of the peer: parsers quote what they could not read."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "its host name could not be resolved"
        case aiohttp.ClientConnectorCertificateError():
            return f"its certificate is not trusted ({error.certificate_error})"
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return "the TLS handshake failed"
        case aiohttp.ConnectionTimeoutError() | asyncio.TimeoutError():
            return "no connection within the time limit"
        case aiohttp.ClientConnectorError():
            return error.strerror or "the connection was refused"
        case aiohttp.ServerDisconnectedError():
            return "it closed the connection without an answer"
        case aiohttp.ClientPayloadError():
            return "the body ended before its announced end"
        case OSError():
            return error.strerror or "the connection was reset"
        case _:
            return type(error).__name__

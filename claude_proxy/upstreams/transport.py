"""The call itself: one request up, one answer back, the client library's errors named.

Redirects are never followed (they would carry a credential to another host), nothing is decompressed (what is
read is what is relayed), and an answer is read in chunks, never in lines.
"""

import asyncio
import contextlib
import io
import ssl
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from functools import partial

import aiohttp
from aiohttp.client_proto import ResponseHandler
from multidict import CIMultiDict
from yarl import URL

from claude_proxy.failures import AttemptFailed, Failure, FailureKind
from claude_proxy.wire.headers import Headers, first

_NO_AUTO_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
_FIELD_LIMIT = 64 << 10  # bytes a header field of an answer may have; its default of 8 KiB is short for CSPs
_FIELDS_LIMIT = 256
_LARGE = 1 << 20  # bytes that aiohttp writes at once without warning


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """Limits of time, in seconds.

    `header_timeout` runs until the first good event (or the whole body of a non-streaming answer);
    `stream_idle_timeout` is the longest silence in a stream after that. With `demote_nonstreaming` Anthropic is
    asked for a stream whatever the client asks for, so that the latter limit holds for long answers too.
    """

    connect_timeout: float = 10.0
    header_timeout: float = 300.0
    stream_idle_timeout: float = 240.0
    demote_nonstreaming: bool = False


@dataclass(frozen=True, slots=True)
class Outbound:
    """What is sent: a method, an absolute URL whose path and query are sent as they stand, headers, bytes."""

    method: str
    url: str = field(repr=False)
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)


class BrokenOff(Exception):
    """An answer ended before its end; `stalled` where it fell silent instead. The text says how."""

    def __init__(self, message: str, *, stalled: bool = False) -> None:
        super().__init__(message)
        self.stalled = stalled


class Answer:
    """An upstream's answer: status and headers at once, the body as it comes. Must be closed."""

    def __init__(self, response: aiohttp.ClientResponse, idle_timeout: float) -> None:
        self._response = response
        self.status = response.status
        self.headers: Headers = _as_spelt(response.raw_headers)
        connection = response.connection
        if connection is not None and connection.protocol is not None:
            # From here on the limit is one of silence; aiohttp stops it while we do not read.
            connection.protocol.read_timeout = idle_timeout
            connection.protocol.start_timeout()

    @property
    def media_type(self) -> str:
        return (first(self.headers, "content-type") or "").partition(";")[0].strip().lower()

    @property
    def is_stream(self) -> bool:
        return self.media_type == "text/event-stream"

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body, piece by piece as it arrives. Raises BrokenOff."""
        content = self._response.content
        try:
            while chunk := await content.readany():
                yield chunk
        except (aiohttp.ClientError, aiohttp.http_exceptions.HttpProcessingError, OSError) as error:
            # aiohttp raises before it gives out what came before the break; a slow client still gets that.
            if rest := content._read_nowait(-1):  # noqa: SLF001 - its public twin raises first, too
                yield rest
            if isinstance(error, aiohttp.SocketTimeoutError):
                raise BrokenOff("it fell silent", stalled=True) from None
            raise BrokenOff(_in_words(error)) from None

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
        """Gives the connection back; aiohttp closes it where the answer was not read to its end."""
        self._response.release()


class Transport:
    """Sends requests over one shared session."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def send(self, outbound: Outbound, settings: TransportSettings, upstream: str) -> Answer:
        """The answer, once its headers are there. The caller limits the time.

        Raises AttemptFailed: CONNECT where nothing came back, MALFORMED where it was not HTTP.
        """
        try:
            response = await self._session.request(
                outbound.method,
                URL(outbound.url, encoded=True),
                headers=_one_spelling(outbound.headers),
                data=_payload(outbound.body),
                allow_redirects=False,
                skip_auto_headers=_NO_AUTO_HEADERS,
                timeout=aiohttp.ClientTimeout(
                    total=None, connect=settings.connect_timeout, sock_connect=settings.connect_timeout
                ),
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
                Failure(
                    kind,
                    f"{upstream} could not be reached at {URL(outbound.url).origin()}: {_in_words(error)}; "
                    f"check the network and upstreams.{upstream}.base_url",
                    upstream,
                )
            ) from None
        except (aiohttp.ClientError, aiohttp.http_exceptions.HttpProcessingError, ValueError) as error:
            raise AttemptFailed(
                Failure(
                    FailureKind.MALFORMED,
                    f"{upstream} gave no valid HTTP answer: {_in_words(error)}",
                    upstream,
                )
            ) from None
        return Answer(response, settings.stream_idle_timeout)


def _as_spelt(raw: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Headers as the upstream spelt them; one that is not UTF-8 could not be written out again as it came."""
    headers = []
    for name, value in raw:
        with contextlib.suppress(UnicodeDecodeError):
            headers.append((name.decode("ascii"), value.decode()))
    return tuple(headers)


def _payload(body: bytes) -> bytes | io.BytesIO | None:
    """The body as aiohttp sends it best: a large one piece by piece, so that other requests go on meanwhile."""
    if len(body) > _LARGE:
        return io.BytesIO(body)
    return body or None


def _one_spelling(headers: Headers) -> CIMultiDict[str]:
    """aiohttp keeps only the last of two lines whose names are spelt differently; so they are spelt as the first."""
    spelt: dict[str, str] = {}
    return CIMultiDict((spelt.setdefault(key.lower(), key), value) for key, value in headers)


class _Connection(ResponseHandler):
    """One connection to an upstream, which tells who reads a body when its framing is broken.

    aiohttp 3.14 tells only who waits for a head: the reader of the body would wait for ever.
    """

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        cause = () if exc_cause is None else (exc_cause,)
        super().set_exception(exc, *cause)
        payload = self._payload
        if payload is not None and payload.exception() is None and not payload.is_eof():
            payload.set_exception(exc)


class _Connector(aiohttp.TCPConnector):
    def __init__(self) -> None:
        super().__init__(limit=0, keepalive_timeout=30)
        kind: type[ResponseHandler] = _Connection
        self._factory = partial(kind, loop=self._loop)


def open_session() -> aiohttp.ClientSession:
    """A session for `Transport`. Proxies and netrc of the environment are not used: a login goes straight up."""
    return aiohttp.ClientSession(
        connector=_Connector(),
        auto_decompress=False,
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        max_line_size=_FIELD_LIMIT,
        max_field_size=_FIELD_LIMIT,
        max_headers=_FIELDS_LIMIT,
        raise_for_status=False,
    )


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

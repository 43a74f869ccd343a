"""One connection to an upstream: aiohttp's pool, TLS and parser, and a request written to it in one go.

aiohttp's `ClientSession` spends as much on a small request as all that is done with it here: it builds the request
anew, its cookies, its redirects and its retries, of which nothing is used. What is hard about a client stays its
own: names, TLS, the pool, and the parsing of what a peer says.
"""

import asyncio
import re
import ssl
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import Any, Self

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage
from aiohttp.streams import StreamReader
from yarl import URL

from claude_proxy.upstreams.egress import Egress, blamed, trusting
from claude_proxy.upstreams.relayed import Relayed
from claude_proxy.wire.headers import Headers

_FIELD_LIMIT = 64 << 10  # bytes a header field of an answer may have; its default of 8 KiB is short for CSPs
_FIELDS_LIMIT = 256
_AT_ONCE = 1 << 20  # bytes that are written at once; of larger bodies a piece at a time, so that others go on
_PIECE = 256 << 10
_JOINED = 256 << 10  # bytes of a body up to which a copy costs less than a write of its own
_KEPT = 30.0  # seconds that an idle connection is kept
_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # in a line of a head (RFC 9110 5.5)
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_SYSTEM = ""  # no authorities besides the system's


class Protocol(ResponseHandler):
    """One connection, which tells who reads a body when its framing is broken.

    aiohttp 3.14 tells only who waits for a head: the reader of the body would wait for ever.
    """

    sink: Callable[[], None] | None = None
    """Called when there is something new to be read, or an end."""

    _longest_silence = 0.0
    _heard = 0.0
    _silence_timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        super().data_received(data)
        self._tell()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.let_be_silent()
        super().connection_lost(exc)
        self._tell()

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        cause = () if exc_cause is None else (exc_cause,)
        super().set_exception(exc, *cause)
        payload = self._payload
        if payload is not None and payload.exception() is None and not payload.is_eof():
            payload.set_exception(exc)
        self._tell()

    def _tell(self) -> None:
        if self.sink is not None:
            self.sink()

    def resume_reading(self, resume_parser: bool = True) -> None:
        # aiohttp resumes after every piece that is read, which costs as much as the piece.
        if self._reading_paused:
            self._heard = self._loop.time()
            super().resume_reading(resume_parser)

    def begin(self, method: str) -> None:
        """A parser for one answer."""
        self.set_response_params(
            skip_payload=method == "HEAD",
            read_until_eof=True,
            auto_decompress=False,
            max_line_size=_FIELD_LIMIT,
            max_field_size=_FIELD_LIMIT,
            max_headers=_FIELDS_LIMIT,
        )

    def write(self, data: bytes | memoryview) -> None:
        """Raises ClientConnectionError where the connection has ended."""
        if self.transport is None or self.transport.is_closing():
            raise aiohttp.ClientConnectionResetError("the connection has ended")
        self.transport.write(data)

    async def upload(self, body: bytes) -> None:
        """Writes a large body, no faster than the peer reads it. Ends quietly where the connection does: who waits
        for the answer learns of it."""
        view = memoryview(body)
        try:
            for at in range(0, len(view), _PIECE):
                self.write(view[at : at + _PIECE])
                await self._drain_helper()
        except (aiohttp.ClientConnectionError, ConnectionError):
            return

    def limit_silence(self, seconds: float) -> None:
        """From now on the peer may be silent for so long, in a body, while it is read.

        One timer looks at the last time that it was heard. aiohttp's own limit makes a timer for each packet, which
        costs as much as all else that is done with a small one.
        """
        self._longest_silence = seconds
        self._heard = self._loop.time()
        self._silence_timer = self._loop.call_later(seconds, self._look_for_silence)

    def let_be_silent(self) -> None:
        """Ends that."""
        if self._silence_timer is not None:
            self._silence_timer.cancel()
            self._silence_timer = None

    def _look_for_silence(self) -> None:
        left = self._heard + self._longest_silence - self._loop.time()
        if self._payload is None or self._payload.is_eof():
            self._silence_timer = None
        elif left <= 0 and not self._reading_paused:
            self._silence_timer = None
            self.set_exception(aiohttp.SocketTimeoutError("the peer is silent"))
        else:
            again = left if left > 0 else self._longest_silence
            self._silence_timer = self._loop.call_later(again, self._look_for_silence)


class Call:
    """One request that was sent, and its answer. Must be closed."""

    def __init__(self, connection: Any, message: RawResponseMessage, payload: StreamReader) -> None:
        self._connection = connection
        self._protocol: Protocol = connection.protocol
        self._upload: asyncio.Task[None] | None = None
        self.status: int = message.code
        self.raw_headers: tuple[tuple[bytes, bytes], ...] = message.raw_headers
        self.content = Relayed.made_of(payload)

    def limit_silence(self, seconds: float) -> None:
        if not self.content.is_eof():
            self._protocol.limit_silence(seconds)

    async def pour(self, take: Callable[[bytes], bool]) -> bool:
        """Gives each piece of the body to `take` in the moment in which it arrives, without a turn of the loop between.

        True where `take` has asked for a rest by returning False: what comes then is kept, and the peer is read no
        further than aiohttp's own limit. False where nothing more comes; `content.exception()` says whether it broke
        off. Raises what `take` raises.
        """
        content, protocol = self.content, self._protocol
        if content.at_eof():
            return False
        over: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def give() -> None:
            # Not by its own name: it would hold itself, and the whole answer, until the collector comes.
            sink, protocol.sink = protocol.sink, None
            rest = False
            try:
                # Again and again: where it was full, the parser goes on when it is read, and fills it at once.
                while content._buffer and not rest:  # noqa: SLF001
                    # Its public twin raises where the answer broke off, before it gives what came before that.
                    rest = not take(content._read_nowait(-1))  # noqa: SLF001
            except Exception as error:
                if not over.done():  # who waits may have been cancelled, and not have run since
                    over.set_exception(error)
                return
            if not (rest or content.at_eof() or content.exception() is not None):
                protocol.sink = sink
            elif not over.done():
                over.set_result(rest)

        protocol.sink = give
        try:
            give()
            return await over
        finally:
            protocol.sink = None

    def uploading(self, upload: "asyncio.Task[None]") -> None:
        """The answer came while the request was being written still."""
        self._upload = upload

    def close(self) -> None:
        """Gives the connection back; closes it where request or answer have not come to their end."""
        self._protocol.let_be_silent()
        if self._upload is not None and not self._upload.done():
            self._upload.cancel()
            self._connection.close()
        else:
            self._connection.release()


class Pool(aiohttp.TCPConnector):
    """The connections to all upstreams, each by its own way out. A connection serves only who has the same: aiohttp
    keeps them by proxy, login there and TLS context. Proxies and netrc of the environment are not looked at here."""

    def __init__(self, **options: Any) -> None:
        super().__init__(limit=0, keepalive_timeout=_KEPT, **options)
        kind: type[ResponseHandler] = Protocol
        self._factory = partial(kind, loop=self._loop)
        self._origins: dict[tuple[str, Egress | None], aiohttp.ClientRequest] = {}
        self._trusting: dict[str, asyncio.Future[ssl.SSLContext]] = {}

    async def __aenter__(self) -> Self:
        return self

    def prepare(self, ways: Iterable[Egress | None]) -> None:
        """Begins to read what the ways out need that are in force from here on, and forgets what those before did."""
        new = {_SYSTEM, *(way.authorities for way in ways if way is not None)}
        self._trusting = {text: self._trusting.get(text) or self._read(text) for text in new}
        self._origins.clear()

    def _read(self, authorities: str) -> asyncio.Future[ssl.SSLContext]:
        """In a thread, in which others are served meanwhile: it takes 20 ms."""
        return self._loop.run_in_executor(None, trusting, authorities)

    async def asked(self, origin: str, egress: Egress | None = None) -> aiohttp.ClientRequest:
        """What a connection is asked for with, made once for each scheme and authority, those of base URLs, and
        way out."""
        url = URL(origin)
        tls: ssl.SSLContext | bool = True
        if url.scheme != "http" or (egress is not None and egress.proxy):
            text = _SYSTEM if egress is None else egress.authorities
            reading = self._trusting.get(text) or self._trusting.setdefault(text, self._read(text))
            try:
                tls = await asyncio.shield(reading)  # others wait for it, too
            except (OSError, ValueError):
                self._trusting.pop(text, None)  # who asks next reads them anew
                raise
        asked = aiohttp.ClientRequest("GET", url, loop=self._loop, ssl=tls)
        if egress is not None and egress.proxy:
            # Its Host is among them since aiohttp adds it later, and they are a part of what connections are kept by.
            headers = {"Host": asked.headers["Host"]}
            if egress.proxy_authorization is not None:
                headers["Proxy-Authorization"] = egress.proxy_authorization
            asked.update_proxy(URL(egress.proxy), None, headers)
        self._origins[origin, egress] = asked
        return asked

    async def call(
        self,
        method: str,
        url: str,
        headers: Headers,
        body: bytes,
        connect_timeout: float,
        egress: Egress | None = None,
    ) -> Call:
        """The answer's head; what came before it with a status of 1xx is passed over.

        Raises aiohttp's ClientError and HttpProcessingError, OSError, and ValueError where a header is none.
        """
        origin, target = _split(url)
        asked = self._origins.get((origin, egress)) or await self.asked(origin, egress)
        if egress is not None and egress.proxy and not asked.is_ssl():
            # The proxy reads this head (RFC 9112 3.2.2).
            target = origin + target
            if egress.proxy_authorization is not None:
                headers = (*headers, ("Proxy-Authorization", egress.proxy_authorization))
        head = _head(method, target, asked.headers["Host"], headers, len(body))
        try:
            connection = await self.connect(asked, [], _limited(connect_timeout))
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError("no connection in time") from error
        except aiohttp.ClientError as error:
            if egress is not None and egress.proxy:
                raise blamed(error, egress) from error
            raise
        upload: asyncio.Task[None] | None = None
        try:
            protocol = connection.protocol
            assert isinstance(protocol, Protocol)
            protocol.begin(method)
            if len(body) <= _JOINED:
                protocol.write(head + body)
            elif len(body) <= _AT_ONCE:
                protocol.write(head)
                protocol.write(body)
            else:
                protocol.write(head)
                upload = asyncio.create_task(protocol.upload(body))
            message, payload = await protocol.read()
            while message.code < 200 and message.code != 101:
                message, payload = await protocol.read()
        except BaseException:
            if upload is not None:
                upload.cancel()
            connection.close()
            raise
        call = Call(connection, message, payload)
        if upload is not None:
            call.uploading(upload)
        return call


@lru_cache(maxsize=64)
def _limited(connect_timeout: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=connect_timeout, sock_connect=connect_timeout)


def _split(url: str) -> tuple[str, str]:
    """Scheme and authority, and what is asked of them, as it stands."""
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("#")[0].partition("/")
    return f"{scheme}://{authority}", slash + path or "/"


def _head(method: str, target: str, host: str, headers: Headers, length: int) -> bytes:
    """The request's head. Raises ValueError where a header would begin a line of its own."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *[f"{name}: {value}" for name, value in headers]]
    if length or method in _WITH_BODY:
        lines.append(f"Content-Length: {length}")
    whole = "".join(lines)
    if not whole.isprintable() and _FORBIDDEN.search(whole):  # the first look costs a tenth of the second
        raise ValueError("a header has a control character in it")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()

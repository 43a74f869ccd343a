"""The stand-in upstream, a process of its own: answers as Anthropic would, on raw protocols."""

import argparse
import asyncio
import contextlib
import functools
import gc
import ssl
from collections.abc import Iterator

from benchmarks.framing import FramingError, MessageReader
from benchmarks.workloads import STREAM_HEADER, Stream, json_answer, stamped, stream_answer

ANSWER_HEADERS = (
    "request-id: req_011BenchmarkBenchmarkBe\r\n"
    "anthropic-organization-id: 00000000-0000-4000-8000-000000000000\r\n"
    "anthropic-ratelimit-unified-status: allowed\r\n"
    "anthropic-ratelimit-unified-reset: 4102444800\r\n"
    "anthropic-ratelimit-unified-5h-status: allowed\r\n"
    "anthropic-ratelimit-unified-5h-utilization: 0.25\r\n"
    "cache-control: no-cache\r\n"
)


@functools.cache
def answer_pieces(stream: Stream) -> tuple[bytes, ...]:
    """The writes of one answer: its head, then each event as a chunk of its own."""
    if stream.events == 0:
        body = json_answer()
        return (answer_head(f"content-type: application/json\r\ncontent-length: {len(body)}") + body,)
    head = answer_head("content-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked")
    chunks = (b"%x\r\n%s\r\n" % (len(event), event) for event in stream_answer(stream))
    return (head, *chunks, b"0\r\n\r\n")


def answer_head(more: str, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\n{ANSWER_HEADERS}{more}\r\n\r\n".encode()


class Upstream(asyncio.Protocol):
    """One connection: any number of requests, one after another."""

    def __init__(self) -> None:
        self._request = MessageReader()

    @property
    def _pause(self) -> float:
        return Stream.read(self._request.headers.get(STREAM_HEADER, "0")).pause

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            if not self._request.feed(data):
                return
            pieces, pause = self._answer(), self._pause
        except (FramingError, ValueError) as error:
            complaint = f"the stand-in upstream refuses this request: {error}".encode()
            self._transport.write(answer_head(f"content-length: {len(complaint)}", "400 Bad Request") + complaint)
            self._transport.close()
            return
        self._request.next()
        if pause:
            self._pace(iter(pieces), pause)
            return
        for piece in pieces:  # each is a send() of its own, as the events of a real API are
            self._transport.write(piece)

    def _pace(self, pieces: Iterator[bytes], pause: float) -> None:
        """Writes one piece, and the next after the pause; the time of sending stands in it."""
        piece = next(pieces, None)
        if piece is not None and not self._transport.is_closing():
            self._transport.write(stamped(piece))
            asyncio.get_running_loop().call_later(pause, self._pace, pieces, pause)

    def _answer(self) -> tuple[bytes, ...]:
        path = self._request.start_line.split(" ")[1].partition("?")[0]
        stream = self._request.headers.get(STREAM_HEADER)
        if not path.endswith("/v1/messages"):
            raise FramingError(f"{path} is not a path of /v1/messages")
        if stream is None:
            raise FramingError(f"the header {STREAM_HEADER} is missing")
        return answer_pieces(Stream.read(stream))


async def main() -> None:
    """Serves on a free port of the loopback until it is told to end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--certificate", help="a file with key and certificate: it then speaks TLS")
    options = parser.parse_args()
    tls = None
    if options.certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(options.certificate)
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    print(f"event=listening url={'https' if tls else 'http'}://127.0.0.1:{port}", flush=True)
    gc.freeze()
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())

"""The stand-in upstream of the soak: does what a request's header says, such as falling silent after half an answer.

With `--healthy` it commits only those faults for which nobody else can be asked any more.
"""

import asyncio
import contextlib
import sys

from benchmarks.upstream import Upstream, answer_head
from benchmarks.workloads import STREAM_HEADER, Stream, stream_answer

FAULT_HEADER = "x-soak-fault"
COUNTED = b'{"input_tokens":42}'
OVERLOADED = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
ERROR_EVENT = b"event: error\ndata: " + OVERLOADED + b"\n\n"


def begun(stream: Stream) -> bytes:
    """What a stream has said before it fails."""
    return b"".join(stream_answer(stream)[: stream.events // 2])


class FaultyUpstream(Upstream):
    """One connection. `healthy` is the same for all."""

    healthy = False

    def _answer(self) -> tuple[bytes, ...]:
        request = self._request
        fault = request.headers.get(FAULT_HEADER, "")
        stream = Stream.read(request.headers.get(STREAM_HEADER, "0"))
        match fault:
            case "hold":
                return ()
            case "head":
                return (self._half(Stream()),)
            case "cut":
                self._transport.write(self._half(stream))
                self._transport.close()
                return ()
            case "stall":
                return (self._half(stream),)
            case "error":
                return (self._half(stream), _chunk(ERROR_EVENT), b"0\r\n\r\n")
            case "drop" if not self.healthy:
                self._transport.abort()
                return ()
            case "529" if not self.healthy:
                return (_whole(OVERLOADED, "529 Overloaded"),)
            case "malformed" if not self.healthy:
                return (_whole(b"{malformed"),)
        if "/count_tokens" in request.start_line:
            return (_whole(COUNTED),)
        return super()._answer()

    def _half(self, stream: Stream) -> bytes:
        started = answer_head("content-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked")
        return started + _chunk(begun(stream)) if stream.events else started


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _whole(body: bytes, status: str = "200 OK") -> bytes:
    return answer_head(f"content-type: application/json\r\ncontent-length: {len(body)}", status) + body


async def main() -> None:
    """Serves on a free port of the loopback until it is told to end."""
    FaultyUpstream.healthy = "--healthy" in sys.argv
    server = await asyncio.get_running_loop().create_server(FaultyUpstream, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print(f"event=listening url=http://127.0.0.1:{port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())

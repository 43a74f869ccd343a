"""The client's end of an answer that streams: each block is written in the moment in which it comes."""

from aiohttp.web_request import BaseRequest
from aiohttp.web_response import StreamResponse

from claude_proxy.exchange import Transcript


class Outlet:
    """Writes to the connection itself, behind the head that aiohttp has written."""

    def __init__(self, request: BaseRequest, response: StreamResponse, transcript: Transcript | None = None) -> None:
        """`response` is prepared. What is written is kept in the transcript too, where there is one."""
        self._transcript = transcript
        self._protocol = request.protocol
        self._writer = request.writer
        self._chunked = "Transfer-Encoding" in response.headers

    async def open(self, opening: bytes) -> None:
        """The head, and what there is of the body, in one write."""
        if opening:
            if self._transcript is not None:
                self._transcript.add(opening)
            await self._writer.write(opening)
        else:
            self._writer.send_headers()

    def write(self, block: bytes) -> bool:
        """False where the client has not read enough yet. Raises ConnectionError where it has left."""
        transport = self._protocol.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has left")
        if self._transcript is not None:
            self._transcript.add(block)
        # In chunks, unless the client speaks HTTP/1.0: there the connection's end is the body's (RFC 9112 6.3, 7.1).
        transport.write(b"%x\r\n%b\r\n" % (len(block), block) if self._chunked else block)
        return not self._protocol.writing_paused

    async def rest(self) -> None:
        """Returns once the client has read most of what it was sent."""
        await self._writer.drain()

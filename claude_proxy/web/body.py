"""A request's body: read whole, within its limits of size and time."""

import asyncio

from aiohttp import HttpVersion11
from aiohttp.web_protocol import RequestPayloadError
from aiohttp.web_request import BaseRequest

from claude_proxy.web.errors import Refused
from claude_proxy.web.protocol import LimitSettings
from claude_proxy.wire.encoding import EncodingBroken, EncodingUnsupported, decode_body


async def read_body(request: BaseRequest, limits: LimitSettings) -> bytes:
    """The body as it came. Raises Refused: 413 before anything is buffered, 408, 400."""
    declared = request.content_length
    if declared is not None and declared > limits.max_body:
        raise _too_large(limits)
    await _answer_expectation(request)
    parts: list[bytes] = []
    size = 0
    try:
        if request.content.is_eof() and declared:
            return request.content.read_nowait()  # it came with its head, as most do
        async with asyncio.timeout(limits.body_timeout):
            # One by one as they came: joined twice, a megabyte would be copied twice.
            while not request.content.at_eof():
                chunk, _ = await request.content.readchunk()
                size += len(chunk)
                if size > limits.max_body:
                    raise _too_large(limits)
                parts.append(chunk)
    except TimeoutError:
        raise Refused(
            408, "body_timeout", f"the body did not arrive within {limits.body_timeout:g} s", close=True
        ) from None
    except RequestPayloadError:
        raise Refused(400, "malformed", "the body's framing is broken", close=True) from None
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def _answer_expectation(request: BaseRequest) -> None:
    """RFC 9110 10.1.1: the client waits for a go-ahead before it sends the body."""
    expected = request.headers.get("Expect")
    if expected is None or request.version < HttpVersion11:
        return
    if expected.strip().lower() != "100-continue":
        raise Refused(417, "expectation", "only `Expect: 100-continue` is understood", close=True)
    if request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def _too_large(limits: LimitSettings) -> Refused:
    return Refused(
        413,
        "too_large",
        f"the body is larger than {limits.max_body} bytes; raise limits.max_body if it has to be",
        close=True,
    )


async def decoded(body: bytes, coding: str, limits: LimitSettings) -> bytes:
    """The body as text to be read, decompressed on a thread. Raises Refused."""
    try:
        return await asyncio.to_thread(decode_body, body, coding, limits.max_body)
    except EncodingUnsupported as error:
        raise Refused(415, "encoding", str(error)) from None
    except EncodingBroken as error:
        raise Refused(400, "encoding", str(error)) from None

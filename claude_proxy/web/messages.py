"""The proxy's own door: a request in, its exchange forwarded, the reply written out as it comes."""

import asyncio
from functools import partial

from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response, StreamResponse
from multidict import CIMultiDict

from claude_proxy.exchange import Exchange
from claude_proxy.failures import ForwardingError, StreamBroken
from claude_proxy.forwarding.forwarder import Forwarder
from claude_proxy.forwarding.reply import Reply
from claude_proxy.web.body import decoded, read_body
from claude_proxy.web.errors import SERVER, Refused, broken_stream, failed, who_answered
from claude_proxy.web.guard import Guard
from claude_proxy.web.last_bodies import SHORTEST, LastBodies
from claude_proxy.web.outlet import Outlet
from claude_proxy.web.protocol import LimitSettings
from claude_proxy.wire.headers import Headers, first, nominates_end_to_end
from claude_proxy.wire.members import BadBody
from claude_proxy.wire.messages import AGENT_ID, COUNT_TOKENS, MESSAGES, SESSION_ID, ClientRequest

_LARGE = 1 << 20  # bytes of a body that is read on a thread


class MessagesDoor:
    """Answers everything that an upstream answers."""

    def __init__(self, forwarder: Forwarder, guard: Guard, limits: LimitSettings) -> None:
        self._forwarder = forwarder
        self._guard = guard
        self._limits = limits
        self._last = LastBodies()

    async def answer(self, request: BaseRequest) -> StreamResponse:
        """Raises Refused where the request is none that could be forwarded."""
        exchange = Exchange(await self._read(request))
        response: StreamResponse
        try:
            async with self._forwarder.forward(exchange) as reply:
                response = _response(exchange, reply)
                await _write(request, response, exchange, reply)
        except ForwardingError as error:
            response = failed(error.failure, exchange)
        except StreamBroken:
            pass  # `_write` has told the client already; the exchange is recorded as broken
        return response

    async def _read(self, request: BaseRequest) -> ClientRequest:
        headers: Headers = tuple(request.headers.items())
        _check_headers(headers)
        _check_content_type(request)
        body = await read_body(request, self._limits)
        target, local = request.raw_path, self._guard.is_local(request)
        if request.method != "POST" or target.partition("?")[0] not in {MESSAGES, COUNT_TOKENS}:
            return ClientRequest(request.method, target, headers, body, body, local)
        coding = first(headers, "content-encoding")
        text = body if coding is None else await decoded(body, coding, self._limits)
        conversation = tuple(map(request.headers.get, (SESSION_ID, AGENT_ID)))
        earlier = self._last.of(conversation) if len(text) >= SHORTEST else None
        read = partial(ClientRequest.read, request.method, target, headers, body, text, local=local, earlier=earlier)
        try:
            # Above that, others would wait for milliseconds.
            made = read() if len(text) <= _LARGE else await asyncio.to_thread(read)
        except BadBody as error:
            raise Refused(400, "bad_body", str(error)) from None
        if made.members is not None:
            self._last.keep(conversation, made.members)
        return made


def _check_headers(headers: Headers) -> None:
    if nominates_end_to_end(headers):
        raise Refused(400, "malformed", "Connection names a header that is meant for the upstream", close=True)
    if "".join([text for pair in headers for text in pair]).isascii():
        return
    for name, value in headers:
        # What is not UTF-8 came in as surrogates and could not be written out again as it came.
        if not (name.isascii() and value.encode("utf-8", "replace").decode() == value):
            raise Refused(400, "malformed", "a header is not valid UTF-8", close=True)


def _check_content_type(request: BaseRequest) -> None:
    """Bodies only as JSON: a page of another site can send text or forms without asking, but not this."""
    if not request.body_exists:
        return
    values = request.headers.getall("Content-Type", [])
    media, _, parameters = (values[0] if len(values) == 1 else "").partition(";")
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    if media.strip().lower() != "application/json" or charset not in {"", "utf-8", "utf8"}:
        raise Refused(415, "media_type", "send the body as Content-Type: application/json (UTF-8)")


def _response(exchange: Exchange, reply: Reply) -> StreamResponse:
    headers = CIMultiDict((*reply.headers, *who_answered(exchange, exchange.upstream)))
    headers.setdefault("Server", SERVER)  # aiohttp would name itself and Python's version
    if reply.body is not None:
        return Response(status=reply.status, headers=headers, body=reply.body)
    return StreamResponse(status=reply.status, headers=headers)


async def _write(request: BaseRequest, response: StreamResponse, exchange: Exchange, reply: Reply) -> None:
    """Writes the reply to its end, inside the exchange: a client that leaves meanwhile was not answered."""
    await response.prepare(request)
    if reply.body is None:
        outlet = Outlet(request, response, exchange.transcript)
        await outlet.open(reply.opening)
        try:
            await reply.pour(outlet.write, outlet.rest)
        except StreamBroken as broken:
            if reply.is_events:
                told = broken_stream(broken.failure, exchange)
                if exchange.transcript is not None:
                    exchange.transcript.add(told)
                await response.write(told)
                await response.write_eof()
            elif request.transport is not None:
                # There is no way to say it in band: the missing end of the body is the message.
                request.transport.abort()
            raise
    await response.write_eof()

"""The last look before the client sees a byte: is this 200 an answer?

Everything before this moment may be tried again or elsewhere; nothing after it. `message_start` is the first
good event. A ping or a comment that comes earlier is passed on at once and commits as well: a client that waits
for a sign of life must not wait for us.
"""

import json
from collections.abc import Callable
from contextlib import aclosing

import msgspec
from msgspec.structs import replace

from claude_proxy.dialects.dialect import Dialect
from claude_proxy.failures import AttemptFailed, Failure, FailureKind, Said
from claude_proxy.forwarding.demotion import Demotion
from claude_proxy.forwarding.reply import EventReply, Reply, Withholding
from claude_proxy.logline import REDACTED
from claude_proxy.upstreams.transport import Answer, BrokenOff
from claude_proxy.wire.headers import Headers, first, for_client, without
from claude_proxy.wire.messages import ClientRequest
from claude_proxy.wire.sse import EventCutter, events
from claude_proxy.wire.usage import UsageReader

MAX_HELD = 256 << 10
"""Bytes of a stream that are held before its first event is known."""

MAX_WHOLE = 32 << 20
"""Bytes of a non-streaming answer, which is held whole before any of it goes on."""

_JSON = ("Content-Type", "application/json")


class _Typed(msgspec.Struct):
    type: str | None = None


_decode_typed = msgspec.json.Decoder(_Typed).decode


async def commit(
    answer: Answer,
    dialect: Dialect,
    request: ClientRequest,
    on_end: Callable[[Failure | None], None],
    withheld: str = "",
    demotion: Demotion | None = None,
) -> Reply:
    """The reply that this 200 is good for. Raises AttemptFailed where it is none.

    `withheld` is a key of ours that a stranger might repeat in what it says. With a `demotion` the stream was asked
    for in place of a whole message, which the client gets; an upstream that gives one at once is as good.
    """
    coding = (first(answer.headers, "content-encoding") or "identity").strip().lower()
    if coding != "identity":
        # We asked for none; what cannot be read cannot be known to be good.
        raise _malformed(f"the answer came compressed ({coding[:20]}), which was not asked for")
    try:
        if answer.is_stream and demotion is not None:
            body = await demotion.message(answer, dialect, request, MAX_WHOLE)
            headers = (*without(client_headers(answer.headers, dialect), "content-type"), _JSON)
            return Reply(answer.status, headers, body, demotion.usage, answer)
        if answer.is_stream:
            return await _commit_stream(answer, dialect, request, on_end, withheld.encode())
        return await _commit_whole(answer, dialect, request, withheld.encode())
    except BrokenOff as broken:
        if broken.stalled:
            raise AttemptFailed(Failure(FailureKind.TIMEOUT, "the answer began and fell silent")) from None
        raise _malformed(f"the answer broke off before it was known to be good: {broken}") from None


async def _commit_stream(
    answer: Answer,
    dialect: Dialect,
    request: ClientRequest,
    on_end: Callable[[Failure | None], None],
    withheld: bytes,
) -> Reply:
    cutter = EventCutter()
    block = b""
    async with aclosing(answer.chunks()) as pieces:
        async for piece in pieces:
            block += cutter.feed(piece)
            if block.strip(b"\r\n"):
                break
            if len(block) + cutter.pending > MAX_HELD:
                raise _malformed(f"the stream began with {MAX_HELD} bytes and no event")
        else:
            raise _malformed("the stream ended before its first event")
    opening = next((event for event in events(block) if not event.is_comment), None)
    if opening is not None and (opening.name in {"", "error"} or not dialect.native):
        hidden = dialect.disguised(opening.data, answer.headers, request)
        if hidden is not None and dialect.native:
            # As it was said, with its 200: on an error event Claude Code asks again without streaming, on a
            # status of the same meaning it gives up sooner.
            said = Said(answer.status, client_headers(answer.headers, dialect), block)
            hidden = replace(hidden, said=said)
        if hidden is not None:
            raise AttemptFailed(hidden)
        if opening.name == "error":
            raise _malformed("the stream began with an error event that cannot be read")
    translator = dialect.stream(request)
    if translator is not None:
        translator = Withholding(translator, withheld)
        block = translator.feed(block)
    return EventReply(
        answer.status,
        client_headers(answer.headers, dialect),
        UsageReader(),
        answer,
        block,
        cutter,
        translator,
        on_end,
    )


def _type_of(body: bytes) -> str | None:
    """The `type` of a JSON object, "" where it has none; None where the body is no JSON object."""
    try:
        return _decode_typed(body).type or ""
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        # More lenient: half a surrogate pair, as JavaScript leaves where it cuts a text, is legal (RFC 8259 8.2).
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return str(found.get("type") or "") if isinstance(found, dict) else None


async def _commit_whole(
    answer: Answer,
    dialect: Dialect,
    request: ClientRequest,
    withheld: bytes,
) -> Reply:
    body = await answer.read(MAX_WHOLE)
    if not body.strip():
        raise _malformed("the answer has an empty body")
    hidden = dialect.disguised(body, answer.headers, request)
    if hidden is not None:
        raise AttemptFailed(hidden)
    kind = _type_of(body)
    if kind is None:
        raise _malformed(f"the answer is no JSON object (content type {answer.media_type[:60] or 'missing'})")
    if request.is_messages and kind != "message":
        raise _malformed("the answer is JSON, but no message")
    usage = UsageReader()
    usage.read_whole(body)
    if request.is_messages:
        try:
            body = dialect.answer(body, request)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise _malformed("the answer is JSON that cannot be read") from None
    if withheld:
        body = body.replace(withheld, REDACTED.encode())
    return Reply(answer.status, client_headers(answer.headers, dialect), body, usage, answer)


def client_headers(headers: Headers, dialect: Dialect) -> Headers:
    """The answer's headers as the client gets them; a stranger's say nothing that the client could misread."""
    kept = for_client(headers)
    if dialect.native:
        return kept
    return tuple(
        (key, value)
        for key, value in without(kept, "content-length")
        if key.lower() in {"content-type", "cache-control", "date", "retry-after"}
    )


def _malformed(message: str) -> AttemptFailed:
    return AttemptFailed(Failure(FailureKind.MALFORMED, message))

"""All the ways in which an upstream fails, each with what shall follow."""

import gzip
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.in_process import turns_of_the_loop
from tests.stand_in import (
    Answer,
    Received,
    Wire,
    error_body,
    fails,
    hangs,
    message_end,
    message_json,
    message_start,
    raw,
    replies,
    resets,
    says,
    sse,
    streams,
    text_block,
    text_stream,
)

JSON = ("Content-Type", "application/json")
EVENTS = ("Content-Type", "text/event-stream")
CHUNKED = ("Transfer-Encoding", "chunked")


@dataclass(frozen=True)
class Fault:
    """A way to fail. `status` is what the client sees where nobody else answers; `said` means that it sees the
    upstream's own answer; `again` that the same upstream is asked once more, `elsewhere` that another is; `silent`
    that only time tells, `endless` that only the client's leaving ends it. `of` says at whom: an upstream that the
    client's own login serves, one that is called with a key of ours, or MiniMax."""

    answer: Answer
    status: int = 502
    said: bytes | None = None
    again: bool = False
    elsewhere: bool = True
    silent: bool = False
    endless: bool = False
    of: str = "client"
    before: tuple[Answer, ...] = ()
    """What it answers first, once each."""


def head_then(*parts: bytes, content: tuple[str, str] = EVENTS, end: str = "reset") -> Answer:
    """A good head, these bytes as chunks of the body, and then no good end."""

    async def answer(_: Received, wire: Wire) -> None:
        await wire.head(200, [content, CHUNKED])
        for part in parts:
            await wire.chunk(part)
        await turns_of_the_loop(20)  # a reset would discard what has not been read
        match end:
            case "reset":
                wire.reset()
            case "close":
                wire.close()
            case "garbage":
                await wire.send(b"zz\r\nno chunk size\r\n")
                wire.close()
            case "silence":
                await wire.reader.read(1)
                wire.keep_alive = False
            case _:
                await wire.end()

    return answer


async def answers_with_interim_heads_for_ever(_: Received, wire: Wire) -> None:
    while True:  # ends when the peer leaves
        await wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 100)
        await turns_of_the_loop()


def refuses(status: int, kind: str, *headers: tuple[str, str], message: str = "no", again: bool = False) -> Fault:
    body = error_body(kind, message)
    return Fault(replies(status, body, [JSON, *headers]), status, body, again)


def begins_with_error(kind: str, status: int, *, cuts: Sequence[int] = (), again: bool = False) -> Fault:
    """An error as the first event of a stream with status 200, which is how Anthropic says overload."""
    event = sse("error", {"type": "error", "error": {"type": kind, "message": "no"}, "request_id": "req_1"})
    at = [0, *cuts, len(event)]
    parts = [event[a:b] for a, b in itertools.pairwise(at)]

    async def answer(_: Received, wire: Wire) -> None:
        await wire.start_stream()
        for part in parts:
            await wire.chunk(part)
            await turns_of_the_loop()
        await wire.end()

    return Fault(answer, status, event, again)


ERROR = error_body("overloaded_error", "Overloaded")
TWO_LENGTHS = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"
HUGE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-huge: %s\r\n\r\n" % (b"h" * 200_000)
MANY = b"HTTP/1.1 200 OK\r\n%s\r\n" % b"".join(b"x-%d: y\r\n" % number for number in range(5_000))
GOOD = message_json()
OVERLOADED = sse("error", {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
BASE_RESP = sse("message_delta", {"type": "message_delta", "base_resp": {"status_code": 1002, "status_msg": "rate"}})
BOMB = gzip.compress(bytes(16 << 20))


def handed_back(status: int, kind: str, message: str) -> Fault:
    """A refusal that is the client's own affair."""
    return replace(refuses(status, kind, message=message), elsewhere=False)


def of_minimax(number: int, message: str, status: int, *, again: bool = False, elsewhere: bool = True) -> Fault:
    """MiniMax's way to say an error: by number, within a 200."""
    body = b'{"base_resp":{"status_code":%d,"status_msg":"%s"}}' % (number, message.encode())
    return Fault(replies(200, body), status, again=again, elsewhere=elsewhere, of="minimax")


async def body_without_end(_: Received, wire: Wire) -> None:
    await wire.head(200, [JSON, CHUNKED])
    await wire.chunk(b'{"type":"message","content":"')
    for _number in range(1_000):  # 64 MB; a whole answer is held up to 32 MiB
        await wire.chunk(b"x" * (64 << 10))
    wire.close()


async def stream_without_end(_: Received, wire: Wire) -> None:
    await wire.start_stream()
    await wire.chunk(message_start())
    for _number in range(1_000_000):  # ends when the peer leaves
        await wire.chunk(text_block("x" * 1000)[1])


SPENT = (
    ("anthropic-ratelimit-unified-status", "rejected"),
    ("anthropic-ratelimit-unified-reset", "1999999999"),
)

# Whether the client asked for a stream or not.
ALWAYS: dict[str, Fault] = {
    "reset before the head": Fault(resets(), again=True),
    "closed before the head": Fault(raw(b""), again=True),
    "half a status line": Fault(raw(b"HTTP/1.1 20")),
    "half a head": Fault(raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nrequest-i")),
    "another protocol": Fault(raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")),
    "bytes": Fault(raw(bytes(range(256)) * 4)),
    "interim heads for ever": Fault(answers_with_interim_heads_for_ever, status=0, silent=True),
    "a header out of bounds": Fault(raw(HUGE)),
    "a head out of bounds": Fault(raw(MANY)),
    "no head": Fault(hangs(), status=504, silent=True),
    "a redirect": Fault(replies(302, b"", [("Location", "/v1/elsewhere")])),
    "a redirect that keeps the method": Fault(replies(308, b"", [("Location", "/v1/elsewhere")])),
    "500": refuses(500, "api_error", again=True),
    "502": refuses(502, "api_error", again=True),
    "503": refuses(503, "api_error", again=True),
    "504": refuses(504, "timeout_error", again=True),
    "529": refuses(529, "overloaded_error", again=True),
    "408": refuses(408, "timeout_error", again=True),
    "529 that says not to try again": refuses(529, "overloaded_error", ("x-should-retry", "false")),
    "500 with HTML": Fault(replies(500, b"<html>", [("Content-Type", "text/html")]), 500, b"<html>", again=True),
    "429": refuses(429, "rate_limit_error"),
    "429 for a moment": refuses(429, "rate_limit_error", ("retry-after", "0"), again=True),
    "429 for a minute": refuses(429, "rate_limit_error", ("retry-after", "60")),
    "429 with a spent window": refuses(429, "rate_limit_error", *SPENT, ("retry-after", "0")),
    "401 that speaks of quota": refuses(401, "authentication_error", message="quota exceeded"),
    "403 that speaks of billing": refuses(403, "billing_error", message="no billing"),
    "an error's body is cut short": Fault(raw(b"HTTP/1.1 529 X\r\nContent-Length: 9\r\n\r\n{")),
    "HTML": Fault(replies(200, b"<html>Sign in</html>", [("Content-Type", "text/html")])),
    "nothing": Fault(replies(200, b"")),
    "no body and no length": Fault(raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")),
    "broken JSON": Fault(replies(200, GOOD[:-1])),
    "JSON that is no object": Fault(replies(200, b'["message"]')),
    "JSON that is no message": Fault(replies(200, b'{"type":"completion"}')),
    "a short body": Fault(raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{}")),
    "two lengths": Fault(raw(TWO_LENGTHS)),
    "bad chunks": Fault(head_then(GOOD, content=JSON, end="garbage")),
    "chunks without an end": Fault(head_then(GOOD, content=JSON, end="close")),
    "a body that falls silent": Fault(head_then(GOOD[:9], content=JSON, end="silence"), status=504, silent=True),
    "529 twice, then an answer": Fault(
        says("from the first"), 200, again=True, before=(fails(529, "overloaded_error"),) * 2
    ),
    "error JSON": Fault(replies(200, ERROR), 529, ERROR, again=True),
    "a gzip bomb": Fault(replies(200, BOMB, [JSON, ("Content-Encoding", "gzip")])),
    "a body longer than it says": Fault(
        raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n" + GOOD)
    ),
    "a body without end": Fault(body_without_end),
    "401 on the client's login": handed_back(401, "authentication_error", "OAuth token has expired"),
    "403 on the client's login": handed_back(403, "permission_error", "not for this organization"),
    "400": handed_back(400, "invalid_request_error", "max_tokens: Field required"),
    "400 prompt is too long": handed_back(400, "invalid_request_error", "prompt is too long: 9 tokens > 8 maximum"),
    "404": handed_back(404, "not_found_error", "model: claude-x"),
    "413": handed_back(413, "request_too_large", "Request exceeds the maximum size"),
    "401 on a key of ours": Fault(fails(401, "authentication_error", "invalid x-api-key"), 403, of="ours"),
    "403 on a key of ours": replace(refuses(403, "permission_error", message="not this model"), of="ours"),
    "400 organization disabled, on a key of ours": Fault(
        fails(400, "invalid_request_error", "This organization has been disabled."), 403, of="ours"
    ),
    "MiniMax: base_resp 1002, rate limit": of_minimax(1002, "rate limit exceeded", 429),
    "MiniMax: base_resp 1004, key refused": of_minimax(1004, "login fail", 403),
    "MiniMax: base_resp 1008, no balance": of_minimax(1008, "insufficient balance", 402),
    "MiniMax: base_resp 1000, unknown": of_minimax(1000, "unknown error", 529, again=True),
    "MiniMax: base_resp 2013, bad parameters": of_minimax(2013, "invalid params", 400, elsewhere=False),
    "MiniMax: base_resp 2061, not in the plan": of_minimax(2061, "not in your plan", 403),
    "MiniMax: 401": Fault(fails(401, "authorized_error", "invalid api key (1004)"), 403, of="minimax"),
}

STREAMED: dict[str, Fault] = {
    "reset after the head": Fault(head_then()),
    "closed after the head": Fault(head_then(end="close")),
    "ended after the head": Fault(head_then(end="ends")),
    "bad chunks after the head": Fault(head_then(end="garbage")),
    "silence after the head": Fault(head_then(end="silence"), status=504, silent=True),
    "half an event, then a reset": Fault(head_then(message_start()[:50])),
    "half an event, then the end": Fault(head_then(message_start()[:-1], end="ends")),
    "half an event, then silence": Fault(head_then(message_start()[:-1], end="silence"), status=504, silent=True),
    "empty lines and the end": Fault(streams([b"\n\n", b"\r\n\r\n\n"])),
    "a line without end": Fault(streams([b"data: " + b"x" * 100_000] * 5)),
    "a stream of HTML": Fault(streams([b"<html><body>Sign in</body></html>"])),
    "a compressed stream": Fault(streams(text_stream(), [("Content-Encoding", "br")])),
    "an error event: overloaded": begins_with_error("overloaded_error", 200, again=True),
    "an error event: a fault": begins_with_error("api_error", 200, again=True),
    "an error event: rate limit": begins_with_error("rate_limit_error", 200),
    "an error event in two packets": begins_with_error("overloaded_error", 200, cuts=[20], again=True),
    "an error event byte by byte": begins_with_error("overloaded_error", 200, cuts=range(1, 90), again=True),
    "an error event that cannot be read": Fault(streams([b"event: error\ndata: {broken\n\n"])),
}


BEGUN = [message_start(), *text_block("half of it")[:2]]
ENDED = b"".join(message_end())

# After the first good event: only of streams, and the same with another upstream as without.
LATER: dict[str, Fault] = {
    "then a reset": Fault(head_then(*BEGUN), status=200, elsewhere=False),
    "then closed without an end": Fault(head_then(*BEGUN, end="close"), status=200, elsewhere=False),
    "then bad chunks": Fault(head_then(*BEGUN, end="garbage"), status=200, elsewhere=False),
    "then silence": Fault(head_then(*BEGUN, end="silence"), status=200, elsewhere=False, silent=True),
    "then half an event and a reset": Fault(head_then(*BEGUN, ENDED[:40]), status=200, elsewhere=False),
    "then half an event and silence": Fault(
        head_then(*BEGUN, ENDED[:40], end="silence"), status=200, elsewhere=False, silent=True
    ),
    "then an end without message_stop": Fault(head_then(*BEGUN, end="ends"), status=200, elsewhere=False),
    "then its own error event": Fault(head_then(*BEGUN, OVERLOADED, end="ends"), status=200, elsewhere=False),
    "then its own error event and a reset": Fault(head_then(*BEGUN, OVERLOADED), status=200, elsewhere=False),
    "all of it, then a reset": Fault(head_then(*text_stream()), status=200, elsewhere=False),
    "a stream without end": Fault(stream_without_end, 200, elsewhere=False, endless=True),
    "MiniMax: then base_resp": Fault(
        head_then(*BEGUN, BASE_RESP, end="ends"), status=200, elsewhere=False, of="minimax"
    ),
}

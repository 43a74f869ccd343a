"""MiniMax: Anthropic's shape, its own error numbers, and errors inside a 200 (`base_resp`).

https://platform.minimax.io/docs/api-reference/errorcode, and what was measured beyond it. A number
decides over the HTTP status and the error type, which are not Anthropic's.
"""

import re

import msgspec

from claude_proxy.dialects.compatible import CompatibleDialect, CompatibleStream, CompatibleTraits
from claude_proxy.dialects.dialect import StreamTranslator
from claude_proxy.failures import Failure, FailureKind
from claude_proxy.wire.errors import error_type, read_error
from claude_proxy.wire.headers import Headers
from claude_proxy.wire.messages import ClientRequest
from claude_proxy.wire.sse import SSEEvent, render

MINIMAX_TRAITS = CompatibleTraits(
    parameters=frozenset(
        {
            "max_tokens",
            "messages",
            "metadata",
            "model",
            "stream",
            "system",
            "temperature",
            "thinking",
            "tool_choice",
            "tools",
            "top_p",
        }
    ),
    cache_control=True,
    keeps_thinking=True,
    context_window=204_800,
    lowest_temperature=0.01,  # it documents (0, 1]
)

# number: (kind, status that the client sees)
_CODES: dict[int, tuple[FailureKind, int]] = {
    1000: (FailureKind.OVERLOADED, 529),
    1001: (FailureKind.OVERLOADED, 529),
    1002: (FailureKind.RATE_LIMIT, 429),
    1004: (FailureKind.AUTH, 403),
    1008: (FailureKind.RATE_LIMIT, 402),  # insufficient balance
    1024: (FailureKind.OVERLOADED, 529),
    1028: (FailureKind.RATE_LIMIT, 429),
    1030: (FailureKind.RATE_LIMIT, 429),
    2013: (FailureKind.INVALID_REQUEST, 400),
    2049: (FailureKind.AUTH, 403),
    2056: (FailureKind.RATE_LIMIT, 429),
    2061: (FailureKind.FORBIDDEN, 403),  # the model is not in the plan
}

_NUMBER = re.compile(r"\((\d{4})\)\s*$")


class _BaseResp(msgspec.Struct):
    status_code: int = 0
    status_msg: str | None = None


class _Body(msgspec.Struct):
    base_resp: _BaseResp | None = None


_decode = msgspec.json.Decoder(_Body).decode


def _base_resp(data: bytes) -> _BaseResp | None:
    """The `base_resp` of a body where it reports a failure."""
    if b'"base_resp"' not in data:
        return None
    try:
        found = _decode(data).base_resp
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if found is not None and found.status_code != 0 else None


class MiniMaxDialect(CompatibleDialect):
    """A compatible provider that answers errors by number."""

    def __init__(self, provider: str, traits: CompatibleTraits = MINIMAX_TRAITS) -> None:
        super().__init__(provider, traits)

    def refusal(self, status: int, headers: Headers, body: bytes, request: ClientRequest) -> Failure:
        base = _base_resp(body)
        if base is not None:
            return self._by_number(base.status_code, base.status_msg or "", headers, request)
        _, message = read_error(body) or ("", "")
        number = _NUMBER.search(message)
        if number is not None and int(number[1]) in _CODES:
            return self._by_number(int(number[1]), message, headers, request)
        return super().refusal(status, headers, body, request)

    def disguised(self, data: bytes, headers: Headers, request: ClientRequest) -> Failure | None:
        base = _base_resp(data)
        if base is not None:
            return self._by_number(base.status_code, base.status_msg or "", headers, request)
        found = read_error(data)
        number = _NUMBER.search(found[1]) if found else None
        if found is not None and number is not None and int(number[1]) in _CODES:
            return self._by_number(int(number[1]), found[1], headers, request)
        return super().disguised(data, headers, request)

    def _by_number(self, number: int, message: str, headers: Headers, request: ClientRequest) -> Failure:
        kind, status = _CODES.get(number, (FailureKind.MALFORMED, 502))
        if number == 1002 and not re.search(r"\b(?:rate|limit)", message.lower()):
            # MiniMax's own command line reads 1002 as its content filter: then asking again is in vain.
            kind, status = FailureKind.INVALID_REQUEST, 400
        text = message if _NUMBER.search(message) else f"{message or 'an error without words'} ({number})"
        return self.verdict(kind, status, text, headers, request)

    def stream(self, request: ClientRequest) -> StreamTranslator | None:
        return _MiniMaxStream(self._provider, request.model)


class _MiniMaxStream(CompatibleStream):
    """Also turns a `base_resp` failure amid the stream into the error event that it means."""

    def event(self, event: SSEEvent) -> bytes:
        base = _base_resp(event.data)
        if base is None:
            return super().event(event)
        _, status = _CODES.get(base.status_code, (FailureKind.MALFORMED, 502))
        message = f"{self._provider}: {base.status_msg or 'an error without words'} ({base.status_code})"
        return render("error", {"type": "error", "error": {"type": error_type(status), "message": message}})

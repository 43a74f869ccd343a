"""One exchange with everything that was kept of it, as JSON; bodies keep the bytes in which they came."""

from collections.abc import Collection
from typing import Any

from claude_proxy.ledger.answer import message_of
from claude_proxy.ledger.record import Bodies, ExchangeRecord
from claude_proxy.ledger.store import LedgerReader
from claude_proxy.web.recorded import attempt_shown, request_shown
from claude_proxy.wire.headers import Headers
from claude_proxy.wire.json_parts import Raw, is_json, written

PARTS = ("attempts", "headers", "request", "response", "message")
"""What can be asked for apart: a conversation's bodies may be many megabytes."""


def detail(reader: LedgerReader, record: ExchangeRecord, parts: Collection[str]) -> bytes:
    """The record, its attempts, and of headers and bodies what was kept; null is what was not, or not asked for.

    `body` is JSON, `bodyText` the text of what is none, and of a stream as it was received; the response's `body` is
    then the message that the stream describes.
    """
    shown: dict[str, Any] = request_shown(record)
    bodies = (reader.bodies(record.id) if set(parts) - {"attempts"} else None) or Bodies()
    shown["attempts"] = [attempt_shown(attempt) for attempt in record.attempts] if "attempts" in parts else None
    shown["headers"] = _by_name(bodies.request_headers) if "headers" in parts else None
    shown |= _body(bodies.request if "request" in parts else None)
    response: dict[str, Any] | None = shown["response"]
    if response is not None:
        response["headers"] = _by_name(bodies.answer_headers) if "headers" in parts else None
        streams = record.stream and bodies.answer is not None and not is_json(bodies.answer)
        response |= _body(bodies.answer if "response" in parts else None, is_text=streams)
        if streams and bodies.answer is not None and "message" in parts:
            message = message_of(bodies.answer)
            response["body"] = None if message is None else Raw(message)
    return written(shown)


def _by_name(headers: Headers | None) -> dict[str, list[str]] | None:
    """Each header with all its values, in order."""
    if headers is None:
        return None
    named: dict[str, list[str]] = {}
    for name, value in headers:
        named.setdefault(name, []).append(value)
    return named


def _body(body: bytes | None, *, is_text: bool = False) -> dict[str, Any]:
    if body and not is_text and is_json(body):
        return {"body": Raw(body), "bodyText": None}
    return {"body": None, "bodyText": None if body is None else body.decode("utf-8", "replace")}

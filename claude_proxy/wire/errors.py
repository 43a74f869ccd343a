"""Anthropic's error envelope: types, statuses, and how it is written and read.

https://platform.claude.com/docs/en/api/errors
"""

import json
from collections.abc import Mapping

import msgspec

TYPE_OF_STATUS: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}

STATUS_OF_TYPE: Mapping[str, int] = {kind: status for status, kind in TYPE_OF_STATUS.items()}


def error_type(status: int) -> str:
    """The error type that goes with a status; by its class where the status is not listed."""
    return TYPE_OF_STATUS.get(status) or ("invalid_request_error" if status < 500 else "api_error")


def error_json(kind: str, message: str, request_id: str = "") -> bytes:
    """The body of an error in Anthropic's shape."""
    body: dict[str, object] = {"type": "error", "error": {"type": kind, "message": message}}
    if request_id:
        body["request_id"] = request_id
    return json.dumps(body, ensure_ascii=False).encode()


class _Detail(msgspec.Struct):
    type: str | None = None
    message: str | None = None


class _Envelope(msgspec.Struct):
    type: str | None = None
    error: _Detail | str | None = None
    message: str | None = None


_decode = msgspec.json.Decoder(_Envelope).decode


def read_error(body: bytes) -> tuple[str, str] | None:
    """The type and the message of an error body, or None where it is no error that we can read.

    Both are "" where the body does not say. Providers that answer `{"error": "text"}` are understood too.
    """
    try:
        envelope = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(envelope.error, _Detail):
        return envelope.error.type or "", envelope.error.message or ""
    if isinstance(envelope.error, str):
        return "", envelope.error
    if envelope.type == "error":
        return "", envelope.message or ""
    return None

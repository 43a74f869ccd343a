"""A failure as the client may see it: always Anthropic's shape, never a byte of the request."""

import math

from aiohttp.web_response import Response
from multidict import CIMultiDict

from claude_proxy import __version__
from claude_proxy.exchange import Exchange, new_id
from claude_proxy.failures import Failure, FailureKind
from claude_proxy.wire.errors import error_json, error_type
from claude_proxy.wire.headers import Headers
from claude_proxy.wire.sse import render

SERVER = f"claude-proxy/{__version__}"
_JSON = ("Content-Type", "application/json")

# What the client need not try again at once: the cause is here and stays until the user mends it.
_LASTING = {FailureKind.NO_CREDENTIAL, FailureKind.AUTH, FailureKind.UNSUPPORTED}


class Refused(Exception):
    """A request that this proxy refuses itself. `kind` is one word for `x-claude-proxy-error`."""

    def __init__(self, status: int, kind: str, message: str, *, headers: Headers = (), close: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.headers = headers
        self.close = close


def refusal(refused: Refused) -> Response:
    """The answer to a refused request."""
    request_id = new_id()
    headers = CIMultiDict(
        (
            _JSON,
            ("Server", SERVER),
            ("Cache-Control", "no-store"),
            ("x-should-retry", "false"),
            ("x-claude-proxy-error", refused.kind),
            ("x-claude-proxy-attempts", "0"),
            ("x-claude-proxy-request-id", request_id),
        )
    )
    headers.update(refused.headers)
    body = error_json(error_type(refused.status), str(refused), request_id)
    response = Response(status=refused.status, headers=headers, body=body)
    if refused.close:
        response.force_close()
    return response


def failed(failure: Failure, exchange: Exchange) -> Response:
    """The answer where no target gave a good one: the upstream's own words where there are some."""
    answered = who_answered(exchange, failure.upstream)
    if failure.said is not None:
        said = failure.said
        passed_on = CIMultiDict((*said.headers, *answered))
        passed_on.setdefault("Server", SERVER)
        return Response(status=said.status, headers=passed_on, body=said.body)
    headers = [_JSON, ("Server", SERVER), ("x-claude-proxy-error", failure.kind.value), *answered]
    if failure.kind in _LASTING:
        headers.append(("x-should-retry", "false"))
    elif failure.retry_after is not None:
        # Claude Code gives up at once on a long one; how long an upstream is left alone is our affair.
        seconds = min(failure.retry_after, 5.0) if failure.kind is FailureKind.UNAVAILABLE else failure.retry_after
        headers.append(("retry-after", str(math.ceil(seconds))))
    body = error_json(failure.error_type or error_type(failure.client_status), failure.message, exchange.id)
    return Response(status=failure.client_status, headers=CIMultiDict(headers), body=body)


def broken_stream(failure: Failure, exchange: Exchange) -> bytes:
    """The one event that ends a stream which broke after its first byte had gone out."""
    message = f"{exchange.upstream}: {failure.message} (claude-proxy {exchange.id})"
    return render(
        "error",
        {"type": "error", "error": {"type": "api_error", "message": message}, "request_id": exchange.id},
    )


def who_answered(exchange: Exchange, upstream: str) -> Headers:
    """Our own headers: who answered, after how many attempts, under which id it is logged."""
    return (
        *((("x-claude-proxy-upstream", upstream),) if upstream else ()),
        ("x-claude-proxy-attempts", str(len(exchange.attempts))),
        ("x-claude-proxy-request-id", exchange.id),
    )

"""Exchanges as the forwarder closes them."""

from typing import Any

from claude_proxy.exchange import Attempt, End, Exchange
from claude_proxy.failures import Failure, FailureKind
from claude_proxy.wire.messages import ClientRequest
from claude_proxy.wire.usage import Usage
from tests.client_requests import message_request

REFUSED = Failure(FailureKind.CONNECT, "claude could not be reached: refused", "claude")


def attempt(upstream: str = "claude", *, failure: Failure | None = None, status: int | None = 200) -> Attempt:
    return Attempt(upstream, "claude-sonnet-4-5", 100.0, "client", 100.2, status, failure, on_plan=True)


def exchange(request: ClientRequest | None = None, **fields: Any) -> Exchange:
    """An exchange that began at 100 s, had its first byte after 250 ms and its end after 1.5 s."""
    values: dict[str, Any] = {
        "id": "req_cp_1",
        "accepted": 1_800_000_000.0,
        "started": 100.0,
        "first_byte": 100.25,
        "ended": 101.5,
        "attempts": [attempt()],
        "route": "everything",
        "upstream": "claude",
        "status": 200,
        "usage": Usage(10, 7, 3, 5),
        "end": End.COMPLETE,
        **fields,
    }
    return Exchange(request or message_request(), **values)

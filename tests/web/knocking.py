"""One raw request at the door of a daemon within this process, and the answer to it."""

from collections.abc import Sequence

import pytest

from tests.in_process import InProcess
from tests.raw_client import Answer, connected, request, take_answer

Headers = Sequence[tuple[str, str]]

JSON = ("Content-Type", "application/json")
_ENDLESS = b"\r\nretry: "  # with which our own events begin
BODY = b'{"model":"claude-sonnet-4-5","max_tokens":8,"messages":[]}'


async def knock(
    daemon: InProcess, method: str, target: str, headers: Headers = (), body: bytes | None = None, host: str = ""
) -> Answer:
    """The answer to this request, on a connection of its own."""
    whole = request(method, target, host=host or f"127.0.0.1:{daemon.port}", headers=headers, body=body)
    return await send(daemon, whole)


async def send(daemon: InProcess, *pieces: bytes) -> Answer:
    """The answer to these bytes; of events without end only the head."""
    async with connected(daemon.port) as client:
        for piece in pieces:
            await client.send(piece)
        await client.read_until(lambda c: bool(c.outcome().answers) or _ENDLESS in c.raw)
        if _ENDLESS in client.raw:
            taken = take_answer(bytes(client.raw), ended=False, to_head=True)
            return taken[0] if taken else pytest.fail("half a head")
        answer = await client.answer()
    assert answer is not None
    return answer


def told(answer: Answer) -> str:
    """The message of an error of the daemon's own."""
    error = answer.json()
    assert error["type"] == "error"
    assert answer.header("x-claude-proxy-error")
    assert error["request_id"] == answer.header("x-claude-proxy-request-id")
    message: str = error["error"]["message"]
    return message

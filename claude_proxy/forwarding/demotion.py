"""A whole message from an upstream that was asked for a stream: put together before the client sees a byte.

So a long answer is given up for its silence and not for its length, and one that breaks off can still be had
elsewhere. Not from the same upstream: after `message_start` it bills.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from claude_proxy.dialects.dialect import Dialect
from claude_proxy.failures import AttemptFailed, Failure, FailureKind
from claude_proxy.upstreams.transport import Answer, BrokenOff
from claude_proxy.wire.assemble import Assembly, Unreadable
from claude_proxy.wire.messages import ClientRequest
from claude_proxy.wire.sse import EventCutter, EventTooLong
from claude_proxy.wire.usage import Usage, UsageReader

_PATIENCE = 0.1  # seconds for the end of a body whose message is whole: a connection read to its end is kept


class Demotion:
    """One message while it is put together. `on_begin` is called when `message_start` has come, with the usage,
    which goes on being written."""

    def __init__(self, on_begin: Callable[[Usage], None]) -> None:
        self.usage = UsageReader()
        self._on_begin = on_begin
        self._assembly = Assembly()

    async def message(self, answer: Answer, dialect: Dialect, request: ClientRequest, limit: int) -> bytes:
        """The message that a stream describes, of at most `limit` bytes, about.

        Raises AttemptFailed where it describes none, and BrokenOff.
        """
        assembly, cutter, source = self._assembly, EventCutter(), answer.chunks()
        try:
            async for chunk in source:
                self._feed(cutter.feed(chunk))
                if assembly.error is not None:
                    raise AttemptFailed(_said(assembly.error, answer, dialect, request))
                if assembly.complete:
                    await _read_out(source)
                    return assembly.message()
                if assembly.size > limit:
                    raise _malformed(f"the stream describes a message of more than {limit} bytes")
        except (Unreadable, EventTooLong) as what:
            raise _malformed(f"the stream has {what}") from None
        raise _malformed("the stream ended without message_stop")

    def _feed(self, block: bytes) -> None:
        begun = self._assembly.started
        self.usage.feed(block)
        try:
            self._assembly.feed(block)
        finally:
            if self._assembly.started and not begun:
                self._on_begin(self.usage.usage)


def _said(error: bytes, answer: Answer, dialect: Dialect, request: ClientRequest) -> Failure:
    """The upstream's own error event, as its JSON would have come without streaming."""
    hidden = dialect.disguised(error, answer.headers, request)
    return hidden or _malformed("the stream has an error event that cannot be read").failure


async def _read_out(source: AsyncIterator[bytes]) -> None:
    with contextlib.suppress(TimeoutError, BrokenOff):
        async with asyncio.timeout(_PATIENCE):
            async for _ in source:
                pass


def _malformed(message: str) -> AttemptFailed:
    return AttemptFailed(Failure(FailureKind.MALFORMED, message))

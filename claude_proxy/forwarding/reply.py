"""An answer on its way to the client, read as it passes."""

from collections.abc import Awaitable, Callable

from claude_proxy.dialects.dialect import StreamTranslator
from claude_proxy.failures import Failure, FailureKind, StreamBroken
from claude_proxy.logline import REDACTED
from claude_proxy.upstreams.transport import Answer, BrokenOff
from claude_proxy.wire.errors import STATUS_OF_TYPE, read_error
from claude_proxy.wire.headers import Headers
from claude_proxy.wire.sse import EventCutter, EventTooLong
from claude_proxy.wire.usage import UsageReader

Write = Callable[[bytes], bool]
"""Hands a block to the client's connection; False where no more should come before a rest."""

Rest = Callable[[], Awaitable[None]]
"""Waits until the client has read what it was given."""


class Reply:
    """What the client gets: status, headers, and a body that is whole or comes in chunks.

    `body` is None where the answer streams; then `opening` and `pour` give it, and `is_events` says that it consists of
    server-sent events, so that a break can be told to the client by one more of them. `on_break` is told of the
    failure where the body breaks off.
    """

    def __init__(
        self,
        status: int,
        headers: Headers,
        body: bytes | None,
        usage: UsageReader,
        answer: Answer | None = None,
        on_break: Callable[[Failure], None] | None = None,
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.usage = usage
        self.is_events = False
        self._answer = answer
        self._on_break = on_break
        self._release: Callable[[], None] | None = None

    def hold(self, release: Callable[[], None]) -> None:
        """Takes over a place at the upstream, given back when the reply is closed."""
        self._release = release

    @property
    def opening(self) -> bytes:
        """What there is of the body already, where the answer streams."""
        return b""

    async def pour(self, write: Write, rest: Rest) -> None:
        """Writes the rest of the body, each piece in the moment in which it comes, untouched. Raises StreamBroken."""
        assert self._answer is not None
        try:
            while await self._answer.pour(write):
                await rest()
        except BrokenOff as broken:
            failure = Failure(FailureKind.BROKEN_STREAM, f"the answer broke off: {broken}")
            if self._on_break is not None:
                self._on_break(failure)
            raise StreamBroken(failure) from None

    def close(self) -> None:
        """Releases the upstream's connection and place; closes the one where the answer was not read to its end."""
        if self._answer is not None:
            self._answer.close()
        if self._release is not None:
            self._release()


class EventReply(Reply):
    """A stream of events, forwarded whole, each as soon as it is complete; nothing is added and nothing held."""

    def __init__(
        self,
        status: int,
        headers: Headers,
        usage: UsageReader,
        answer: Answer,
        first: bytes,
        cutter: EventCutter,
        translator: StreamTranslator | None,
        on_end: Callable[[Failure | None], None],
    ) -> None:
        super().__init__(status, headers, None, usage, answer)
        self.is_events = True
        self._first = first
        self._cutter = cutter
        self._translator = translator
        self._on_end = on_end
        usage.feed(first)

    @property
    def opening(self) -> bytes:
        return self._first

    async def pour(self, write: Write, rest: Rest) -> None:
        usage, cutter, translator = self.usage, self._cutter, self._translator

        def take(piece: bytes) -> bool:
            block = cutter.feed(piece)
            if not block:
                return True
            if translator is not None:
                block = translator.feed(block)
            usage.feed(block)
            return write(block)

        assert self._answer is not None
        try:
            while await self._answer.pour(take):
                await rest()
        except (BrokenOff, EventTooLong) as broken:
            self._ended(f"the answer broke off: {broken}")
            return
        self._ended("the answer ended without message_stop")
        if translator is None and (torn := cutter.rest()):
            write(torn)  # a stranger's torn event was neither translated nor looked through

    def _ended(self, how: str) -> None:
        """Takes note of the end. Raises StreamBroken where the client has not been told of a failure yet."""
        if self.usage.stopped:
            self._on_end(None)  # all was said, even where the connection did not end well
        elif self.usage.error is not None:
            kind, _ = read_error(self.usage.error) or ("", "")
            named = f" ({kind})" if kind in STATUS_OF_TYPE else ""  # its own words might repeat a secret
            how = f"the upstream ended its stream with an error event{named}"
            self._on_end(Failure(FailureKind.BROKEN_STREAM, how))
        else:
            failure = Failure(FailureKind.BROKEN_STREAM, how)
            self._on_end(failure)
            raise StreamBroken(failure)


class Withholding:
    """A stranger's stream, translated, without the key that it was called with."""

    def __init__(self, translator: StreamTranslator, secret: bytes) -> None:
        self._translator = translator
        self._secret = secret

    def feed(self, block: bytes) -> bytes:
        translated = self._translator.feed(block)
        if self._secret and self._secret in translated:
            translated = translated.replace(self._secret, REDACTED.encode())
        return translated

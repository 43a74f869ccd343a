"""Server-sent events: bytes in, whole events out, the bytes kept.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
An event ends at two line ends in a row, each CRLF, LF or CR; a single CRLF is one line end, not two.
"""

import json
import re
from collections.abc import Iterator

import msgspec

_BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"

MAX_EVENT = 8 << 20
"""The longest event that is waited for, in bytes."""


class EventTooLong(ValueError):
    """An event exceeded `MAX_EVENT` bytes without an end."""


class SSEEvent(msgspec.Struct, frozen=True):
    """One event: its name, its data lines joined by LF, and its exact bytes with the blank line that ends it."""

    name: str
    data: bytes
    raw: bytes

    def __repr__(self) -> str:
        return f"SSEEvent({self.name})"

    @property
    def is_comment(self) -> bool:
        """Whether it dispatches nothing: only comments, ids or retry times."""
        return not self.data and not self.name


class EventCutter:
    """Cuts a byte stream at the ends of events, so that only whole events go on.

    What `feed` returns, put together with `rest` at the end, is what was fed, byte for byte.
    """

    __slots__ = ("_after_cr", "_held", "_length")

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._length = 0
        self._after_cr = False

    @property
    def pending(self) -> int:
        """How many bytes of an unfinished event are held."""
        return self._length

    def feed(self, chunk: bytes) -> bytes:
        """All events that this chunk completes; b"" where it completes none.

        Raises EventTooLong.
        """
        if not chunk:
            return b""
        if not self._held and chunk.endswith(b"\n\n") and not self._after_cr:
            return chunk  # the ordinary case: whole events, not copied
        early = b""
        if self._after_cr:
            # The event before ended in CR and was let go; an LF now is the second half of that line end.
            self._after_cr = False
            if chunk.startswith(b"\n"):
                early, chunk = b"\n", chunk[1:]
        tail = self._held[-1][-1:] if self._held else b""
        cut = _last_event_end(tail + chunk) - len(tail)
        if cut <= 0:
            if chunk:
                self._held.append(chunk)
                self._length += len(chunk)
                if self._length > MAX_EVENT:
                    raise EventTooLong(f"an event of more than {MAX_EVENT} bytes")
            return early
        whole = b"".join((early, *self._held, chunk[:cut]))
        self._held = [chunk[cut:]] if cut < len(chunk) else []
        self._length = len(chunk) - cut
        self._after_cr = cut == len(chunk) and whole.endswith(b"\r")
        return whole

    def rest(self) -> bytes:
        """What was fed and belongs to no whole event, once the stream has ended."""
        return b"".join(self._held)


def _last_event_end(data: bytes) -> int:
    """The offset behind the last event end in the data, or 0."""
    end = data.rfind(b"\n\n") + 2 if b"\n\n" in data else 0
    if b"\r" in data:
        for pair in (b"\r\r", b"\n\r"):
            at = data.rfind(pair)
            if at >= 0:
                # A line feed behind the CR is part of the same line end.
                behind = at + 3 if data[at + 2 : at + 3] == b"\n" else at + 2
                end = max(end, behind)
    return end


def events(block: bytes) -> Iterator[SSEEvent]:
    """The events of a block of whole events, in order; joined, their `raw` is the block.

    Bytes behind the last event end come as one last event.
    """
    at = 0
    for found in _BLANK_LINE.finditer(block):
        yield _parse(block[at : found.end()])
        at = found.end()
    if at < len(block):
        yield _parse(block[at:])


def _parse(raw: bytes) -> SSEEvent:
    name = b""
    data: list[bytes] = []
    for line in _LINE_END.split(raw.removeprefix(_BOM)):
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    return SSEEvent(name.decode("utf-8", "replace"), b"\n".join(data), raw)


def render(name: str, data: object) -> bytes:
    """An event as Anthropic writes it: name, one line of JSON, a blank line."""
    text = data if isinstance(data, bytes) else json.dumps(data, ensure_ascii=False).encode()
    return b"event: %s\ndata: %s\n\n" % (name.encode(), text.replace(b"\n", b"\ndata: "))

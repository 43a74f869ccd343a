"""The message that an answer was, derived from the bytes in which the client got it."""

from claude_proxy.wire.assemble import Assembly, Unreadable
from claude_proxy.wire.sse import EventCutter


def message_of(answer: bytes) -> bytes | None:
    """The message that a stream's events describe, as far as they came, as JSON. None where they describe none, such as
    a tool's input that was cut off in the middle."""
    assembly = Assembly()
    try:
        assembly.feed(EventCutter().feed(answer))
        return assembly.message() if assembly.started else None
    except (Unreadable, ValueError):
        return None

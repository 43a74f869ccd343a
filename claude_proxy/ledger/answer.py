"""The message that an answer was, derived from the bytes in which the client got it."""

from claude_proxy.wire.assemble import Assembly, Unreadable
from claude_proxy.wire.json_parts import is_json
from claude_proxy.wire.sse import EventCutter


def message_of(answer: bytes) -> bytes | None:
    """The message as JSON: what a stream's events describe, as far as they came, or the body itself where it is an
    object. None where they describe none, such as a tool's input that was cut off in the middle, or where the object
    was."""
    if answer.lstrip()[:1] == b"{":
        return answer if is_json(answer) else None
    assembly = Assembly()
    try:
        assembly.feed(EventCutter().feed(answer))
        return assembly.message() if assembly.started else None
    except (Unreadable, ValueError):
        return None

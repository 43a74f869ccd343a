"""Who signed a block of thinking: providers refuse what another has signed.

While another provider stands in for Claude, the client stores its thinking and sends it back on the next turn.
So its signatures carry a mark on the way to the client; on the way up the mark tells whose they are: back to
the provider without it, and dropped before they reach anybody else. Anthropic's own signatures are base64 and
never begin like the mark.
"""

from typing import Any

from claude_proxy.wire import json_parts
from claude_proxy.wire.members import Members
from claude_proxy.wire.messages import ClientRequest

_MARK = "claude-proxy:"
_MARK_BYTES = b'"claude-proxy:'


# Where each kind of block, and the delta that signs one, carries what its provider must recognise.
_SIGNED_IN = {"thinking": "signature", "signature_delta": "signature", "redacted_thinking": "data"}


def marked_by(provider: str, block: dict[str, Any] | None) -> dict[str, Any] | None:
    """A block of thinking, or the delta that signs one, as the client shall store it; None for anything else."""
    field = None if block is None else _SIGNED_IN.get(json_parts.text(block.get("type")) or "")
    if block is None or field is None:
        return None
    return {**block, field: f"{_MARK}{provider}:{json_parts.text(block.get(field)) or ''}"}


def unmarked_for(provider: str, block: dict[str, Any]) -> dict[str, Any] | None:
    """A block of thinking as its own provider signed it, or None where it is somebody else's."""
    field = _SIGNED_IN[json_parts.text(block.get("type")) or ""]
    signature, prefix = json_parts.text(block.get(field)), f"{_MARK}{provider}:"
    if signature is None or not signature.startswith(prefix):
        return None
    return {**block, field: signature.removeprefix(prefix)}


def drop_foreign_thinking(request: ClientRequest) -> Members | None:
    """The request's members without marked thinking, or None where there is none and nothing need change.

    What stays keeps its bytes. A turn of nothing but such thinking goes whole: an empty one would be refused.
    """
    assert request.members is not None
    if not request.members.mentions(_MARK_BYTES):
        return None  # nearly always: no copy of the messages is made for it
    messages = request.members.raw("messages")
    turns = json_parts.listed(messages)
    if messages is None or turns is None:
        return None
    empty: set[int] = set()
    changed = False
    for index, turn in reversed(list(enumerate(turns))):
        message = json_parts.opened(turn)
        content = message.get("content") if message is not None else None
        blocks = json_parts.listed(content)
        if blocks is None:
            continue
        marked = {place for place, block in enumerate(blocks) if _is_marked(block)}
        if marked and len(marked) == len(blocks):
            empty.add(index)
        elif marked and content is not None:
            changed = True
            old, shorter = Members(bytes(turn)), json_parts.items_dropped(bytes(content), marked)
            messages = json_parts.item_replaced(messages, index, old.replace_raw("content", shorter))
    if not (changed or empty):
        return None  # the words only stand in somebody's text
    return Members(request.members.replace_raw("messages", json_parts.items_dropped(messages, empty)))


def _is_marked(part: Any) -> bool:
    block = json_parts.opened(part)
    field = None if block is None else _SIGNED_IN.get(json_parts.text(block.get("type")) or "")
    return block is not None and field is not None and (json_parts.text(block.get(field)) or "").startswith(_MARK)

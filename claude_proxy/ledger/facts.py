"""What a request says of its conversation: which one, how it began, and in which directory Claude Code works.

Read in the writer's thread, never on the way of the request. Seen with Claude Code 2.1.197: its system prompt has a
line `Primary working directory: /…`, a subagent's `Working directory: /…`; a title's has none. What the client adds
to a message of the user stands in blocks of their own, which begin with `<system-reminder>`.
"""

import hashlib
import json
import re

import msgspec

from claude_proxy.wire.messages import Background, ClientRequest
from claude_proxy.wire.repeated import Place

LONGEST_MESSAGE = 200
"""Characters that are kept of a conversation's first message."""

_LONGEST_PATH = 1024
_INDENTED = 100  # bytes, at most, that lead up to those words in their line
# In the JSON text of the prompt, where a line ends with \n and a quotation mark is escaped.
_DIRECTORY = re.compile(rb'(?:\\n|")[ \t-]*(?:Primary w|W)orking directory: ((?:[^"\\]|\\[^n])+)')
_REMINDER = "<system-reminder>"
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Message(msgspec.Struct):
    role: msgspec.Raw = msgspec.Raw()
    content: msgspec.Raw = msgspec.Raw()


class _Block(msgspec.Struct):
    type: msgspec.Raw = msgspec.Raw()
    text: msgspec.Raw = msgspec.Raw()


_decode_message = msgspec.json.Decoder(_Message).decode
_decode_blocks = msgspec.json.Decoder(list[_Block]).decode
_decode_text = msgspec.json.Decoder(str).decode


class Facts(msgspec.Struct, frozen=True):
    """None where the request does not say."""

    session: str | None = None
    conversation: str | None = None
    message_count: int | None = None
    first_message: str | None = None
    project: str | None = None
    background: Background | None = None


def read_facts(request: ClientRequest) -> Facts:
    """The facts of a request with a Messages body; of any other there are none."""
    members = request.members
    session = few_facts(request).session
    if members is None:
        return Facts(session, session)
    system = members.raw("system") or b""
    background = request.background
    messages = members.message_places()
    says = request.is_messages and background is None and request.agent_id is None
    opening = _first_words(members.text, messages) if says else None
    conversation = session
    if conversation is None and messages and request.is_messages:
        # Other clients name no session: how it begins is the same with each turn.
        begins = hashlib.blake2b(system + b"\0" + members.text[slice(*messages[0])], digest_size=12)
        conversation = f"hash_{begins.hexdigest()}"
    return Facts(session, conversation, len(messages), opening, _directory(system), background)


def few_facts(request: ClientRequest) -> Facts:
    """Those for which the conversation itself need not be looked at: of a request that is too large for that."""
    session = request.session_id or _session_of_user(request.user_id)
    return Facts(session, session)


def _session_of_user(user_id: str | None) -> str | None:
    """Claude Code's `metadata.user_id` is JSON that names the session too."""
    if not user_id or not user_id.startswith("{"):
        return None
    try:
        found = json.loads(user_id).get("session_id")
    except (ValueError, AttributeError, RecursionError):
        return None
    return found if isinstance(found, str) and 0 < len(found) <= 100 else None


def _directory(system: bytes) -> str | None:
    # A plain search is many times faster than the pattern's, and most prompts without it are long.
    at = system.find(b"orking directory: ")
    found = _DIRECTORY.search(system, max(0, at - _INDENTED)) if at >= 0 else None
    if found is None:
        return None
    try:
        path = json.loads(b'"%b"' % found[1])
    except ValueError:
        return None
    path = path.strip()
    absolute = path.startswith(("/", "~")) or re.match(r"[A-Za-z]:\\", path)
    return path if absolute and len(path) <= _LONGEST_PATH and path.isprintable() else None


def _first_words(body: bytes, messages: list[Place]) -> str | None:
    """What the user said first, in one line; not what the client has added."""
    for start, end in messages:
        try:
            opened = _decode_message(body[start:end])
            if bytes(memoryview(opened.role)) != b'"user"':
                continue
            content = bytes(memoryview(opened.content))
            texts = [content] if content[:1] == b'"' else map(_text_of, _decode_blocks(content))
            for said in map(_decode_text, filter(None, texts)):
                if not said.lstrip().startswith(_REMINDER):
                    return " ".join(said[: LONGEST_MESSAGE * 4].split())[:LONGEST_MESSAGE] or None
        except _UNREADABLE:
            continue
    return None


def _text_of(block: _Block) -> bytes | None:
    return bytes(memoryview(block.text)) if bytes(memoryview(block.type)) == b'"text"' else None

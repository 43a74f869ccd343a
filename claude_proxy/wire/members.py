"""The members of a body: its top-level object, opened one level deep.

It is read once and shallowly: the members with their values as raw bytes. It is never validated beyond that: the API
adds fields faster than any model of it could follow.
"""

import codecs
import json
import re
from bisect import bisect_left
from operator import itemgetter
from typing import Any

import msgspec

from claude_proxy.wire.json_parts import items
from claude_proxy.wire.repeated import WORTH, Place, new_part, places_in_whole, repeated, shortened

_PIECE = 64 << 10  # bytes
_MOST_MEMBERS = 100  # of a body beside which another is read; Claude Code's have about ten
_MOST_MESSAGES = 10_000  # that are remembered, or looked for on the event loop: a thousand take a millisecond


class BadBody(ValueError):
    """A body that is no Messages request: not JSON, no object, or one that two readers would read differently."""


class _Key:
    """A member's name; compared by identity, so that a twin is kept and not overwritten."""

    __slots__ = ("name",)

    def __init__(self, _: type, name: str) -> None:
        """As the decoder calls for it, with the type that it wants."""
        self.name = name


_decode_members = msgspec.json.Decoder(dict[_Key, msgspec.Raw], dec_hook=_Key).decode
_decode_value = msgspec.json.decode
_END = itemgetter(1)  # of a place
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Tools(msgspec.Struct):
    """What is known of a body's tools, and of those of all that repeat them."""

    of_servers: tuple[str, ...] | None = None
    """The types of those that only Anthropic's servers can run; None where nobody has asked."""


class Members:
    """The top-level members of a JSON object, in order, their values as raw bytes."""

    __slots__ = (
        "_absent_before",
        "_new",
        "_places",
        "_values",
        "absent",
        "has_many",
        "known_messages",
        "text",
        "tools",
    )

    def __init__(
        self, text: bytes, known: dict[str, msgspec.Raw] | None = None, earlier: "Members | None" = None
    ) -> None:
        """Raises BadBody where the text is not one JSON object with distinct names, in valid UTF-8.

        With its `known` members, in their order, it is not read again; of what it has in common with an `earlier`
        text, no more than has to be.
        """
        self.text = text
        self.known_messages: list[Place] = []
        """Where the first of the messages stand, as far as somebody has asked."""
        self.has_many = False
        """Whether too many of them are new to be looked for, or there are none; so it is with what follows, then."""
        self.tools = Tools()
        self.absent: frozenset[bytes] = frozenset()
        """What was looked for and is not in the text."""
        self._places: dict[str, Place] | None = None
        self._new: Place = (0, len(text))
        self._absent_before: frozenset[bytes] = frozenset()  # from all that is not new
        if known is not None:
            self._values = known
            return
        if earlier is not None and self._read_beside(earlier):
            return
        try:
            if not text.isascii():
                _look_at_encoding(text)  # msgspec skips over values without
            members = _decode_members(text)
        except _UNREADABLE as error:
            raise BadBody(_reason(error)) from None
        self._values = {key.name: value for key, value in members.items()}
        if len(self._values) != len(members):
            raise BadBody("a name stands twice in the top-level object: two readers would disagree about it")

    def _read_beside(self, earlier: "Members") -> bool:
        """Reads what is new in the text. False where it has to be read as a whole, be it for the fault in it."""
        if len(earlier._values) > _MOST_MEMBERS:  # noqa: SLF001
            return False  # to find where each of a hundred thousand stands takes longer than to read them
        text = self.text
        new = new_part(text, earlier.text)
        first_messages = earlier._first_messages(new[0])  # noqa: SLF001
        self.has_many = earlier.has_many
        holes = repeated(new, len(text) - len(earlier.text), earlier.places.values(), first_messages)
        if not holes:
            return False
        try:
            _look_at_encoding(text[slice(*new)])
            shorter = shortened(text, holes)
            members = _decode_members(shorter)
        except _UNREADABLE:
            return False
        self._values = {key.name: value for key, value in members.items()}
        if len(self._values) != len(members):
            return False
        found = places_in_whole(_places(shorter, self._values), holes, first_messages)
        if found is None:
            return False
        for name, (start, end) in found.items():
            if len(memoryview(self._values[name])) != end - start:
                self._values[name] = msgspec.Raw(memoryview(text)[start:end])
        self._places, self._new, self._absent_before = found, new, earlier.absent
        known = earlier.known_messages
        self.known_messages = known[: bisect_left(known, new[0], key=_END)]
        if found.get("tools") in holes:
            self.tools = earlier.tools
        return True

    @property
    def places(self) -> dict[str, Place]:
        """Where the values stand in the text, in order."""
        if self._places is None:
            self._places = _places(self.text, self._values)
        return self._places

    def message_places(self, most: int | None = None) -> list[Place]:
        """Where the messages stand, in order; empty where they are no list. Those that an earlier body had are not
        looked for again. Where more than `most` are new, only those are given that are known already."""
        start, end = self.places.get("messages", (0, 0))
        if self.text[start : start + 1] != b"[":
            return []
        known = self.known_messages
        at = known[-1][1] if known else start
        found = [*known, *items(self.text, at, end, within=at > start, most=most)]
        if len(found) <= _MOST_MESSAGES:
            self.known_messages = found
        return found

    def _first_messages(self, until: int) -> Place | None:
        """Where the messages stand together that end before that place and are not all; None where these are few."""
        start, end = self.places.get("messages", (0, 0))
        if self.has_many or not start + WORTH < until <= end:
            return None
        found = self.message_places(_MOST_MESSAGES)
        self.has_many = not found or self.text[found[-1][1] : end].strip() != b"]"
        count = bisect_left(found, until, key=_END)
        return (start + 1, found[count - 1][1]) if count and found[count - 1][1] - start > WORTH else None

    def mentions(self, words: bytes) -> bool:
        """Whether these bytes stand in the text."""
        if words in self.absent:
            return False
        start, end = self._new if words in self._absent_before else (0, len(self.text))
        around = len(words) - 1
        if self.text.find(words, max(0, start - around), end + around) >= 0:
            return True
        self.absent |= {words}
        return False

    def get(self, name: str) -> Any:
        """The decoded value of a member; None where it is absent, or holds what no number or text here can hold."""
        raw = self._values.get(name)
        try:
            return None if raw is None else _decode_value(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
            return None

    def raw(self, name: str) -> bytes | None:
        """A member's value as it was written, or None."""
        value = self._values.get(name)
        return None if value is None else bytes(memoryview(value))

    @property
    def values(self) -> list[msgspec.Raw]:
        """Those of all members, in order."""
        return [*self._values.values()]

    def replace(self, name: str, value: object) -> bytes:
        """The text with one member's value replaced; not another byte changes. The member must be there."""
        return self.replace_raw(name, json.dumps(value).encode())

    def replace_raw(self, name: str, value: bytes) -> bytes:
        """As `replace`, with a value that is JSON text already."""
        start, end = self.places[name]
        return b"".join((self.text[:start], value, self.text[end:]))

    def with_value(self, name: str, value: bytes) -> "Members":
        """Members in which this one has this value, as JSON text; where it is absent it is put before the others.
        Not another byte changes, and nothing is read again."""
        new = msgspec.Raw(value)
        if name in self._values:
            return Members(self.replace_raw(name, value), self._values | {name: new})
        at = self.text.index(b"{") + 1
        added = json.dumps(name).encode() + b":" + value + (b"," if self._values else b"")
        return Members(b"".join((self.text[:at], added, self.text[at:])), {name: new} | self._values)


def _places(text: bytes, values: dict[str, msgspec.Raw]) -> dict[str, Place]:
    """Where in a text that was decoded its values stand."""
    places: dict[str, Place] = {}
    at = text.index(b"{") + 1
    for name, raw in values.items():
        colon = _MEMBER.match(text, at)
        assert colon is not None, "the walk follows what the decoder has accepted"
        at = colon.end() + len(memoryview(raw))
        places[name] = (colon.end(), at)
    return places


def _look_at_encoding(text: bytes) -> None:
    """Raises UnicodeDecodeError where the text is not UTF-8.

    Piece by piece: a megabyte decoded at once takes two from the system and gives them back, which costs more than
    the look.
    """
    view, at = memoryview(text), 0
    while at < len(text):
        _, looked_at = codecs.utf_8_decode(view[at : at + _PIECE], "strict", at + _PIECE >= len(text))
        at += looked_at


# White space and the comma behind the value before, the name, the colon: up to where the value begins.
_MEMBER = re.compile(rb'[ \t\r\n,]*"(?:[^"\\]|\\.)*"[ \t\r\n]*:[ \t\r\n]*', re.DOTALL)


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "the body is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "the body is not valid UTF-8"
    # msgspec's messages name the fault and the byte, never the content.
    return f"the body is not a JSON object: {error}"

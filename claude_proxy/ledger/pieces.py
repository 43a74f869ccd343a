"""A request's body cut where conversations repeat themselves, so that each block is stored once.

A body of the Messages API is system blocks, tools and the content blocks of messages, with little between them, and
a conversation sends all of them again with each turn. A cut names places in the body and changes nothing: the
pieces and what lies between them give back every byte, whatever the body is. What is no such body is one piece.

For the same reason a body is cut with the help of the one before in its conversation: in a list that begins with the
same bytes the same pieces lie at the same places, and only what is new is looked into.
"""

import hashlib
import re
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from claude_proxy.wire.messages import Members

SHORTEST = 64
"""Bytes; what is shorter costs less where it stands than in a row of its own."""

_GAP = re.compile(rb"[ \t\r\n]*,?[ \t\r\n]*")
_MEMBER = re.compile(rb'[ \t\r\n,]*("(?:[^"\\]|\\.)*")[ \t\r\n]*:[ \t\r\n]*', re.DOTALL)
_CACHE_CONTROL = b'"cache_control"'
_BEHIND_AN_ITEM = b",] \t\r\n"
_LISTS = {b'"system"', b'"tools"', b'"messages"'}
_REMEMBERED = 4 << 20  # bytes of bodies, each the last of its conversation


class _Key:
    """A member's name; compared by identity, so that a twin is kept and not overwritten."""

    __slots__ = ()

    def __init__(self, name: str) -> None: ...


_decode_members = msgspec.json.Decoder(dict[_Key, msgspec.Raw], dec_hook=lambda _, name: _Key(name)).decode
_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Piece(NamedTuple):
    """A block of the body, from `start` to `end`, without what lies in its hole, if it has one.

    The hole is where a block says that the cache ends with it: Claude Code moves that mark on with each turn, and
    the block is the same with and without it.
    """

    start: int
    end: int
    hole: tuple[int, int] | None = None

    def of(self, body: bytes) -> bytes:
        if self.hole is None:
            return body[self.start : self.end]
        return b"".join((body[self.start : self.hole[0]], body[self.hole[1] : self.end]))

    def moved(self, by: int) -> "Piece":
        hole = self.hole and (self.hole[0] + by, self.hole[1] + by)
        return Piece(self.start + by, self.end + by, hole)


class _List(NamedTuple):
    """A list of the body that was walked: where it begins, where each of its items ends, the number of the body's
    pieces before it, and with each item."""

    start: int
    ends: list[int]
    before: int
    counts: list[int]


class Cut:
    """A body in pieces, in order, and the hash of each. `earlier` is the cut of a body that may have much in common
    with it, `members` are those of the body, where they are known; `breathe` is called between pieces."""

    def __init__(
        self,
        body: bytes,
        earlier: "Cut | None" = None,
        members: Members | None = None,
        breathe: Callable[[], object] = lambda: None,
    ) -> None:
        self.body = body
        self.pieces: list[Piece] = []
        self.hashes: list[bytes] = []
        self.lists: dict[bytes, _List] = {}
        self._breathe = breathe
        try:
            values = members.values if members is not None and members.text is body else None
            for name, start, end in _members(body, 0, len(body), values):
                breathe()
                if name in _LISTS:
                    self._value(name, start, end, earlier)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, _Unwalkable):
            self.pieces, self.hashes, self.lists = [], [], {}
        if not self.pieces and body:
            self._add(Piece(0, len(body)))

    def _value(self, name: bytes, start: int, end: int, earlier: "Cut | None") -> None:
        """A member that is a list of blocks or of messages, or something else in its place."""
        if self.body[start : start + 1] != b"[":
            self._block(start, end)
            return
        self.lists[name] = walked = _List(start, [], len(self.pieces), [])
        if earlier is not None and name in earlier.lists:
            self._take_over(walked, earlier, earlier.lists[name])
        at = walked.ends[-1] if walked.ends else start
        for item, until in _items(self.body, at, end, within=at > start):
            if name == b'"messages"':
                self._message(item, until)
            else:
                self._block(item, until)
            walked.ends.append(until)
            walked.counts.append(len(self.pieces))

    def _take_over(self, walked: _List, earlier: "Cut", its: _List) -> None:
        """The items with which both lists begin."""
        count = _shared(self.body, walked.start, earlier.body, its)
        if not count:
            return
        by, further = walked.start - its.start, walked.before - its.before
        pieces = earlier.pieces[its.before : its.counts[count - 1]]
        self.pieces += [piece.moved(by) for piece in pieces] if by else pieces
        self.hashes += earlier.hashes[its.before : its.counts[count - 1]]
        walked.ends.extend([end + by for end in its.ends[:count]])
        walked.counts.extend([number + further for number in its.counts[:count]])

    def _message(self, start: int, end: int) -> None:
        """The content blocks of a message, or all of it where it is something else."""
        if self.body[start : start + 1] != b"{":
            self._block(start, end)
            return
        for name, at, until in _members(self.body, start, end):
            if name != b'"content"':
                continue
            if self.body[at : at + 1] != b"[":
                self._block(at, until)
                continue
            for item, its_end in _items(self.body, at, until):
                self._block(item, its_end)

    def _block(self, start: int, end: int) -> None:
        if end - start >= SHORTEST:
            self._add(Piece(start, end, _hole(self.body, start, end)))
        self._breathe()

    def _add(self, piece: Piece) -> None:
        self.pieces.append(piece)
        self.hashes.append(digest(piece.of(self.body)))


class Cuts:
    """Cuts bodies, and remembers the last one of each conversation, within a bound."""

    def __init__(self, breathe: Callable[[], object] = lambda: None) -> None:
        self._breathe = breathe
        self._last: dict[Hashable, Cut] = {}
        self._size = 0

    def cut(self, body: bytes, conversation: Hashable, members: Members | None = None) -> Cut:
        earlier = self._last.pop(conversation, None)
        cut = Cut(body, earlier, members, self._breathe)
        self._size += len(body) - (len(earlier.body) if earlier is not None else 0)
        self._last[conversation] = cut
        while self._size > _REMEMBERED:
            oldest = next(iter(self._last))
            self._size -= len(self._last.pop(oldest).body)
        return cut


def digest(block: bytes) -> bytes:
    """The name of a block; computed outside the interpreter's lock but for short ones."""
    return hashlib.blake2b(block, digest_size=20).digest()


class _Unwalkable(Exception):
    """The walk does not follow what the decoder has read."""


def _shared(body: bytes, start: int, earlier: bytes, its: _List) -> int:
    """With how many items of the earlier body's list the one begins that starts there."""
    view = memoryview(earlier)
    same, unknown = 0, len(its.ends)
    end = its.start
    while same < unknown:
        middle = (same + unknown + 1) // 2
        if body.startswith(view[end : its.ends[middle - 1]], end - its.start + start):
            same, end = middle, its.ends[middle - 1]
        else:
            unknown = middle - 1
    # A number may go on where another one ended.
    if same and body[end - its.start + start : end - its.start + start + 1] not in _BEHIND_AN_ITEM:
        same -= 1
    return same


def _items(body: bytes, start: int, end: int, *, within: bool = False) -> Iterator[tuple[int, int]]:
    """The items of the list that ends there; it starts there too, or an item `within` it has ended."""
    at = start + 1
    if within:
        at = _gap_end(body, start)
        raws = _decode_items(b"[" + body[at:end])
    else:
        raws = _decode_items(memoryview(body)[start:end])
    for raw in raws:
        at = _gap_end(body, at)
        yield at, at + len(memoryview(raw))
        at += len(memoryview(raw))


def _gap_end(body: bytes, at: int) -> int:
    found = _GAP.match(body, at)
    return found.end() if found else at


def _members(
    body: bytes, start: int, end: int, values: Iterable[msgspec.Raw] | None = None
) -> Iterator[tuple[bytes, int, int]]:
    """The members of an object, whose `values` may be known: the name as it is written, and where the value begins and
    ends."""
    if values is None:
        decoded: dict[Any, msgspec.Raw] = _decode_members(memoryview(body)[start:end])
        values = decoded.values()
    at = body.index(b"{", start) + 1
    for raw in values:
        found = _MEMBER.match(body, at)
        if found is None:
            raise _Unwalkable
        at = found.end() + len(memoryview(raw))
        yield found[1], found.end(), at


def _hole(body: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Where the member `cache_control` of a block stands, with the comma before it."""
    if body[start : start + 1] != b"{" or body.find(_CACHE_CONTROL, start, end) < 0:
        return None
    before = start + 1
    for name, _, until in _members(body, start, end):
        if name == _CACHE_CONTROL:
            return (before, until) if before > start + 1 else None
        before = until
    return None

"""A request's body cut where conversations repeat themselves, so that each block is stored once.

A body of the Messages API is system blocks, tools and the content blocks of messages, with little between them, and
a conversation sends all of them again with each turn. A cut changes nothing: the pieces and what lies between them
give back every byte, whatever the body is. What is no such body is one piece.

For the same reason a body is cut with the help of the one before in its conversation: in a list that begins with the
same bytes the same pieces lie at the same places, and only what is new is looked into.
"""

import hashlib
import re
from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import cached_property
from itertools import accumulate, chain
from typing import Any, NamedTuple

import msgspec

from claude_proxy.wire.json_parts import items
from claude_proxy.wire.members import Members

SHORTEST = 64
"""Bytes; what is shorter costs less where it stands than in a row of its own."""

UNCUT = 4 << 10
"""Bytes; a shorter body is stored where it stands. Most such are asked once, for a title or a count, and to cut one
takes as long as all else that is done with it."""

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


class _List(NamedTuple):
    """A list of the body that was walked: where it begins, how many bytes lie between the piece before it and there,
    and how many pieces were before it. Of each item: where it ends, from the list's beginning on, and the number of
    the list's pieces up to there."""

    start: int
    lead: int
    before: int
    ends: list[int]
    counts: list[int]


class Cut:
    """A body in pieces. Of each piece, in order: `hashes` its name as a block, `gaps` the bytes before it, `sizes` how
    many bytes of the body it takes, `marks` what is left out of it and `places` where in it that stood; `rest` is what
    lies behind the last one.

    What is left out is where a block says that the cache ends with it: Claude Code moves that mark on with each turn,
    and the block is the same with and without it.

    These are lists beside each other, and none of them has places in the body, so that a conversation's next body
    takes them over as they are.
    """

    def __init__(self, body: bytes) -> None:
        """Of no pieces."""
        self.body = body
        self.hashes: list[bytes] = []
        self.gaps: list[bytes] = []
        self.sizes: list[int] = []
        self.places: list[int] = []
        self.marks: list[bytes] = []
        self.lists: dict[bytes, _List] = {}
        self._at = 0  # where the last piece ends

    @classmethod
    def of(
        cls,
        body: bytes,
        earlier: "Cut | None" = None,
        members: Members | None = None,
        breathe: Callable[[], object] = lambda: None,
    ) -> "Cut":
        """`earlier` is the cut of a body that may have much in common with this one, `members` are those of the body,
        where they are known; `breathe` is called between pieces."""
        cut = cls(body)
        try:
            cut._walk(earlier, members, breathe)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, _Unwalkable):
            cut = cls(body)
        if not cut.hashes and body:
            cut._add(0, len(body), None)
        return cut

    @property
    def rest(self) -> bytes:
        return self.body[self._at :]

    def content(self, number: int) -> bytes:
        """Of the piece of that number, without its mark."""
        start, size, place, mark = self._starts[number], self.sizes[number], self.places[number], self.marks[number]
        if not mark:
            return self.body[start : start + size]
        return self.body[start : start + place] + self.body[start + place + len(mark) : start + size]

    @cached_property
    def _starts(self) -> list[int]:
        lengths = chain.from_iterable(zip(map(len, self.gaps), self.sizes, strict=True))
        return list(accumulate(lengths))[::2]

    def _walk(self, earlier: "Cut | None", members: Members | None, breathe: Callable[[], object]) -> None:
        body = self.body
        values = members.values if members is not None and members.text is body else None
        for name, start, end in _members(body, 0, len(body), values):
            if name in _LISTS:
                self._value(name, start, end, earlier, breathe)

    def _value(self, name: bytes, start: int, end: int, earlier: "Cut | None", breathe: Callable[[], object]) -> None:
        """A member that is a list of blocks or of messages, or something else in its place."""
        if self.body[start : start + 1] != b"[":
            self._block(start, end)
            return
        self.lists[name] = walked = _List(start, start - self._at, len(self.hashes), [], [])
        if earlier is not None and name in earlier.lists:
            self._take_over(walked, earlier, earlier.lists[name])
        at = start + walked.ends[-1] if walked.ends else start
        for item, until in items(self.body, at, end, within=at > start):
            if name == b'"messages"':
                self._message(item, until)
            else:
                self._block(item, until)
            walked.ends.append(until - start)
            walked.counts.append(len(self.hashes) - walked.before)
            breathe()

    def _take_over(self, walked: _List, earlier: "Cut", its: _List) -> None:
        """The items with which both lists begin."""
        count = _shared(self.body, walked.start, earlier.body, its)
        if not count:
            return
        walked.ends.extend(its.ends[:count])
        walked.counts.extend(its.counts[:count])
        first, until = its.before, its.before + its.counts[count - 1]
        if first == until:
            return
        # The first piece lies as far from the list's beginning as it did.
        start = walked.start + len(earlier.gaps[first]) - its.lead
        sizes, gaps = earlier.sizes[first:until], earlier.gaps[first + 1 : until]
        self.hashes += earlier.hashes[first:until]
        self.gaps += [self.body[self._at : start], *gaps]
        self.sizes += sizes
        self.places += earlier.places[first:until]
        self.marks += earlier.marks[first:until]
        self._at = start + sum(sizes) + sum(map(len, gaps))

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
            for item, its_end in items(self.body, at, until):
                self._block(item, its_end)

    def _block(self, start: int, end: int) -> None:
        if end - start >= SHORTEST:
            self._add(start, end, _mark(self.body, start, end))

    def _add(self, start: int, end: int, mark: tuple[int, int] | None) -> None:
        body = self.body
        if mark is None:
            place, left_out, content = 0, b"", body[start:end]
        else:
            place, left_out = mark[0] - start, body[mark[0] : mark[1]]
            content = body[start : mark[0]] + body[mark[1] : end]
        self.hashes.append(digest(content))
        self.gaps.append(body[self._at : start])
        self.sizes.append(end - start)
        self.places.append(place)
        self.marks.append(left_out)
        self._at = end


class Cuts:
    """Cuts bodies, and remembers the last one of each conversation, within a bound."""

    def __init__(self, breathe: Callable[[], object] = lambda: None) -> None:
        self._breathe = breathe
        self._last: dict[Hashable, Cut] = {}
        self._size = 0

    def cut(self, body: bytes, conversation: Hashable, members: Members | None = None) -> Cut:
        if len(body) < UNCUT:
            return Cut(body)
        earlier = self._last.pop(conversation, None)
        cut = Cut.of(body, earlier, members, self._breathe)
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
    end = 0
    middle = unknown  # most often all of them
    while same < unknown:
        if body.startswith(view[its.start + end : its.start + its.ends[middle - 1]], start + end):
            same, end = middle, its.ends[middle - 1]
        else:
            unknown = middle - 1
        middle = (same + unknown + 1) // 2
    # A number may go on where another one ended.
    if same and body[start + end : start + end + 1] not in _BEHIND_AN_ITEM:
        same -= 1
    return same


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


def _mark(body: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Where the member `cache_control` of a block stands, with the comma before it."""
    if body[start : start + 1] != b"{" or body.find(_CACHE_CONTROL, start, end) < 0:
        return None
    before = start + 1
    for name, _, until in _members(body, start, end):
        if name == _CACHE_CONTROL:
            return (before, until) if before > start + 1 else None
        before = until
    return None

"""A request's body cut where conversations repeat themselves, so that each block is stored once.

A body of the Messages API is system blocks, tools and the content blocks of messages, with little between them, and
a conversation sends all of them again with each turn. A cut names places in the body and changes nothing: the
pieces and what lies between them give back every byte, whatever the body is. What is no such body is one piece.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

SHORTEST = 64
"""Bytes; what is shorter costs less where it stands than in a row of its own."""

_GAP = re.compile(rb"[ \t\r\n]*,?[ \t\r\n]*")
_MEMBER = re.compile(rb'[ \t\r\n,]*("(?:[^"\\]|\\.)*")[ \t\r\n]*:[ \t\r\n]*', re.DOTALL)
_CACHE_CONTROL = b'"cache_control"'


class _Key:
    """A member's name; compared by identity, so that a twin is kept and not overwritten."""

    __slots__ = ()

    def __init__(self, name: str) -> None: ...


_decode_members = msgspec.json.Decoder(dict[_Key, msgspec.Raw], dec_hook=lambda _, name: _Key(name)).decode
_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Piece(msgspec.Struct, frozen=True):
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


def cut(body: bytes, breathe: Callable[[], object] = lambda: None) -> list[Piece]:
    """The pieces in order; `breathe` is called between them."""
    pieces = []
    try:
        for start, end in _blocks(body, breathe):
            if end - start >= SHORTEST:
                pieces.append(Piece(start, end, _hole(body, start, end)))
            breathe()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, _Unwalkable):
        pieces = []
    return pieces or ([Piece(0, len(body))] if body else [])


class _Unwalkable(Exception):
    """The walk does not follow what the decoder has read."""


def _blocks(body: bytes, breathe: Callable[[], object]) -> Iterator[tuple[int, int]]:
    for name, start, end in _members(body, 0, len(body)):
        breathe()
        if name in {b'"system"', b'"tools"'}:
            yield from _items(body, start, end)
        elif name == b'"messages"':
            for at, until in _items(body, start, end):
                yield from _content(body, at, until)


def _content(body: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The content blocks of a message, or all of it where it is something else."""
    if body[start : start + 1] != b"{":
        yield start, end
        return
    for name, at, until in _members(body, start, end):
        if name == b'"content"':
            yield from _items(body, at, until)


def _items(body: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The items of a list, or the value itself where it is none."""
    if body[start : start + 1] != b"[":
        yield start, end
        return
    at = start + 1
    for raw in _decode_items(memoryview(body)[start:end]):
        found = _GAP.match(body, at)
        at = found.end() if found else at
        yield at, at + len(memoryview(raw))
        at += len(memoryview(raw))


def _members(body: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The members of an object: the name as it is written, and where the value begins and ends."""
    values: dict[Any, msgspec.Raw] = _decode_members(memoryview(body)[start:end])
    at = body.index(b"{", start) + 1
    for raw in values.values():
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

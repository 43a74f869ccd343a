"""Blocks on the disk: each stored once, found by its hash, kept as long as an exchange can need it."""

import sqlite3
from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from claude_proxy.ledger.packing import pack, unpack
from claude_proxy.ledger.pieces import Cut
from claude_proxy.ledger.recipe import Recipe
from claude_proxy.ledger.redaction import Redaction
from claude_proxy.ledger.sqlite_file import rows_in

EPOCH = 6 * 3600
"""Seconds. Blocks are let go by epochs: whose it was is not counted, only when it was last used."""

_REMEMBERED = 8192  # blocks, which take 2 MB


class Stored(msgspec.Struct, frozen=True):
    """A body as it was stored: its recipe, and whether a secret was replaced in it or in one of its blocks."""

    packed: bytes
    altered: bool


class _Block(NamedTuple):
    number: int
    epoch: int
    altered: bool


class Blocks:
    """Those of one file, as its writer knows them. All within a transaction of the caller's: `look_up` when it begins,
    `write` before it ends; where it is undone, or where anything was deleted, `forget`.

    What was found or written once is remembered until somebody else writes to the file: a conversation sends nearly
    the same blocks with each turn, and the file need not be asked for them.
    """

    def __init__(self, connection: sqlite3.Connection, breathe: Callable[[], object]) -> None:
        self._connection = connection
        self._breathe = breathe
        self._known: dict[bytes, _Block] = {}
        self._version = 0
        self._last = 0
        self._new: list[tuple[int, bytes, int, bool]] = []
        self._contents: list[tuple[int, bytes]] = []
        self._used_again: list[tuple[int, int]] = []

    def forget(self) -> None:
        self._known.clear()

    def look_up(self, cuts: Iterable[Cut]) -> None:
        """Finds which of their blocks are there."""
        connection = self._connection
        version: int = connection.execute("PRAGMA data_version").fetchone()[0]
        if version != self._version or len(self._known) > _REMEMBERED:
            self._known.clear()
            self._version = version
        last = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'block'").fetchone()
        self._last = last[0] if last else 0
        self._new, self._contents, self._used_again = [], [], []
        unknown = {name for cut in cuts for name in cut.hashes if name not in self._known}
        question = "SELECT hash, number, epoch, altered FROM block WHERE hash IN"
        for name, number, epoch, altered in rows_in(connection, question, unknown):
            self._known[name] = _Block(number, epoch, bool(altered))

    def store(self, cut: Cut, epoch: int, redaction: Redaction) -> Stored:
        """Takes a body whose blocks were looked up, and writes it as its recipe."""
        blocks = [self._known.get(name) for name in cut.hashes]
        used = [
            block if block is not None and block.epoch >= epoch else self._use(cut, at, epoch, redaction)
            for at, block in enumerate(blocks)
        ]
        redaction.altered = False
        packed = Recipe.of(cut.body, cut.pieces, [block.number for block in used]).packed(redaction)
        altered = [block.altered for block in used]
        return Stored(packed, redaction.altered or any(altered))

    def _use(self, cut: Cut, at: int, epoch: int, redaction: Redaction) -> _Block:
        """A block that is new, or was not used since an earlier epoch."""
        name = cut.hashes[at]
        block = self._known.get(name)  # it may stand in this body twice
        if block is None:
            block = self._add(name, cut.pieces[at].of(cut.body), epoch, redaction)
        elif block.epoch < epoch:
            block = self._known[name] = block._replace(epoch=epoch)
            self._used_again.append((epoch, block.number))
        return block

    def _add(self, name: bytes, content: bytes, epoch: int, redaction: Redaction) -> _Block:
        redaction.altered = False
        packed = pack(redaction(content))
        self._last += 1
        block = self._known[name] = _Block(self._last, epoch, redaction.altered)
        self._new.append((block.number, name, epoch, block.altered))
        self._contents.append((block.number, packed))
        self._breathe()
        return block

    def write(self) -> None:
        connection = self._connection
        connection.executemany("INSERT INTO block (number, hash, epoch, altered) VALUES (?, ?, ?, ?)", self._new)
        connection.executemany("INSERT INTO content VALUES (?, ?)", self._contents)
        connection.executemany("UPDATE block SET epoch = ? WHERE number = ?", self._used_again)


def body_of(connection: sqlite3.Connection, packed: bytes) -> bytes:
    """A body put together again. Raises ValueError where a block is missing or damaged."""
    recipe = Recipe.read(packed)
    question = "SELECT block, packed FROM content WHERE block IN"
    contents = {number: unpack(data) for number, data in rows_in(connection, question, set(recipe.blocks))}
    try:
        return recipe.body(contents.__getitem__)
    except KeyError as missing:
        raise ValueError(f"block {missing} of a body is missing") from None

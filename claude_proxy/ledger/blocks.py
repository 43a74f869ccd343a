"""Blocks on the disk: each stored once, found by its hash, kept as long as an exchange can need it."""

import sqlite3
from collections.abc import Callable, Iterable
from typing import NamedTuple

from claude_proxy.ledger.packing import pack, unpack
from claude_proxy.ledger.pieces import Cut
from claude_proxy.ledger.recipe import Recipe
from claude_proxy.ledger.redaction import Redaction
from claude_proxy.ledger.sqlite_file import rows_in

EPOCH = 6 * 3600
"""Seconds. Blocks are let go by epochs: whose it was is not counted, only when it was last used."""

_REMEMBERED = 8192  # blocks, which take 2 MB


class Stored(NamedTuple):
    """A body as it was stored: its recipe, and whether a secret was replaced in it or in one of its blocks."""

    recipe: bytes
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
        self._known: dict[bytes, int] = {}  # numbers by hash
        self._epochs: dict[int, int] = {}  # of these, by number
        self._altered: set[int] = set()
        self._version = 0
        self._last = 0
        self._new: list[tuple[int, bytes, int, bool]] = []
        self._contents: list[tuple[int, bytes]] = []
        self._used_again: list[tuple[int, int]] = []

    def forget(self) -> None:
        self._known.clear()
        self._epochs.clear()
        self._altered.clear()

    def look_up(self, cuts: Iterable[Cut]) -> None:
        """Finds which of their blocks are there."""
        connection = self._connection
        version: int = connection.execute("PRAGMA data_version").fetchone()[0]
        if version != self._version or len(self._known) > _REMEMBERED:
            self.forget()
            self._version = version
        last = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'block'").fetchone()
        self._last = last[0] if last else 0
        self._new, self._contents, self._used_again = [], [], []
        unknown = set[bytes]().union(*[cut.hashes for cut in cuts]).difference(self._known)
        question = "SELECT hash, number, epoch, altered FROM block WHERE hash IN"
        for name, number, epoch, altered in rows_in(connection, question, unknown):
            self._remember(name, number, epoch, altered=altered)

    def _remember(self, name: bytes, number: int, epoch: int, *, altered: bool) -> None:
        self._known[name] = number
        self._epochs[number] = epoch
        if altered:
            self._altered.add(number)

    def store(self, cut: Cut, epoch: int, redaction: Redaction) -> Stored:
        """Takes a body whose blocks were looked up, and writes it as its recipe."""
        # A conversation has hundreds of blocks, and few of them are new: all of them are only looked at together.
        if not self._known.keys() >= set(cut.hashes):
            for at, name in enumerate(cut.hashes):
                if name not in self._known:
                    self._add(name, cut.content(at), epoch, redaction)
        numbers = [*map(self._known.__getitem__, cut.hashes)]
        if min(map(self._epochs.__getitem__, numbers), default=epoch) < epoch:
            again = [number for number in set(numbers) if self._epochs[number] < epoch]
            self._epochs.update(dict.fromkeys(again, epoch))
            self._used_again += [(epoch, number) for number in again]
        redaction.altered = False
        recipe = Recipe.of(cut, numbers, redaction).written()
        return Stored(recipe, redaction.altered or not self._altered.isdisjoint(numbers))

    def _add(self, name: bytes, content: bytes, epoch: int, redaction: Redaction) -> None:
        redaction.altered = False
        packed = pack(redaction(content))
        self._last += 1
        self._remember(name, self._last, epoch, altered=redaction.altered)
        self._new.append((self._last, name, epoch, redaction.altered))
        self._contents.append((self._last, packed))
        self._breathe()

    def write(self) -> None:
        connection = self._connection
        connection.executemany("INSERT INTO block (number, hash, epoch, altered) VALUES (?, ?, ?, ?)", self._new)
        connection.executemany("INSERT INTO content VALUES (?, ?)", self._contents)
        connection.executemany("UPDATE block SET epoch = ? WHERE number = ?", self._used_again)


def body_of(connection: sqlite3.Connection, written: bytes) -> bytes:
    """A body put together again from its recipe. Raises ValueError where a block is missing or damaged."""
    recipe = Recipe.read(written)
    question = "SELECT block, packed FROM content WHERE block IN"
    contents = {number: unpack(data) for number, data in rows_in(connection, question, set(recipe.numbers))}
    try:
        return recipe.body(contents.__getitem__)
    except KeyError as missing:
        raise ValueError(f"block {missing} of a body is missing") from None

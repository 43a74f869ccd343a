"""Blocks on the disk: each stored once, found by its hash, kept as long as an exchange can need it."""

import hashlib
import sqlite3
from collections.abc import Callable, Sequence

import msgspec

from claude_proxy.ledger.packing import pack, unpack
from claude_proxy.ledger.pieces import cut
from claude_proxy.ledger.recipe import Recipe

EPOCH = 6 * 3600
"""Seconds. Blocks are let go by epochs: whose it was is not counted, only when it was last used."""

_WINDOW = 256 << 10  # bytes that are looked through at once, in a quarter of a millisecond
_AT_ONCE = 200  # parameters of one question, of SQLite's 999


class Stored(msgspec.Struct, frozen=True):
    """A body as it was stored: its recipe, and whether a secret was replaced in it or in one of its blocks."""

    packed: bytes
    altered: bool


class Redaction:
    """Replaces secrets by as many other characters: what is put into a block's hole stays in its place."""

    def __init__(self, secrets: frozenset[str], breathe: Callable[[], object] = lambda: None) -> None:
        spelt: set[bytes] = set()
        for secret in secrets:
            # As it stands, and as JSON may write it.
            escaped = secret.replace("\\", "\\\\").replace('"', '\\"')
            spelt.update(
                text.encode("utf-8", "surrogatepass") for text in (secret, escaped, escaped.replace("/", "\\/"))
            )
        self._secrets = sorted(spelt - {b""}, key=len, reverse=True)
        self._breathe = breathe
        self.altered = False

    def __call__(self, text: bytes) -> bytes:
        for secret in self._secrets:
            if self._stands_in(secret, text):
                self.altered = True
                text = text.replace(secret, b"[redacted]".ljust(len(secret), b"*")[: len(secret)])
        return text

    def _stands_in(self, secret: bytes, text: bytes) -> bool:
        """Looks through a window at a time: a search holds the interpreter's lock."""
        for at in range(0, len(text), _WINDOW):
            if text.find(secret, at, at + _WINDOW + len(secret) - 1) >= 0:
                return True
            self._breathe()
        return False


def digest(block: bytes) -> bytes:
    """The name of a block; computed outside the interpreter's lock but for short ones."""
    return hashlib.blake2b(block, digest_size=20).digest()


class Cutting:
    """A body cut and hashed, before the ledger is asked for anything."""

    def __init__(self, body: bytes, breathe: Callable[[], object]) -> None:
        self.body = body
        self.pieces = cut(body, breathe)
        self.hashes = []
        for piece in self.pieces:
            self.hashes.append(digest(piece.of(body)))
            breathe()

    def store(
        self, connection: sqlite3.Connection, epoch: int, redaction: Redaction, breathe: Callable[[], object]
    ) -> Stored:
        """Writes the blocks that are not there yet; within a transaction of the caller's."""
        known = _known(connection, self.hashes)
        older = [(epoch, number) for number, its_epoch, _ in known.values() if its_epoch < epoch]
        connection.executemany("UPDATE block SET epoch = ? WHERE number = ?", older)
        altered = False
        numbers = []
        for piece, name in zip(self.pieces, self.hashes, strict=True):
            if name not in known:
                redaction.altered = False
                content = redaction(piece.of(self.body))
                number = connection.execute(
                    "INSERT INTO block (hash, epoch, altered) VALUES (?, ?, ?)", (name, epoch, redaction.altered)
                ).lastrowid
                assert number is not None
                connection.execute("INSERT INTO content VALUES (?, ?)", (number, pack(content)))
                known[name] = (number, epoch, redaction.altered)
                breathe()
            number, _, was_altered = known[name]
            numbers.append(number)
            altered = altered or bool(was_altered)
        redaction.altered = False
        packed = Recipe.of(self.body, self.pieces, numbers).packed(redaction)
        return Stored(packed, altered or redaction.altered)


def _known(connection: sqlite3.Connection, hashes: Sequence[bytes]) -> dict[bytes, tuple[int, int, int]]:
    """Number, epoch and alteration of the blocks that are there."""
    known = {}
    wanted = list(dict.fromkeys(hashes))
    for at in range(0, len(wanted), _AT_ONCE):
        some = wanted[at : at + _AT_ONCE]
        marks = ",".join("?" * len(some))
        question = f"SELECT hash, number, epoch, altered FROM block WHERE hash IN ({marks})"
        for name, *rest in connection.execute(question, some):
            known[name] = (rest[0], rest[1], rest[2])
    return known


def body_of(connection: sqlite3.Connection, packed: bytes) -> bytes:
    """A body put together again. Raises ValueError where a block is missing or damaged."""
    recipe = Recipe.read(packed)
    contents: dict[int, bytes] = {}
    wanted = list(dict.fromkeys(recipe.blocks))
    for at in range(0, len(wanted), _AT_ONCE):
        some = wanted[at : at + _AT_ONCE]
        marks = ",".join("?" * len(some))
        question = f"SELECT block, packed FROM content WHERE block IN ({marks})"
        contents.update((number, unpack(data)) for number, data in connection.execute(question, some))
    try:
        return recipe.body(contents.__getitem__)
    except KeyError as missing:
        raise ValueError(f"block {missing} of a body is missing") from None

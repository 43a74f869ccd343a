"""How a body is put together again: which blocks, in which order, and the bytes between them.

Blocks are named by their numbers, which follow one another within a conversation: written as differences, three
hundred of them take some hundred bytes, so that the recipes of a conversation stay small beside its blocks.
"""

from collections.abc import Callable, Sequence

import msgspec

from claude_proxy.ledger.packing import pack, read_varints, unpack, varints
from claude_proxy.ledger.pieces import Piece

_NO_HOLE = (0,)


class Recipe(msgspec.Struct, frozen=True):
    """`gaps` are the bytes before each block and behind the last one: one more than there are `blocks`. `holes` says
    for each block where in it something is put in, and what; None for most."""

    blocks: tuple[int, ...]
    gaps: tuple[bytes, ...]
    holes: tuple[tuple[int, bytes] | None, ...]

    @classmethod
    def of(cls, body: bytes, pieces: Sequence[Piece], blocks: Sequence[int]) -> "Recipe":
        """For a body whose pieces are these blocks."""
        starts, ends = [piece.start for piece in pieces], [piece.end for piece in pieces]
        gaps = [body[end:start] for end, start in zip([0, *ends], [*starts, len(body)], strict=True)]
        holes = [None if hole is None else (hole[0] - start, body[hole[0] : hole[1]]) for start, _, hole in pieces]
        return cls(tuple(blocks), tuple(gaps), tuple(holes))

    def packed(self, clean: Callable[[bytes], bytes] = bytes) -> bytes:
        """`clean` takes secrets out of what lies between the blocks, and keeps its length."""
        differences = [block - before for before, block in zip((0, *self.blocks), self.blocks, strict=False)]
        numbers = [len(self.blocks)]
        numbers += [number * 2 if number >= 0 else -number * 2 - 1 for number in differences]
        numbers += map(len, self.gaps)
        for hole in self.holes:
            numbers += _NO_HOLE if hole is None else (hole[0], len(hole[1]))
        text = b"".join((*self.gaps, *(hole[1] for hole in self.holes if hole)))
        return pack(varints(numbers) + clean(text))

    @classmethod
    def read(cls, packed: bytes) -> "Recipe":
        """Raises ValueError where it is none."""
        whole = unpack(packed)
        (count,), at = read_varints(whole, 1)
        differences, at = read_varints(whole, count, at)
        lengths, at = read_varints(whole, count + 1, at)
        places: list[tuple[int, int] | None] = []
        for _ in range(count):
            (place,), at = read_varints(whole, 1, at)
            if place:
                (length,), at = read_varints(whole, 1, at)
                places.append((place, length))
            else:
                places.append(None)
        blocks, block = [], 0
        for number in differences:
            block += number // 2 if number % 2 == 0 else -(number + 1) // 2
            blocks.append(block)
        gaps = []
        for length in lengths:
            gaps.append(whole[at : at + length])
            at += length
        holes: list[tuple[int, bytes] | None] = []
        for one in places:
            holes.append(one and (one[0], whole[at : at + one[1]]))
            at += one[1] if one else 0
        return cls(tuple(blocks), tuple(gaps), tuple(holes))

    def body(self, content: Callable[[int], bytes]) -> bytes:
        """The body again, byte for byte; `content` gives a block's."""
        parts = []
        for gap, block, hole in zip(self.gaps, self.blocks, self.holes, strict=False):
            parts.append(gap)
            block_bytes = content(block)
            parts += (block_bytes,) if hole is None else (block_bytes[: hole[0]], hole[1], block_bytes[hole[0] :])
        return b"".join((*parts, self.gaps[-1]))

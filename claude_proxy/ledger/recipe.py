"""How a body is put together again: which blocks, in which order, and the bytes between them.

Blocks are named by their numbers, which follow one another within a conversation: written as differences, three
hundred of them take some hundred bytes, so that the recipes of a conversation stay small beside its blocks.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate, chain, pairwise
from operator import sub

import msgspec

from claude_proxy.ledger.pieces import Cut


class Recipe(msgspec.Struct, frozen=True, array_like=True):
    """`blocks` are numbers, each as the difference to the one before; `gaps` are lengths of what stands before each
    block and behind the last one: one more than there are blocks. `marks` are lengths of what is put into each block,
    0 for most, and `places` say where. `text` is all that, the gaps and then the marks."""

    blocks: list[int]
    gaps: list[int]
    places: list[int]
    marks: list[int]
    text: bytes

    @classmethod
    def of(cls, cut: Cut, blocks: Sequence[int], clean: Callable[[bytes], bytes] = bytes) -> "Recipe":
        """For a body whose pieces are these blocks; `clean` takes secrets out of what lies between them, and keeps its
        length."""
        text = b"".join((*cut.gaps, cut.rest, *cut.marks))
        gaps = [*map(len, cut.gaps), len(cut.rest)]
        differences = list(map(sub, blocks, chain((0,), blocks)))
        return cls(differences, gaps, cut.places, list(map(len, cut.marks)), clean(text))

    def written(self) -> bytes:
        return _encode(self)

    @classmethod
    def read(cls, written: bytes) -> "Recipe":
        """Raises ValueError where it is none."""
        try:
            recipe = _decode(written)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ValueError("the recipe of a body is damaged") from None
        many = {len(recipe.blocks), len(recipe.gaps) - 1, len(recipe.places), len(recipe.marks)}
        if len(many) > 1 or len(recipe.text) != sum(recipe.gaps) + sum(recipe.marks):
            raise ValueError("the recipe of a body is damaged")
        return recipe

    @property
    def numbers(self) -> list[int]:
        """Those of the blocks."""
        return list(accumulate(self.blocks))

    def body(self, content: Callable[[int], bytes]) -> bytes:
        """The body again, byte for byte; `content` gives a block's."""
        ends = list(accumulate((*self.gaps, *self.marks), initial=0))
        texts = [self.text[start:end] for start, end in pairwise(ends)]
        gaps, marks = texts[: len(self.gaps)], texts[len(self.gaps) :]
        parts: list[bytes] = []
        for gap, number, place, mark in zip(gaps, self.numbers, self.places, marks, strict=False):
            block = content(number)
            parts += (gap, block[:place], mark, block[place:])
        return b"".join((*parts, gaps[-1]))


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Recipe).decode

"""A body is put together again byte for byte from its blocks and what lies between them."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_proxy.ledger.packing import pack
from claude_proxy.ledger.pieces import Cut
from claude_proxy.ledger.recipe import Recipe
from tests.ledger.made_records import bodies


@given(body=bodies, numbers=st.lists(st.integers(1, 2**40), min_size=60, max_size=60))
def test_any_body_comes_back(body: bytes, numbers: list[int]) -> None:
    cut = Cut.of(body)
    blocks = numbers[: len(cut.hashes)]
    recipe = Recipe.read(Recipe.of(cut, blocks).written())
    assert recipe.numbers == blocks
    given_out = iter([cut.content(number) for number in range(len(blocks))])
    assert recipe.body(lambda _: next(given_out)) == body


def test_the_recipe_of_a_long_conversation_is_small() -> None:
    messages = [
        {"role": ("user", "assistant")[n % 2], "content": [{"type": "text", "text": f"{n} " * 50}]} for n in range(300)
    ]
    body = json.dumps({"messages": messages}).encode()
    cut = Cut.of(body)
    assert len(cut.hashes) == 300
    assert len(pack(Recipe.of(cut, range(1000, 1300)).written())) < 400


def test_what_lies_between_the_blocks_is_cleaned() -> None:
    body = b'{"metadata": "FAKE-secret", "system": "' + b"x" * 80 + b'"}'
    cut = Cut.of(body)
    written = Recipe.of(cut, [1], lambda text: text.replace(b"FAKE-secret", b"***********")).written()
    assert Recipe.read(written).body(lambda _: cut.content(0)) == body.replace(b"FAKE-secret", b"***********")


@pytest.mark.parametrize(
    "written",
    [
        b"",
        b"no recipe",
        msgspec.msgpack.encode(([1], [0], [0], [0], b"")),
        msgspec.msgpack.encode(([1], [0, 0], [0, 0], [0], b"")),
        msgspec.msgpack.encode(([], [9], [], [], b"short")),
    ],
)
def test_what_is_no_recipe_is_refused(written: bytes) -> None:
    with pytest.raises(ValueError, match="damaged"):
        Recipe.read(written)

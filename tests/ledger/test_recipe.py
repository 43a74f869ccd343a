"""A body is put together again byte for byte from its blocks and what lies between them."""

import json

from hypothesis import given
from hypothesis import strategies as st

from claude_proxy.ledger.pieces import Cut
from claude_proxy.ledger.recipe import Recipe
from tests.ledger.made_records import bodies


@given(body=bodies, numbers=st.lists(st.integers(1, 2**40), min_size=60, max_size=60))
def test_any_body_comes_back(body: bytes, numbers: list[int]) -> None:
    pieces = Cut(body).pieces
    contents = [piece.of(body) for piece in pieces]
    recipe = Recipe.of(body, pieces, numbers[: len(pieces)])
    read = Recipe.read(recipe.packed())
    assert read == recipe
    given_out = iter(contents)
    assert read.body(lambda _: next(given_out)) == body


def test_the_recipe_of_a_long_conversation_is_small() -> None:
    messages = [
        {"role": ("user", "assistant")[n % 2], "content": [{"type": "text", "text": f"{n} " * 50}]} for n in range(300)
    ]
    body = json.dumps({"messages": messages}).encode()
    pieces = Cut(body).pieces
    assert len(pieces) == 300
    assert len(Recipe.of(body, pieces, range(1000, 1300)).packed()) < 400


def test_what_lies_between_the_blocks_is_cleaned() -> None:
    body = b'{"metadata": "FAKE-secret", "system": "' + b"x" * 80 + b'"}'
    pieces = Cut(body).pieces
    packed = Recipe.of(body, pieces, [1]).packed(lambda text: text.replace(b"FAKE-secret", b"***********"))
    assert Recipe.read(packed).body(lambda _: pieces[0].of(body)) == body.replace(b"FAKE-secret", b"***********")

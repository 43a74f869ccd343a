"""A body is cut where conversations repeat themselves; whatever it is, its pieces lie in order and within it."""

import json

import pytest
from hypothesis import given

from claude_proxy.ledger.pieces import SHORTEST, cut
from tests.ledger.made_records import bodies

LONG = "words that are long enough to be a piece of their own, and some more"
MARK = {"type": "ephemeral", "ttl": "1h"}


def texts(body: object) -> list[str]:
    """The pieces of a body, as text."""
    written = json.dumps(body).encode()
    return [piece.of(written).decode() for piece in cut(written)]


def test_system_tools_and_contents_are_pieces() -> None:
    block = {"type": "text", "text": LONG}
    tool = {"name": "Bash", "description": LONG}
    body = {
        "model": LONG,
        "system": [block, {"type": "text", "text": "short"}],
        "messages": [{"role": "user", "content": [block, block]}, {"content": f"as a string: {LONG}", "role": "user"}],
        "tools": [tool],
        "metadata": {"user_id": LONG},
    }
    assert texts(body) == [json.dumps(one) for one in (block, block, block, f"as a string: {LONG}", tool)]


def test_a_block_is_the_same_with_and_without_the_mark_of_the_cache() -> None:
    plain = {"type": "text", "text": LONG}
    (without,) = texts({"messages": [{"role": "user", "content": [plain]}]})
    (at_the_end,) = texts({"messages": [{"role": "user", "content": [{**plain, "cache_control": MARK}]}]})
    (within,) = texts({"messages": [{"content": [{"type": "text", "cache_control": MARK, "text": LONG}]}]})
    assert without == at_the_end == within


def test_a_mark_that_only_looks_like_one_stays() -> None:
    block = {"type": "text", "text": f'"cache_control": {LONG}', "input": {"cache_control": MARK}}
    assert texts({"messages": [{"content": [block]}]}) == [json.dumps(block)]


@pytest.mark.parametrize(
    "body",
    [b"{", b"no JSON at all", b"[1, 2]", b'"text"', b'{"messages": 1, "system": null}', b'{"messages": [[[' * 9000],
)
def test_what_is_no_conversation_is_one_piece(body: bytes) -> None:
    (piece,) = cut(body)
    assert piece.of(body) == body


def test_nothing_has_no_pieces() -> None:
    assert cut(b"") == []


def test_members_that_stand_twice_are_both_cut() -> None:
    body = b'{"system": "%b", "system": "%b"}' % (LONG.encode(), LONG.upper().encode())
    assert [piece.of(body) for piece in cut(body)] == [f'"{LONG}"'.encode(), f'"{LONG.upper()}"'.encode()]


@given(body=bodies)
def test_pieces_lie_in_order_and_holes_within_them(body: bytes) -> None:
    at = 0
    pieces = cut(body)
    for piece in pieces:
        assert at <= piece.start < piece.end <= len(body)
        assert piece.hole is None or piece.start < piece.hole[0] < piece.hole[1] < piece.end
        assert piece.end - piece.start >= SHORTEST or len(pieces) == 1
        at = piece.end


def test_it_breathes_between_pieces() -> None:
    breaths: list[None] = []
    body = {"messages": [{"content": [{"type": "text", "text": LONG}]} for _ in range(50)]}
    cut(json.dumps(body).encode(), lambda: breaths.append(None))
    assert len(breaths) >= 50

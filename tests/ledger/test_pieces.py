"""A body is cut where conversations repeat themselves; whatever it is, its pieces lie in order and within it."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from claude_proxy.ledger.pieces import SHORTEST, UNCUT, Cut, Cuts, digest
from claude_proxy.wire.members import BadBody, Members
from tests.ledger.made_records import bodies, conversation

LONG = "words that are long enough to be a piece of their own, and some more"
MARK = {"type": "ephemeral", "ttl": "1h"}


def contents(cut: Cut) -> list[bytes]:
    """Those of its pieces."""
    return [cut.content(number) for number in range(len(cut.hashes))]


def texts(body: object) -> list[str]:
    """The pieces of a body, as text."""
    return [content.decode() for content in contents(Cut.of(json.dumps(body).encode()))]


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
    assert contents(Cut.of(body)) == [body]


def test_nothing_has_no_pieces() -> None:
    assert Cut.of(b"").hashes == []


def test_members_that_stand_twice_are_both_cut() -> None:
    body = b'{"system": "%b", "system": "%b"}' % (LONG.encode(), LONG.upper().encode())
    assert contents(Cut.of(body)) == [f'"{LONG}"'.encode(), f'"{LONG.upper()}"'.encode()]


@given(body=bodies)
def test_pieces_lie_in_order_and_marks_within_them(body: bytes) -> None:
    cut = Cut.of(body)
    parts = []
    columns = zip(contents(cut), cut.hashes, cut.gaps, cut.sizes, cut.places, cut.marks, strict=True)
    for content, name, gap, size, place, mark in columns:
        assert name == digest(content)
        assert size >= SHORTEST or len(cut.hashes) == 1
        assert len(content) + len(mark) == size
        assert 0 < place < len(content) if mark else place == 0
        parts += [gap, content[:place], mark, content[place:]]
    assert b"".join([*parts, cut.rest]) == body


def test_it_breathes_between_pieces() -> None:
    breaths: list[None] = []
    body = {"messages": [{"content": [{"type": "text", "text": LONG}]} for _ in range(50)]}
    Cut.of(json.dumps(body).encode(), breathe=lambda: breaths.append(None))
    assert len(breaths) >= 50


def told(cut: Cut) -> tuple[object, ...]:
    return cut.hashes, contents(cut), cut.gaps, cut.sizes, cut.places, cut.marks, cut.rest


def listing(*items: str, system: str = "") -> bytes:
    return f'{{"system": ["{system}"], "messages": [{", ".join(items)}], "tools": ["{LONG}"]}}'.encode()


NUMBER = "1" * SHORTEST
A, B, C = (json.dumps({"role": "user", "content": [{"type": "text", "text": f"{name} {LONG}"}]}) for name in "ABC")
MARKED = json.dumps(
    {"role": "user", "content": [{"type": "text", "text": f"B {LONG}", "cache_control": {"type": "ephemeral"}}]}
)


@given(earlier=bodies, body=bodies)
@example(earlier=listing(A, MARKED), body=listing(A, B, C))
@example(earlier=listing(A, B, C), body=listing(A))
@example(earlier=listing(A, B), body=listing(A, B))
@example(earlier=listing(A, B), body=listing(A, C, B))
@example(earlier=listing(A, B), body=listing(A, B, C, system=LONG))
@example(earlier=listing(A), body=listing())
@example(earlier=listing(NUMBER), body=listing(f"{NUMBER}1"))
@example(earlier=listing(A, NUMBER), body=listing(A, f"{NUMBER}1", B))
@example(earlier=listing(A), body=listing(f"{A} "))
@example(earlier=listing(A), body=listing(A)[:-20])
@example(earlier=b'{"tools": [1], "tools": ["%b"]}' % (b"x" * 80), body=b'{"tools": ["%b"], "tools": []}' % (b"x" * 80))
def test_with_an_earlier_body_a_cut_is_the_same(earlier: bytes, body: bytes) -> None:
    assert told(Cut.of(body, Cut.of(earlier))) == told(Cut.of(body))


@given(body=bodies)
def test_with_members_that_are_known_a_cut_is_the_same(body: bytes) -> None:
    try:
        members = Members(body)
    except BadBody:
        return
    assert told(Cut.of(body, members=members)) == told(Cut.of(body))
    assert told(Cut.of(b" " + body, members=members)) == told(Cut.of(b" " + body)), "of another text they do not count"


@given(data=st.data())
def test_a_conversation_that_goes_on_is_cut_the_same_with_and_without_what_came_before(data: st.DataObject) -> None:
    cuts = Cuts()
    messages = [A, B, C, MARKED, NUMBER, f'"{LONG}"', "[]", "1", '{"content": "short"}']
    for _ in range(4):
        body = listing(
            *data.draw(st.lists(st.sampled_from(messages), max_size=6)), system=data.draw(st.text("ab", max_size=1))
        )
        body += b" " * UNCUT
        assert told(cuts.cut(body, "conversation")) == told(Cut.of(body))


def test_a_short_body_is_not_cut() -> None:
    body = listing(A, B, C)
    cut = Cuts().cut(body, "conversation")
    assert (cut.hashes, cut.rest) == ([], body)


def test_what_came_before_is_not_looked_into_again() -> None:
    breaths: list[None] = []
    cuts = Cuts(lambda: breaths.append(None))
    cuts.cut(conversation(300), "one")
    cuts.cut(conversation(200), "another")
    breaths.clear()
    cuts.cut(conversation(301), "one")
    cuts.cut(conversation(200), "another")
    assert len(breaths) < 20


def test_bodies_are_remembered_within_a_bound() -> None:
    cuts = Cuts()
    for number in range(12):
        cuts.cut(b"x" * (1 << 20), number)
    assert sum(len(cut.body) for cut in cuts._last.values()) <= 4 << 20
    assert list(cuts._last) == [8, 9, 10, 11]
    cuts.cut(b"x" * (9 << 20), 11)
    assert not cuts._last
    assert cuts._size == 0


def test_members_of_another_text_are_not_taken_for_the_bodys() -> None:
    body = b'{"system":"%b","messages":[]}' % (b"x" * 100)
    others = Members(b'{"system":"%b","messages":[]}' % (b"x" * 200))
    assert told(Cut.of(body, members=others)) == told(Cut.of(body))
    assert told(Cut.of(body, members=Members(body))) == told(Cut.of(body))

"""The last body of each conversation is remembered, within a bound, and no other."""

from claude_proxy.web.last_bodies import SHORTEST, LastBodies
from claude_proxy.wire.members import Members


def body(size: int) -> Members:
    return Members(b'{"a":"%b"}' % (b"x" * (size - 8)))


def test_each_conversation_has_its_last_body() -> None:
    last = LastBodies()
    first, second, third = body(SHORTEST), body(SHORTEST), body(SHORTEST)
    last.keep("one", first)
    last.keep(("one", "agent"), second)
    last.keep((None, None), third)
    assert (last.of("one"), last.of(("one", "agent")), last.of((None, None))) == (first, second, third)
    assert last.of("two") is None
    last.keep("one", third)
    assert last.of("one") is third


def test_small_bodies_and_very_large_ones_are_not_kept() -> None:
    last = LastBodies()
    kept = body(SHORTEST)
    last.keep("one", kept)
    last.keep("one", body(SHORTEST - 1))
    last.keep("one", body(5 << 20))
    assert last.of("one") is kept


def test_what_was_used_longest_ago_is_let_go_where_they_are_too_large_together() -> None:
    last = LastBodies()
    bodies = {name: body(1 << 20) for name in ("one", "two", "three", "four")}
    for name, its in bodies.items():
        last.keep(name, its)
    assert all(last.of(name) is its for name, its in bodies.items())
    last.keep("one", bodies["one"])  # the same again takes no more room
    assert last.of("two") is bodies["two"]
    last.keep("five", bodies["one"])
    assert [name for name in (*bodies, "five") if last.of(name)] == ["one", "three", "four", "five"]

"""What a text has in common with an earlier one is found to the byte, and never more of it than there is."""

from hypothesis import example, given
from hypothesis import strategies as st

from claude_proxy.wire.repeated import WORTH, new_part, places_in_whole, repeated, shortened

LONG = 2 * WORTH
_pieces = st.text(st.sampled_from("aé—🙂"), max_size=6)


def is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(_pieces, _pieces, _pieces, st.binary(max_size=3) | _pieces.map(str.encode), st.integers(0, 1 << 18))
@example("é", "", "", b"\xa9", 0)
@example("—", "a", "é", "é".encode()[:1], 0)
def test_what_is_not_new_stands_in_the_earlier_text_and_what_is_new_tells_the_encoding(
    before: str, old: str, behind: str, new: bytes, many: int
) -> None:
    padding = "x" * many
    earlier = f"{before}{padding}{old}{behind}".encode()
    text = f"{before}{padding}".encode() + new + behind.encode()
    start, end = new_part(text, earlier)
    assert 0 <= start <= end <= len(text)
    assert text[:start] == earlier[:start]
    assert earlier.endswith(text[end:])
    assert is_utf8(text[start:end]) == is_utf8(text)
    assert end - start <= len(new) + len(old.encode()) + 6  # a character at either end


@given(st.binary(max_size=8), _pieces)
def test_the_encoding_of_any_text_is_told_by_what_is_new(text: bytes, earlier: str) -> None:
    start, end = new_part(text, earlier.encode())
    assert is_utf8(text[start:end]) == is_utf8(text)


def test_a_value_is_repeated_where_all_of_it_and_what_follows_is_not_new() -> None:
    values = [(5, 5 + LONG), (9000, 9000 + LONG), (20_000, 20_010), (30_000, 30_000 + LONG)]
    assert repeated((5 + LONG + 1, 40_000), 7, values, None) == [values[0]]
    assert repeated((5 + LONG, 40_000), 7, values, None) == []
    assert repeated((9000, 20_000), 7, values, None) == [values[0], (30_007, 30_007 + LONG)]
    assert repeated((9000, 30_007), 7, values, None) == [values[0], (30_007, 30_007 + LONG)]
    assert repeated((9000, 30_008), 7, values, None) == [values[0]]
    assert repeated((9900, 30_007), 7, values, (9001, 9900)) == [values[0], (9001, 9900), (30_007, 30_007 + LONG)]


def test_what_is_known_is_a_number_in_the_shortened_text_and_back_in_its_place_in_the_whole() -> None:
    text = b'{"a":"known","b":[1,22,3],"c":"known too"}'
    holes = [(5, 12), (18, 22), (30, 41)]
    assert shortened(text, holes) == b'{"a":0,"b":[0,3],"c":0}'
    places = {"a": (5, 6), "b": (11, 16), "c": (21, 22)}
    assert places_in_whole(places, holes, (18, 22)) == {"a": (5, 12), "b": (17, 25), "c": (30, 41)}
    assert shortened(text, []) == text


def test_a_hole_that_is_no_value_by_itself_is_found_out() -> None:
    assert places_in_whole({"a": (5, 8)}, [(6, 20)], None) is None  # within a value
    assert places_in_whole({"a": (5, 8)}, [(5, 20)], None) is None  # its beginning
    assert places_in_whole({"a": (5, 8)}, [(2, 20)], None) is None  # before it
    assert places_in_whole({"a": (5, 8)}, [(9, 20)], None) is None  # behind the last one
    assert places_in_whole({"a": (5, 8)}, [(6, 20)], (6, 20)) == {"a": (5, 21)}

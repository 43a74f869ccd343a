"""Compressed request bodies: decoded exactly or refused, and never inflated beyond the limit."""

import gzip
import sys
import tracemalloc
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_proxy.wire.encoding import EncodingBroken, EncodingUnsupported, decode_body

PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.compress,
    "br": brotli.compress,
}
LIMIT = 1 << 20
TEXT = b'{"model": "claude-sonnet-4-5", "messages": []}' * 20

each_coding = pytest.mark.parametrize("coding", PACK)


@each_coding
@given(text=st.binary(max_size=2000) | st.binary(max_size=20).map(lambda part: part * 1000))
@settings(max_examples=40, deadline=None)
def test_what_was_compressed_comes_back(coding: str, text: bytes) -> None:
    assert decode_body(PACK[coding](text), coding, LIMIT) == text


@pytest.mark.parametrize("coding", ["", "identity", " Identity ", "IDENTITY"])
def test_a_body_without_a_coding_is_not_touched(coding: str) -> None:
    assert decode_body(TEXT, coding, 1) is TEXT


@pytest.mark.parametrize("coding", ["GZIP", " gzip ", "Gzip\t"])
def test_a_codings_name_is_known_whatever_its_case(coding: str) -> None:
    assert decode_body(gzip.compress(TEXT), coding, LIMIT) == TEXT


@each_coding
def test_a_body_of_just_the_limit_is_good_and_one_byte_more_is_refused(coding: str) -> None:
    packed = PACK[coding](TEXT)
    assert decode_body(packed, coding, len(TEXT)) == TEXT
    with pytest.raises(EncodingBroken, match=f"larger than {len(TEXT) - 1} bytes"):
        decode_body(packed, coding, len(TEXT) - 1)


@each_coding
def test_a_bomb_is_refused_and_not_inflated(coding: str) -> None:
    bomb = PACK[coding](bytes(64 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(EncodingBroken, match=f"larger than {LIMIT} bytes"):
            decode_body(bomb, coding, LIMIT)
        assert tracemalloc.get_traced_memory()[1] < 16 * LIMIT
    finally:
        tracemalloc.stop()


@each_coding
def test_a_body_that_is_cut_anywhere_is_refused(coding: str) -> None:
    packed = PACK[coding](TEXT)
    for end in range(len(packed)):
        with pytest.raises(EncodingBroken):
            decode_body(packed[:end], coding, LIMIT)


@each_coding
@pytest.mark.parametrize("behind", [b"junk", b"\x00", b"{}"])
def test_bytes_behind_the_end_are_refused(coding: str, behind: bytes) -> None:
    with pytest.raises(EncodingBroken):
        decode_body(PACK[coding](TEXT) + behind, coding, LIMIT)


@each_coding
def test_a_second_body_behind_the_first_is_refused(coding: str) -> None:
    # Some readers put them together and some read the first alone: two readers would disagree.
    with pytest.raises(EncodingBroken):
        decode_body(PACK[coding](TEXT) * 2, coding, LIMIT)


@each_coding
@pytest.mark.parametrize("wrong", [TEXT, b"\x00" * 40, b"\xff" * 40], ids=["plain", "zeros", "ones"])
def test_a_body_that_is_not_what_it_says_is_refused(coding: str, wrong: bytes) -> None:
    with pytest.raises(EncodingBroken):
        decode_body(wrong, coding, LIMIT)


@pytest.mark.parametrize("place", [0, 1, -1, -5])
def test_a_gzip_body_with_a_wrong_byte_in_head_or_checksum_is_refused(place: int) -> None:
    packed = bytearray(gzip.compress(TEXT))
    packed[place] ^= 0xFF
    with pytest.raises(EncodingBroken):
        decode_body(bytes(packed), "gzip", LIMIT)


@pytest.mark.parametrize("coding", ["compress", "gzip, br", "*", "FAKE-secret", "zstandard"])
def test_an_unknown_coding_is_refused_without_repeating_it(coding: str) -> None:
    with pytest.raises(EncodingUnsupported, match="Content-Encoding") as refused:
        decode_body(TEXT, coding, LIMIT)
    assert coding not in str(refused.value)


@pytest.mark.parametrize(("coding", "library"), [("zstd", "zstandard"), ("br", "brotli")])
def test_a_missing_library_is_named_with_the_way_to_install_it(
    coding: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(EncodingUnsupported, match=rf"{coding} needs the library {library}: pip install") as refused:
        decode_body(PACK[coding](TEXT), coding, LIMIT)
    assert "claude-proxy[codecs]" in str(refused.value)


@each_coding
@given(body=st.binary(max_size=60))
@settings(max_examples=60, deadline=None)
def test_no_bytes_make_it_fail_in_another_way(coding: str, body: bytes) -> None:
    try:
        text = decode_body(body, coding, 100)
    except EncodingBroken:
        return
    assert len(text) <= 100

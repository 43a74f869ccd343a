"""The guess at a token count: a little high for text, and blind to the bytes of an image."""

import base64
import json

import pytest

from claude_proxy.wire.estimate import estimate_tokens


def body(*blocks: object) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": list(blocks)}]}).encode()


def image(size: int, spaces: str = "") -> bytes:
    """A request with one image of so many bytes."""
    data = base64.b64encode(bytes(range(256)) * (size // 256)).decode()
    text = body({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}})
    return text.replace(b'"data": ', f'"data"{spaces}:{spaces}'.encode())


@pytest.mark.parametrize("nothing", [b"", b"{}", b" "])
def test_there_is_always_at_least_one_token(nothing: bytes) -> None:
    assert estimate_tokens(nothing) == 1


def test_text_counts_by_its_length() -> None:
    assert estimate_tokens(b"x" * 3600) == 1000
    assert estimate_tokens(b"x" * 36_000) == 10_000


def test_prose_is_estimated_a_little_high() -> None:
    # 44 characters, 10 tokens by OpenAI's published tokenizers; counted without what surrounds them in JSON.
    sentence = "The quick brown fox jumps over the lazy dog."
    one, many = (estimate_tokens(body({"type": "text", "text": " ".join([sentence] * n)})) for n in (1, 101))
    assert 10 * 100 <= many - one <= 14 * 100


@pytest.mark.parametrize("size", [256, 4096, 1 << 20])
def test_an_image_costs_the_same_whatever_its_bytes(size: int) -> None:
    bare = body({"type": "image", "source": {"type": "base64", "media_type": "image/png"}})
    assert 1600 <= estimate_tokens(image(size)) <= 1600 + estimate_tokens(bare) + 5


def test_an_image_costs_1600_tokens_more_than_what_stands_around_it() -> None:
    assert estimate_tokens(b'"data":"%s"' % (b"A" * 4096)) == 1600 + estimate_tokens(b"")


@pytest.mark.parametrize("spaces", ["", " ", "\n\t "])
def test_white_space_around_the_colon_makes_no_difference(spaces: str) -> None:
    assert estimate_tokens(image(1 << 20, spaces)) < 1700


def test_a_slash_may_be_escaped_in_the_encoded_data() -> None:
    assert estimate_tokens(image(1 << 20).replace(b"/", b"\\/")) < 1700


def test_each_image_counts() -> None:
    one = image(4096)
    assert estimate_tokens(one + one + one) == pytest.approx(3 * estimate_tokens(one), abs=3)


def test_short_data_and_long_text_are_text() -> None:
    assert estimate_tokens(b'{"data": "aGVsbG8="}') < 10
    assert estimate_tokens(b'{"text": "%s"}' % (b"A" * 36_000)) > 10_000

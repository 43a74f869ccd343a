"""Bytes made small come back as they were, and what is damaged is known to be."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_proxy.ledger.packing import pack, read_varints, unpack, varints


@given(whole=st.binary(max_size=300) | st.binary(min_size=16000, max_size=17000))
def test_what_is_packed_comes_back(whole: bytes) -> None:
    assert unpack(pack(whole)) == whole
    assert len(pack(whole)) <= len(whole) + 1


def test_headers_as_claude_code_sends_them_become_small() -> None:
    headers = (
        b'[["Accept","application/json"],["anthropic-version","2023-06-01"],["x-app","cli"],'
        b'["User-Agent","claude-cli/2.1.200 (external, cli)"],["X-Stainless-Lang","js"],'
        b'["anthropic-beta","claude-code-20250219,oauth-2025-04-20"],["Content-Length","85411"]]'
    )
    assert len(pack(headers)) < len(headers) / 3


@pytest.mark.parametrize("whole", [b"short and again short and again", b"long enough " * 2000])
@pytest.mark.parametrize("damage", [b"", b"?", b"x"])
def test_what_is_damaged_is_refused(whole: bytes, damage: bytes) -> None:
    packed = pack(whole)
    with pytest.raises(ValueError, match="damaged"):
        unpack((damage + packed[1:]) if damage else b"z" + os.urandom(40))


@given(numbers=st.lists(st.integers(0, 2**63)), rest=st.binary(max_size=9))
def test_numbers_come_back_and_what_follows_is_left(numbers: list[int], rest: bytes) -> None:
    packed = varints(numbers)
    assert read_varints(packed + rest, len(numbers)) == (numbers, len(packed))


def test_numbers_that_end_too_soon_are_refused() -> None:
    with pytest.raises(ValueError, match="damaged"):
        read_varints(varints([1, 300])[:-1], 2)

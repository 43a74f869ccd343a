"""Bytes made small come back as they were, and what is damaged is known to be."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_proxy.ledger.packing import pack, pack_both, unpack, unpack_both


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


@given(headers=st.none() | st.binary(min_size=1).filter(lambda line: b"\n" not in line), body=st.none() | st.binary())
def test_headers_and_what_came_with_them_come_back(headers: bytes | None, body: bytes | None) -> None:
    assert unpack_both(pack_both(headers, body)) == (headers, body)

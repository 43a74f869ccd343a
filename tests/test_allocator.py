"""Memory that is free is given back, which the allocator by itself would keep."""

import asyncio
import ctypes
import subprocess
import sys
from collections.abc import Awaitable, Callable

import pytest

from claude_proxy import allocator
from claude_proxy.allocator import giving_back, resident
from tests.running import eventually

MB = 1_000_000
PIECE = 20_000  # bytes: too small to be mapped for itself, too large for Python's own allocator
GLIBC = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="only glibc has malloc_trim")


def grown() -> list[bytes]:
    """The last piece of 60 MB: those below it are free, and the allocator cannot lower the end of its heap."""
    pieces = [b"x" * (PIECE + number % 7) for number in range(60 * MB // PIECE)]
    return pieces[-1:]


async def grow_and_shrink() -> None:
    before = resident()
    async with giving_back(every=0.01):
        kept = grown()
        assert resident() > before + 40 * MB
        await eventually(lambda: resident() < before + 20 * MB)
    assert kept


async def hold_through_many_looks() -> None:
    looks: list[int] = []

    def looked() -> int:
        looks.append(resident())
        return looks[-1]

    allocator.resident = looked
    before = resident()
    async with giving_back(every=0.01):
        pieces = [b"x" * (PIECE + number % 7) for number in range(60 * MB // PIECE)]
        await eventually(lambda: len(looks) > 20)
        assert resident() > before + 40 * MB
        del pieces[:-1]
        await eventually(lambda: resident() < before + 20 * MB)


@GLIBC
@pytest.mark.parametrize("scene", [grow_and_shrink, hold_through_many_looks])
def test_what_is_free_is_given_back_after_the_process_has_grown(scene: Callable[[], Awaitable[None]]) -> None:
    # In a process of its own: in this one there may be 60 MB free already.
    command = [sys.executable, "-m", __name__, scene.__name__]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


async def test_where_the_allocator_has_no_such_call_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    async with giving_back(every=0.0):
        pass


if __name__ == "__main__":
    asyncio.run({"grow_and_shrink": grow_and_shrink, "hold_through_many_looks": hold_through_many_looks}[sys.argv[1]]())

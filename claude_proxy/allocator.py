"""Memory that glibc's allocator keeps after large bodies, given back to the system."""

import asyncio
import contextlib
import ctypes
import os
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

from claude_proxy.aside import aside

_EVERY = 5.0  # seconds between two looks
_SELDOM = 3  # times as long, where the last look has found little
_WORTH = 8 << 20  # bytes that the process must have grown by, for a look through all of its memory to pay

# Otherwise a body of a megabyte is got from the system and given back as often as one comes, and each of its pages is
# cleared anew each time, which costs as much as to read it (mallopt(3), malloc.h).
_M_TRIM_THRESHOLD, _KEPT_FREE = -1, 64 << 20
_M_MMAP_THRESHOLD, _MAPPED_FROM = -3, 32 << 20

_STATM = Path("/proc/self/statm")


@contextlib.asynccontextmanager
async def giving_back(every: float = _EVERY) -> AsyncIterator[None]:
    """Until the block ends, what is free is given back while the process is larger than it was. Elsewhere than with
    glibc (macOS, musl) nothing is done.

    Free pieces between pieces in use are otherwise kept for ever: 60 MB after one body of 60 MB.
    """
    library = ctypes.CDLL(None)
    if not (hasattr(library, "malloc_trim") and os.access(_STATM, os.R_OK)):
        yield
        return
    library.mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM)
    library.mallopt(_M_TRIM_THRESHOLD, _KEPT_FREE)
    watch = asyncio.create_task(_watch(library, every, resident()), name="giving memory back")
    try:
        yield
    finally:
        watch.cancel()


async def _watch(library: ctypes.CDLL, every: float, least: int) -> None:
    wait = every
    while True:
        await asyncio.sleep(wait)
        with contextlib.suppress(OSError):  # no descriptor is free to look with: the next look is soon
            now = resident()
            if now <= least + _WORTH:
                least, wait = min(least, now), every
                continue
            # It takes 2 to 12 ms, and ctypes lets the others run meanwhile.
            await aside(partial(library.malloc_trim, 0))
            # What is in use still may be free at a later look.
            wait = every if resident() < now - _WORTH else min(2 * wait, _SELDOM * every)


def resident() -> int:
    """Bytes of this process that lie in memory (proc(5), statm)."""
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

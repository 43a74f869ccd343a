"""Memory that glibc's allocator keeps after large bodies, given back to the system."""

import asyncio
import contextlib
import ctypes
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_EVERY = 5.0  # seconds between two looks
_WORTH = 8 << 20  # bytes that the process must have grown by, for a look through all of its memory to pay

# Otherwise a body of a megabyte is got from the system and given back as often as one comes, and each of its pages is
# cleared anew each time, which costs as much as to read it (mallopt(3), malloc.h).
_M_TRIM_THRESHOLD, _KEPT_FREE = -1, 64 << 20
_M_MMAP_THRESHOLD, _MAPPED_FROM = -3, 32 << 20

_STATM = Path("/proc/self/statm")


@contextlib.asynccontextmanager
async def giving_back(every: float = _EVERY) -> AsyncIterator[None]:
    """Until the block ends, what is free is given back soon after the process has grown. Elsewhere than with glibc
    (macOS, musl) nothing is done.

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
    once_more = False  # at the first look after it has grown, much of that is in use still
    while True:
        await asyncio.sleep(every)
        with contextlib.suppress(OSError):  # no descriptor is free to look with: the next look is soon
            grown = resident() > least + _WORTH
            if grown or once_more:
                # It takes 2 to 12 ms, and ctypes lets the others run meanwhile: on a thread that does not stay.
                with ThreadPoolExecutor(1, "giving memory back") as thread:
                    await asyncio.get_running_loop().run_in_executor(thread, library.malloc_trim, 0)
                once_more = grown
            least = resident() if grown else min(least, resident())


def resident() -> int:
    """Bytes of this process that lie in memory (proc(5), statm)."""
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

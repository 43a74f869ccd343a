"""How late the event loop is: whatever blocks it keeps every client waiting."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

EVERY = 0.25
"""Seconds between two looks."""


@asynccontextmanager
async def lag_watched(observe: Callable[[float], None], every: float = EVERY) -> AsyncIterator[None]:
    """Until the block ends, `observe` is told at each look by how many seconds it came too late."""
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle | None = None

    def look(due: float) -> None:
        observe(max(0.0, loop.time() - due))
        wait()

    def wait() -> None:
        nonlocal timer
        due = loop.time() + every
        timer = loop.call_at(due, look, due)

    wait()
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()

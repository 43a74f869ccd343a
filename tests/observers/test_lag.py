"""How late the event loop is, as it is told while something blocks it and while nothing does."""

import asyncio
import time

from claude_proxy.observers.lag import lag_watched
from tests.running import eventually


async def test_what_blocks_the_loop_is_told_and_looked_at_again_and_again() -> None:
    lags: list[float] = []
    async with lag_watched(lags.append, every=0.01):
        await eventually(lambda: len(lags) >= 2)
        seen = len(lags)
        time.sleep(0.2)
        await eventually(lambda: len(lags) > seen)
        assert max(lags[seen:]) >= 0.15
        await eventually(lambda: len(lags) > seen + 1)
    assert min(lags) >= 0


async def test_nobody_looks_any_more_afterwards() -> None:
    lags: list[float] = []
    async with lag_watched(lags.append, every=0.01):
        await eventually(lambda: len(lags) >= 1)
    seen = len(lags)
    await asyncio.sleep(0.05)
    assert len(lags) == seen

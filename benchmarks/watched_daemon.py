"""The daemon as ever, which besides tells how many tasks it has and how late its loop was, whenever it gets SIGUSR1.

    python -m benchmarks.watched_daemon FILE serve --config …

Each time it writes FILE anew, as JSON: how often it was `asked`, the number of its `tasks`, and `lags`, by how many
seconds each look at the event loop came too late since it was asked before. The first time it begins to look.
"""

import asyncio
import json
import signal
import sys
from pathlib import Path
from types import FrameType

from claude_proxy.__main__ import main
from claude_proxy.observers.lag import lag_watched

EVERY = 0.02
"""Seconds between two looks: of the daemon's own, four a second, there are too few for a percentile."""


class Watch:
    """What is told, and the file into which."""

    def __init__(self, told: Path) -> None:
        self._told = told
        self._asked = 0
        self._lags: list[float] = []
        self._looking: asyncio.Task[None] | None = None

    def tell(self, _: int, __: FrameType | None) -> None:
        """The handler of a signal, which Python runs between two steps of the loop: both are of the main thread."""
        self._asked += 1
        fresh = self._told.with_suffix(".fresh")
        fresh.write_text(json.dumps({"asked": self._asked, "tasks": len(asyncio.all_tasks()), "lags": self._lags}))
        fresh.rename(self._told)
        self._lags.clear()
        if self._asked == 1:
            asyncio.get_running_loop().call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        self._looking = asyncio.create_task(self._look())  # kept: the loop itself would let go of it

    async def _look(self) -> None:
        async with lag_watched(self._lags.append, EVERY):
            await asyncio.Event().wait()


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, Watch(Path(sys.argv.pop(1)).resolve()).tell)
    main()

"""The daemon as ever, which besides tells how many tasks it has, whenever it is sent SIGUSR1.

    python -m benchmarks.watched_daemon FILE serve --config …

Each time it writes a line into FILE: how often it was asked, and the number of its tasks.
"""

import asyncio
import itertools
import signal
import sys
from pathlib import Path
from types import FrameType

from claude_proxy.__main__ import main

if __name__ == "__main__":
    told = Path(sys.argv.pop(1)).resolve()
    asked = itertools.count(1)

    def tell(_: int, __: FrameType | None) -> None:
        # Python runs this between two steps of the loop, which is in this thread.
        fresh = told.with_suffix(".fresh")
        fresh.write_text(f"{next(asked)} {len(asyncio.all_tasks())}")
        fresh.rename(told)

    signal.signal(signal.SIGUSR1, tell)
    main()

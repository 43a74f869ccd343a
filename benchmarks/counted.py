"""A program as ever, whose calls are counted: by function, apart for its main thread and all others.

    python -m benchmarks.counted FILE MODULE …

Whenever it is sent SIGUSR1, what was counted since the last time is written into FILE.
"""

import itertools
import json
import runpy
import signal
import sys
import threading
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

counts: Counter[tuple[str, str, str]] = Counter()


def count(frame: FrameType, event: str, called: Any) -> None:
    thread = "main" if threading.current_thread() is threading.main_thread() else "others"
    if event == "call":
        code = frame.f_code
        counts[thread, "Python", f"{code.co_qualname} {_shortened(code.co_filename)}"] += 1
    elif event == "c_call":
        counts[thread, "C", str(getattr(called, "__qualname__", called))] += 1


def _shortened(path: str) -> str:
    """From the package on."""
    for before in ("/site-packages/", "/claude_proxy/", "/python3"):
        _, found, behind = path.rpartition(before)
        if found:
            return behind if before != "/claude_proxy/" else f"claude_proxy/{behind}"
    return path


if __name__ == "__main__":
    told, module = Path(sys.argv[1]).resolve(), sys.argv[2]
    sys.argv = [module, *sys.argv[3:]]
    asked = itertools.count(1)

    def tell(_: int, __: FrameType | None) -> None:
        found, number = dict(counts), next(asked)
        counts.clear()
        fresh = told.with_suffix(".fresh")
        fresh.write_text(json.dumps([number, [[*key, many] for key, many in found.items()]]))
        fresh.rename(told)

    signal.signal(signal.SIGUSR1, tell)
    threading.setprofile(count)
    sys.setprofile(count)
    runpy.run_module(module, run_name="__main__")

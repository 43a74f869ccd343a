"""Work done aside of the event loop, on a thread that nothing else keeps busy and that does not stay."""

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from typing import TypeVar

T = TypeVar("T")


async def aside(work: Callable[[], T]) -> T:
    """What `work` gives; raises what it raises. For what takes milliseconds and ends for certain: an exit waits for it,
    who is cancelled does not.

    Not `asyncio.to_thread`: its threads stay, and a name server that hangs keeps all of them waiting.
    """
    thread = ThreadPoolExecutor(1)
    try:
        return await asyncio.get_running_loop().run_in_executor(thread, work)
    finally:
        thread.shutdown(wait=False)


async def imported(name: str) -> None:
    """After it, to import this module takes no time: the first who needs it has waited for it beside the loop."""
    if name not in sys.modules:
        await aside(partial(import_module, name))

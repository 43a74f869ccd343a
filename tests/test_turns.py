"""What another thread sees of an event loop's turns."""

import asyncio
import threading
import time

from claude_proxy.turns import Turns


def test_a_turn_is_under_way_while_the_loop_works_and_none_while_it_waits() -> None:
    turns, at_work, waiting = Turns(), list[bool](), list[bool]()

    async def work_and_wait() -> None:
        at_work.append(turns.under_way)
        happened = asyncio.Event()
        looker = threading.Thread(target=look, args=(asyncio.get_running_loop(), happened))
        looker.start()
        await happened.wait()
        at_work.append(turns.under_way)
        await asyncio.sleep(0)  # there is more to do: a look for what else has come is no rest
        at_work.append(turns.under_way)
        looker.join()

    def look(loop: asyncio.AbstractEventLoop, happened: asyncio.Event) -> None:
        deadline = time.monotonic() + 10
        while turns.under_way and time.monotonic() < deadline:
            time.sleep(0.001)
        waiting.append(not turns.under_way)
        loop.call_soon_threadsafe(happened.set)

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(turns)) as runner:
        runner.run(work_and_wait())
    assert at_work == [True, True, True]
    assert waiting == [True]

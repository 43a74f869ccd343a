"""Work aside of the event loop: on a thread of its own, for which nobody waits who need not."""

import asyncio
import threading
from functools import partial

import pytest

from claude_proxy.aside import aside, imported
from tests.imported_where import importing
from tests.running import eventually


async def test_it_is_done_on_a_thread_that_does_not_stay() -> None:
    thread = await aside(threading.current_thread)
    assert thread is not threading.current_thread()
    await eventually(lambda: not thread.is_alive())


async def test_what_it_raises_is_raised() -> None:
    with pytest.raises(ValueError, match="no number"):
        await aside(partial(int, "no number"))


async def test_each_has_a_thread_of_its_own() -> None:
    both_are_there = threading.Barrier(12)
    places = await asyncio.gather(*(aside(partial(both_are_there.wait, 10)) for _ in range(12)))
    assert sorted(places) == list(range(12))


async def test_who_is_cancelled_does_not_wait_for_its_end() -> None:
    may_end = threading.Event()
    begun: asyncio.Future[threading.Thread] = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()

    def work() -> bool:
        loop.call_soon_threadsafe(begun.set_result, threading.current_thread())
        return may_end.wait(10)

    waiting = asyncio.create_task(aside(work))
    thread = await begun
    waiting.cancel()
    await asyncio.wait({waiting})
    assert waiting.cancelled()
    assert thread.is_alive()
    may_end.set()
    await eventually(lambda: not thread.is_alive())


async def test_a_module_is_imported_beside_the_loop_and_once() -> None:
    with importing("claude_proxy.observers.scrape") as threads:
        await imported("claude_proxy.observers.scrape")
        before = threading.active_count()
        waiting = imported("claude_proxy.observers.scrape")
        with pytest.raises(StopIteration):  # at once, without a turn of the loop
            waiting.send(None)
        assert threading.active_count() <= before
    assert [thread is threading.current_thread() for thread in threads] == [False]

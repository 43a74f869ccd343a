"""What another thread learns of an event loop's turns."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from claude_proxy.turns import Turns

LONG = 10.0  # seconds, in which what is waited for happens


def run(turns: Turns, work: Callable[[], Awaitable[None]]) -> None:
    async def working() -> None:
        await work()

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(turns)) as runner:
        runner.run(working())


def test_a_loop_that_waits_is_at_rest() -> None:
    turns, found = Turns(), list[bool]()

    async def wait_for_it() -> None:
        found.append(await asyncio.to_thread(turns.await_rest, LONG))

    run(turns, wait_for_it)
    assert found == [True]


def test_a_loop_that_works_is_not_at_rest_until_it_waits() -> None:
    turns, found, awaits = Turns(), list[bool](), threading.Event()

    async def work_then_wait() -> None:
        def look() -> None:
            found.append(turns.await_rest(0.01))  # the loop is held up below
            awaits.set()
            found.append(turns.await_rest(LONG))

        looking = asyncio.create_task(asyncio.to_thread(look))
        await asyncio.sleep(0)
        assert awaits.wait(LONG)
        for _ in range(100):
            await asyncio.sleep(0)  # there is more to do: a look for what else has come is no rest
        await looking

    run(turns, work_then_wait)
    assert found == [False, True]


def test_a_turn_that_only_looks_for_what_has_come_is_under_way() -> None:
    with Turns() as turns:
        turns.select(0)
        assert not turns.await_rest(0.01)
        turns.select(0.0)
        assert not turns.await_rest(0.01)


@contextmanager
def awaited(turns: Turns) -> Iterator[threading.Thread]:
    """A thread that awaits the rest of a turn that is under way, and is told of it within the block."""
    turns.select(0)
    found: list[bool] = []
    waiting = threading.Thread(target=lambda: found.append(turns.await_rest(LONG)))
    waiting.start()
    yield waiting
    waiting.join()
    assert found == [True]


def test_a_rest_that_begins_while_it_is_awaited_is_told_at_once() -> None:
    with Turns() as turns, awaited(turns) as waiting:
        while waiting.is_alive():
            turns.select(0.001)


def test_a_look_for_what_else_has_come_is_not_told_as_a_rest() -> None:
    with Turns() as turns, awaited(turns):
        deadline = time.monotonic() + LONG
        while not turns._is_awaited:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        turns.select(0)
        assert not turns._over.is_set()
        turns.select(0.001)

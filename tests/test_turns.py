"""How much an event loop takes on in one turn, and what another thread learns of its turns."""

import asyncio
import selectors
import socket
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from claude_proxy.turns import Turns, _Queue

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


class Busy:
    """A selector's sockets, all of which have something to read all the time, and a clock that only `serve` moves."""

    def __init__(self, number: int, stack: ExitStack) -> None:
        self.now = 100.0
        self.turns = stack.enter_context(Turns(lambda: self.now))
        self.served: Counter[int] = Counter()
        for index in range(number):
            ours, theirs = socket.socketpair()
            stack.enter_context(ours)
            stack.enter_context(theirs)
            theirs.send(b"something")
            self.turns.register(ours, selectors.EVENT_READ, index)

    def serve(self, seconds: float, timeout: float | None = None) -> int:
        """One turn, in which each socket takes that long; of how many it was told."""
        told = self.turns.select(timeout)
        for key, events in told:
            assert events == selectors.EVENT_READ
            self.served[key.data] += 1
            self.now += seconds
        return len(told)


@pytest.fixture
def busy() -> Iterator[Busy]:
    with ExitStack() as stack:
        yield Busy(40, stack)


def test_a_turn_takes_on_what_fits_in_two_milliseconds(busy: Busy) -> None:
    assert [busy.serve(0.00039) for _ in range(6)] == [1, 2, 4, 5, 5, 5]
    assert [busy.serve(0.003) for _ in range(3)] == [5, 1, 1]


def test_after_a_dear_turn_each_takes_on_twice_as_much_as_the_one_before(busy: Busy) -> None:
    assert [busy.serve(1.0) for _ in range(3)] == [1, 1, 1]
    assert [busy.serve(0.0) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 40, 40]


def test_kqueue_is_asked_for_few_and_told_of_changes_as_ever() -> None:
    """What macOS has in place of epoll; of it there is only the signature here (docs.python.org/3/library/select)."""
    asked: list[tuple[object, int, float | None]] = []

    class Kqueue:
        def control(self, changes: object, most: int, timeout: float | None = None, /) -> list[object]:
            asked.append((changes, most, timeout))
            return []

    queue = _Queue(Kqueue())
    queue.most = 3
    queue.control(["a change"], 0, 0)
    queue.control(None, 40, None)
    queue.control(None, 2, 0.5)
    assert asked == [(["a change"], 0, 0), (None, 3, None), (None, 2, 0.5)]


def test_sockets_are_served_in_their_turn(busy: Busy) -> None:
    while sum(busy.served.values()) < 1_000:
        busy.serve(0.0003, timeout=0)
    assert len(busy.served) == 40
    assert max(busy.served.values()) - min(busy.served.values()) <= 1


def test_a_turn_without_sockets_says_nothing_of_what_they_take(busy: Busy) -> None:
    for _ in range(4):
        busy.serve(0.00039)
    keys = list(busy.turns.get_map().values())
    for key in keys:
        busy.turns.unregister(key.fileobj)
    for _ in range(3):
        assert busy.serve(0.0, timeout=0) == 0
        busy.now += 1.0
    for key in keys:
        busy.turns.register(key.fileobj, key.events, key.data)
    assert busy.serve(0.00039) == 5


def test_no_rest_is_told_while_there_may_be_more(busy: Busy) -> None:
    rests: list[bool] = []
    busy.turns._is_awaited = True
    for _ in range(20):
        assert busy.serve(0.001)
        rests.append(busy.turns._over.is_set())
        busy.turns._over.clear()
    assert rests == [True] + [False] * 19


def test_a_loop_that_has_served_all_that_came_is_at_rest() -> None:
    with ExitStack() as stack:
        busy = Busy(2, stack)
        assert [busy.serve(0.0015) for _ in range(2)] == [1, 1]
        for key in list(busy.turns.get_map().values()):
            busy.turns.unregister(key.fileobj)
        busy.turns._is_awaited = True
        assert busy.serve(0.0, timeout=0.001) == 0
        assert busy.turns._over.is_set()


def test_timers_and_clients_do_not_wait_until_all_others_are_served() -> None:
    """With the real clock: each of forty sockets holds the loop up for 2 ms, and a step that is always due goes on
    between them."""
    served: list[socket.socket] = []
    steps: list[int] = []

    async def work() -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        with ExitStack() as stack:
            for _ in range(40):
                ours, theirs = socket.socketpair()
                stack.enter_context(ours)
                stack.enter_context(theirs)
                ours.setblocking(False)
                theirs.send(b"something")
                loop.add_reader(ours, serve, loop, ours, done)
            while not done.done():
                steps.append(len(served))
                await asyncio.sleep(0)

    def serve(loop: asyncio.AbstractEventLoop, ours: socket.socket, done: asyncio.Future[None]) -> None:
        loop.remove_reader(ours)
        held = time.perf_counter() + 0.002
        while time.perf_counter() < held:
            pass
        served.append(ours)
        if len(served) == 40:
            done.set_result(None)

    run(Turns(), work)
    assert sorted(set(steps)) == list(range(40))

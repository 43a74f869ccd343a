"""A read that may block for ever: on a thread of its own, once at a time, waited for with limited patience."""

import asyncio
import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from claude_proxy.credentials.blocking import BlockingRead, ReadTimedOut

SHORT = 0.02
LONG = 60.0


class Held:
    """A blocking function that waits for the test, then gives a value or raises."""

    def __init__(self, outcome: str | Exception = "value") -> None:
        self.outcome = outcome
        self.threads: list[threading.Thread] = []
        self.begun = threading.Event()
        self.gate = threading.Event()

    def __call__(self) -> str:
        self.threads.append(threading.current_thread())
        self.begun.set()
        assert self.gate.wait(60)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


@contextmanager
def held(outcome: str | Exception = "value") -> Iterator[Held]:
    """Lets the threads go in the end, so that none outlives its test."""
    function = Held(outcome)
    try:
        yield function
    finally:
        function.gate.set()
        for thread in function.threads:
            thread.join(20)


async def test_the_result_of_the_function_comes_back() -> None:
    read = BlockingRead(lambda: "value", LONG)
    assert await read() == "value"
    assert await read() == "value"
    assert read.count == 2


async def test_asyncio_has_nothing_to_tell_of_what_was_read(caplog: pytest.LogCaptureFixture) -> None:
    """In its debug mode it logs each callback that takes long, with the arguments; here every one does."""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0
    read = BlockingRead(lambda: "FAKE-key", LONG)
    with caplog.at_level("WARNING", "asyncio"):
        assert await read() == "FAKE-key"
    assert "settle" in caplog.text
    assert "FAKE" not in caplog.text


async def test_none_is_a_result_like_any_other() -> None:
    def nothing() -> str | None:
        return None

    assert await BlockingRead(nothing, LONG)() is None


async def test_the_event_loop_goes_on_while_the_function_blocks() -> None:
    with held() as function:
        waiting = asyncio.create_task(BlockingRead(function, LONG)())
        await asyncio.to_thread(function.begun.wait, 20)
        assert not waiting.done()
        function.gate.set()
        assert await waiting == "value"
        assert function.threads[0] is not threading.main_thread()


async def test_the_thread_does_not_keep_the_process_from_ending() -> None:
    with held() as function:
        read = BlockingRead(function, SHORT)
        with pytest.raises(ReadTimedOut):
            await read()
        assert function.threads[0].daemon


async def test_who_comes_while_a_read_is_under_way_waits_for_that_one() -> None:
    with held() as function:
        read = BlockingRead(function, LONG)
        waiting = [asyncio.create_task(read()) for _ in range(50)]
        await asyncio.to_thread(function.begun.wait, 20)
        function.gate.set()
        assert await asyncio.gather(*waiting) == ["value"] * 50
        assert read.count == len(function.threads) == 1


async def test_a_waiter_that_is_cancelled_does_not_end_the_read_of_others() -> None:
    with held() as function:
        read = BlockingRead(function, LONG)
        first, second = asyncio.create_task(read()), asyncio.create_task(read())
        await asyncio.to_thread(function.begun.wait, 20)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        function.gate.set()
        assert await second == "value"


async def test_what_the_function_raises_comes_back() -> None:
    with held(OSError("broken")) as function:
        function.gate.set()
        with pytest.raises(OSError, match=r"^broken$"):
            await BlockingRead(function, LONG)()


async def test_a_timeout_of_the_function_itself_is_not_taken_for_ours() -> None:
    with held(TimeoutError("the bus is silent")) as function:
        function.gate.set()
        with pytest.raises(TimeoutError, match="the bus is silent"):
            await BlockingRead(function, LONG)()


async def test_patience_ends_and_says_how_long_it_lasted() -> None:
    with held() as function, pytest.raises(ReadTimedOut, match=r"no answer within 0\.02 s"):
        await BlockingRead(function, SHORT)()


async def test_a_failure_that_nobody_waits_for_any_more_is_no_error_of_its_own() -> None:
    unhandled: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
    with held(OSError("broken")) as function:
        read = BlockingRead(function, SHORT)
        with pytest.raises(ReadTimedOut):
            await read()
    with pytest.raises(OSError, match="broken"):
        await BlockingRead(function, LONG)()  # the loop has by now seen the end of the first as well
    del read, function
    gc.collect()
    assert unhandled == []


async def test_a_read_that_never_ends_does_not_shut_out_those_that_come_later() -> None:
    answers = iter(("never", "value"))
    gate = threading.Event()

    def function() -> str:
        if next(answers) == "never":
            assert gate.wait(60)
            return "too late"
        return "value"

    read = BlockingRead(function, SHORT)
    found: list[str] = []
    try:
        for _ in range(10):  # how often the hanging one is waited for before another is begun is not promised
            try:
                found.append(await read())
                break
            except ReadTimedOut:
                continue
    finally:
        gate.set()
    assert found == ["value"]


async def test_patience_that_ends_with_an_old_read_says_nothing_of_the_newer_one() -> None:
    with held() as function:
        read = BlockingRead(function, 0.2)

        async def give_up(*, and_come_again: bool) -> str | None:
            with pytest.raises(ReadTimedOut):
                await read()
            return await read() if and_come_again else None

        first = asyncio.create_task(give_up(and_come_again=True))
        second = asyncio.create_task(give_up(and_come_again=False))  # waits for the old read, a little longer
        await second
        third = asyncio.create_task(read())
        await asyncio.sleep(0)
        function.gate.set()
        assert [await first, await third] == ["value", "value"]
        assert read.count == 2


async def test_reads_that_never_end_do_not_pile_up_without_bound() -> None:
    with held() as function:
        read = BlockingRead(function, 0.001)
        for _ in range(40):
            with pytest.raises(ReadTimedOut):
                await read()
        assert read.count <= 8


def test_a_result_that_comes_after_the_loop_has_closed_is_dropped(
    recwarn: pytest.WarningsRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: list[object] = []
    monkeypatch.setattr(threading, "excepthook", failed.append)
    with held() as function:

        async def give_up() -> None:
            with pytest.raises(ReadTimedOut):
                await BlockingRead(function, SHORT)()

        asyncio.run(give_up())
    assert failed == []
    assert list(recwarn) == []

"""What is in flight is counted, and a drain waits until none of it is left."""

import asyncio

import pytest

from claude_proxy.web.drain import Drain


async def test_what_is_in_flight_is_counted() -> None:
    drain = Drain()
    assert drain.in_flight == 0
    with drain.request(), drain.request():
        assert drain.in_flight == 2
    assert drain.in_flight == 0


async def test_what_fails_or_is_cancelled_is_no_longer_in_flight() -> None:
    drain = Drain()
    for error in (ValueError(), asyncio.CancelledError()):
        with pytest.raises(type(error)), drain.request():
            raise error
    assert drain.in_flight == 0


async def test_beginning_says_so_and_cuts_nothing_off() -> None:
    drain = Drain()
    states = [drain.draining]
    with drain.request():
        drain.begin()
        states.append(drain.draining)
        assert drain.in_flight == 1
    assert states == [False, True]


async def test_nothing_in_flight_is_empty_at_once() -> None:
    await asyncio.wait_for(Drain().empty(), 5)


async def test_it_is_empty_when_the_last_one_has_ended_and_not_before() -> None:
    drain = Drain()
    with drain.request():
        with drain.request():
            waiting = asyncio.create_task(drain.empty())
            await asyncio.sleep(0)
            assert not waiting.done()
        await asyncio.sleep(0)
        assert not waiting.done()
    await asyncio.wait_for(waiting, 5)


async def test_what_comes_after_it_was_empty_is_waited_for_again() -> None:
    drain = Drain()
    with drain.request():
        pass
    with drain.request():
        waiting = asyncio.create_task(drain.empty())
        await asyncio.sleep(0)
        assert not waiting.done()
    await asyncio.wait_for(waiting, 5)


async def test_a_guest_is_sent_away_when_draining_begins_and_waited_for_by_nobody() -> None:
    drain, left = Drain(), list[str]()

    async def stay() -> None:
        async with drain.guest():
            await asyncio.Event().wait()
        left.append("quietly")

    staying = [asyncio.create_task(stay()) for _ in range(3)]
    await asyncio.sleep(0)
    assert drain.in_flight == 0
    await asyncio.wait_for(drain.empty(), 5)
    drain.begin()
    await asyncio.wait_for(asyncio.gather(*staying), 5)
    assert left == ["quietly"] * 3


async def test_a_guest_that_comes_while_draining_is_sent_away_at_once_and_not_after_a_resumption() -> None:
    drain = Drain()
    drain.begin()
    async with drain.guest():
        await asyncio.wait_for(asyncio.Event().wait(), 5)
    drain.resume()
    async with drain.guest():
        await asyncio.sleep(0.01)
        stayed = True
    assert stayed


async def test_a_guest_s_own_troubles_are_not_taken_for_the_end() -> None:
    drain = Drain()
    for error in (TimeoutError(), ValueError(), asyncio.CancelledError()):
        with pytest.raises(type(error)):
            async with drain.guest():
                raise error
    drain.begin()

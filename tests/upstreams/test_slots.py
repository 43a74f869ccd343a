"""Places at an upstream: never more than there are, in order of arrival, and nobody waits for ever."""

import asyncio
from collections.abc import Callable

import pytest

from claude_proxy.failures import AttemptFailed, FailureKind
from claude_proxy.upstreams.slots import Slots, SlotSettings
from tests.in_process import turns_of_the_loop


async def taken(slots: Slots) -> Callable[[], None]:
    async with asyncio.timeout(10):
        return await slots.take()


async def test_without_a_limit_nobody_waits_and_all_are_counted() -> None:
    slots = Slots("claude", SlotSettings())
    releases = [await taken(slots) for _ in range(500)]
    assert (slots.limit, slots.in_use, slots.waiting) == (0, 500, 0)
    for release in releases:
        release()
    assert slots.in_use == 0


async def test_who_comes_first_is_served_first() -> None:
    slots = Slots("minimax", SlotSettings(max_concurrency=2))
    releases = [await taken(slots) for _ in range(2)]
    order: list[int] = []

    async def wait(number: int) -> None:
        releases.append(await taken(slots))
        order.append(number)

    tasks = [asyncio.create_task(wait(number)) for number in range(8)]
    await turns_of_the_loop()
    assert (slots.in_use, slots.waiting) == (2, 8)
    for served in range(8):
        releases.pop(0)()
        await turns_of_the_loop()
        assert order == list(range(served + 1))
        assert slots.in_use == 2
    await asyncio.gather(*tasks)


async def test_a_place_is_given_back_once_however_often_that_is_said() -> None:
    slots = Slots("minimax", SlotSettings(max_concurrency=1, max_queue=0))
    release = await taken(slots)
    release()
    release()
    await taken(slots)
    assert slots.in_use == 1
    with pytest.raises(AttemptFailed):
        await taken(slots)


async def test_a_full_queue_refuses_and_says_when_to_come_again_and_what_to_change() -> None:
    slots = Slots("minimax", SlotSettings(max_concurrency=1, max_queue=1))
    release = await taken(slots)
    waiting = asyncio.create_task(slots.take())
    await turns_of_the_loop()
    with pytest.raises(AttemptFailed) as refused:
        await taken(slots)
    failure = refused.value.failure
    assert (failure.kind, failure.upstream, failure.client_status) == (FailureKind.QUEUE_FULL, "minimax", 529)
    assert failure.retry_after
    assert "upstreams.minimax.max_concurrency" in failure.message
    release()
    (await waiting)()
    assert (slots.in_use, slots.waiting) == (0, 0)


async def test_nobody_waits_longer_than_is_set() -> None:
    slots = Slots("minimax", SlotSettings(max_concurrency=1, queue_timeout=0.05))
    await taken(slots)
    with pytest.raises(AttemptFailed) as refused:
        await taken(slots)
    assert "none of them ended within 0.05 s" in refused.value.failure.message
    assert slots.waiting == 0


async def test_who_leaves_while_waiting_leaves_the_queue_and_takes_nobodys_place() -> None:
    slots = Slots("minimax", SlotSettings(max_concurrency=1, max_queue=2))
    release = await taken(slots)
    first, second = (asyncio.create_task(slots.take()) for _ in range(2))
    await turns_of_the_loop()
    first.cancel()
    await turns_of_the_loop()
    assert slots.waiting == 1
    release()
    (await second)()
    assert (slots.in_use, slots.waiting) == (0, 0)


async def test_who_leaves_at_the_moment_a_place_comes_free_hands_it_on() -> None:
    slots = Slots("minimax", SlotSettings(max_concurrency=1))
    release = await taken(slots)
    first, second = (asyncio.create_task(slots.take()) for _ in range(2))
    await turns_of_the_loop()
    release()
    first.cancel()
    (await asyncio.wait_for(second, 10))()
    assert (slots.in_use, slots.waiting) == (0, 0)

"""How the demo ends: what runs is finished, a second signal ends it at once, and nothing of it is ever left."""

import asyncio
import contextlib
import itertools
import re
import signal
from collections.abc import AsyncIterator

import aiohttp
import pytest

from claude_proxy.demo.stage import UNANSWERED, asked_itself
from tests.asking import ask
from tests.closed_port import refusing_url
from tests.demo.playing import ASKED, TOKEN, Demo, Place, asked, playing
from tests.raw_client import connected
from tests.running import eventually


async def is_refused(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


async def assert_nothing_is_left(demo: Demo, files: dict[str, bytes]) -> None:
    assert demo.place.left_behind() == []
    assert demo.place.files() == files
    assert await is_refused(demo.port)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_any_of_three_signals_ends_it_and_nothing_is_left(place: Place, number: signal.Signals) -> None:
    files = place.files()
    async with playing(place) as demo:
        assert not await is_refused(demo.port)
        demo.signal(number)
        assert await demo.ended() == 0
        await assert_nothing_is_left(demo, files)
    assert demo.lines[-1] == "Ended. Nothing was left behind."


async def test_a_stream_that_runs_is_finished_first(place: Place) -> None:
    files = place.files()
    async with playing(place) as demo, aiohttp.ClientSession() as session:
        async with session.post(f"{demo.url}/v1/messages", json=ASKED, headers=TOKEN) as reply:
            async with asyncio.timeout(20):
                begun = await reply.content.readuntil(b"\n\n")
            demo.signal(signal.SIGINT)
            async with asyncio.timeout(20):
                rest = await reply.content.read()
        assert b"event: message_start" in begun
        assert b"event: message_stop" in rest
        assert await demo.ended() == 0
        await assert_nothing_is_left(demo, files)
    assert any(re.search("→ claude +200 ", line) for line in demo.table)


@contextlib.asynccontextmanager
async def held_up(demo: Demo) -> AsyncIterator[None]:
    """A request whose body never comes: it is in flight for as long as one likes, however slow this machine is."""
    head = f"POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1:{demo.port}\r\nAuthorization: Bearer demo\r\n"
    async with connected(demo.port) as client:
        await client.send(f"{head}Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{{".encode())
        async with asyncio.timeout(20):
            while (await ask(f"{demo.url}/livez", method="GET")).json()["in_flight"] == 0:
                await asyncio.sleep(0.01)
        yield
        assert (await client.end()).statuses == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_second_signal_ends_it_at_once_and_nothing_is_left_either(place: Place, number: signal.Signals) -> None:
    files = place.files()
    async with playing(place) as demo, held_up(demo), aiohttp.ClientSession() as session:
        async with session.post(f"{demo.url}/v1/messages", json=ASKED, headers=TOKEN) as reply:
            async with asyncio.timeout(20):
                await reply.content.readuntil(b"\n\n")
            demo.signal(signal.SIGINT)
            await demo.until(r"^Finishing \d running, for 5 s at most; Ctrl-C again ends")
            demo.signal(number)
            assert await demo.ended() == 130
        await assert_nothing_is_left(demo, files)
    assert demo.lines[-1] == "Ended. Nothing was left behind."


async def test_what_takes_too_long_is_cut_off(place: Place) -> None:
    files = place.files()
    async with playing(place) as demo, held_up(demo):
        demo.signal(signal.SIGTERM)
        assert await demo.ended() == 130
        await assert_nothing_is_left(demo, files)


async def test_signals_without_end_do_not_kill_what_is_leaving(place: Place) -> None:
    files = place.files()
    async with playing(place) as demo:
        for number in itertools.cycle([signal.SIGINT, signal.SIGTERM, signal.SIGHUP]):
            if demo.process.returncode is not None:
                break
            demo.signal(number)
            await asyncio.sleep(0.001)  # more at once than the loop can take would be told on stderr
        assert await demo.ended() in {0, 130}
        await assert_nothing_is_left(demo, files)
    assert demo.lines[-1] == "Ended. Nothing was left behind."


async def test_a_signal_at_the_start_leaves_nothing_either(place: Place) -> None:
    """In the very moment in which there is something to leave behind."""
    async with playing(place, wait=False) as demo:
        await eventually(lambda: place.left_behind() != [], seconds=20)
        demo.signal(signal.SIGTERM)
        assert await demo.ended() == 0
    assert place.left_behind() == []


async def test_it_goes_on_where_nobody_reads_its_lines(place: Place) -> None:
    async with playing(place) as demo:
        assert demo.process.stdout is not None
        transport = demo.process._transport.get_pipe_transport(1)  # type: ignore[attr-defined]  # no public way
        transport.close()
        for _ in range(2):
            assert (await asked(demo, ASKED)).status == 200
        demo.signal(signal.SIGINT)
        async with asyncio.timeout(20):
            assert await demo.process.wait() == 0
    assert place.left_behind() == []


async def test_its_own_questions_can_be_cut_off(place: Place) -> None:
    async with playing(place, "--once", wait=False) as demo:
        await demo.until("^TIME ")
        demo.signal(signal.SIGINT)
        assert await demo.ended() == 130
    assert place.left_behind() == []


async def test_its_own_questions_without_an_answer_are_told_by_the_exit_code() -> None:
    with refusing_url() as url:
        assert await asked_itself(url, asyncio.Queue()) == UNANSWERED == 1


async def test_two_at_a_time_do_not_meet(place: Place) -> None:
    async with playing(place) as first, playing(place) as second:
        assert first.port != second.port
        assert (await asked(first, ASKED)).status == (await asked(second, ASKED)).status == 200
        first.signal(signal.SIGINT)
        assert await first.ended() == 0
        assert (await asked(second, ASKED)).status == 200
        second.signal(signal.SIGINT)
        assert await second.ended() == 0
    assert place.left_behind() == []

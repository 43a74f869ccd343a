"""`/api/events`: what happens is told as it happens, nothing twice; nobody who listens is in anybody's way."""

import asyncio
import contextlib
import re
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from claude_proxy.ledger.pricing import Pricing
from claude_proxy.observers.live import KEPT, LiveEvents
from claude_proxy.web.drain import Drain
from claude_proxy.web.events import MOST_LISTENERS, EventsDoor
from tests.asking import ask
from tests.claude_request import claude_body
from tests.in_process import LOGIN, InProcess, in_process, turns_of_the_loop
from tests.observers.closed_exchanges import exchange
from tests.raw_client import connected, request
from tests.running import eventually, running
from tests.stand_in import StandIn
from tests.web.knocking import knock, told
from tests.web.listening import Listener, listening
from tests.web.serving import serving

HOST = "127.0.0.1"


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[InProcess]:
    async with (
        StandIn() as upstream,
        in_process(tmp_path, {"upstreams": {"claude": {"base_url": upstream.url}}}) as daemon,
    ):
        yield daemon


@contextlib.asynccontextmanager
async def door(live: LiveEvents, **times: float) -> AsyncIterator[tuple[int, Drain, EventsDoor]]:
    """The port of a door of these events alone."""
    drain = Drain()
    events = EventsDoor(live, drain, **{"pace": 0.0, **times})
    async with serving(events.answer) as port:
        yield port, drain, events


def happen(live: LiveEvents, number: int = 1) -> None:
    for _ in range(number):
        live.closed(exchange())


async def test_a_request_is_told_as_it_begins_and_as_it_ends(daemon: InProcess) -> None:
    async with listening(daemon.port) as listener:
        assert listener.head.startswith("HTTP/1.1 200")
        for header in ("text/event-stream", "Cache-Control: no-store", "Connection: close"):
            assert header in listener.head
        answer = await ask(f"{daemon.url}/v1/messages", claude_body(stream=True), LOGIN)
        begin, end = await listener.heard(2)
    assert (begin.name, end.name) == ("begin", "end")
    assert begin.data["id"] == end.data["id"] == answer.headers["x-claude-proxy-request-id"]
    assert begin.id is not None
    assert end.id == begin.id + 1
    assert (end.data["upstream"], end.data["status"], end.data["end"]) == ("claude", 200, "complete")
    assert end.data["output_tokens"] > 0


async def test_who_comes_again_is_told_what_came_meanwhile_and_nothing_twice() -> None:
    live = LiveEvents(Pricing())
    async with door(live) as (port, _, _):
        async with listening(port, host=HOST) as listener:
            happen(live, 2)
            first = await listener.heard(2)
        happen(live, 250)
        async with listening(port, [("Last-Event-ID", str(first[-1].id))], host=HOST) as again:
            happen(live)
            rest = await again.heard(251)
    ids = [event.id for event in first + rest]
    assert ids == list(range(live.last - 252, live.last + 1))


async def test_a_page_may_say_in_its_address_from_where_on() -> None:
    live = LiveEvents(Pricing())
    happen(live, 5)
    async with door(live) as (port, _, _):
        async with listening(port, query=f"?last_event_id={live.last - 2}", host=HOST) as listener:
            assert [event.id for event in await listener.heard(2)] == [live.last - 1, live.last]
        both = [("Last-Event-ID", str(live.last - 1))]
        async with listening(port, both, f"?last_event_id={live.last - 4}", host=HOST) as listener:
            assert [event.id for event in await listener.heard(1)] == [live.last]


async def test_who_was_away_for_too_long_is_told_so_and_then_what_is_kept() -> None:
    live = LiveEvents(Pricing())
    before = live.last
    happen(live, KEPT + 1)
    async with door(live) as (port, _, _), listening(port, query=f"?last_event_id={before}", host=HOST) as listener:
        missed, *kept = await listener.heard(KEPT + 1)
    assert (missed.name, missed.id) == ("missed", None)
    assert [event.id for event in kept] == list(range(before + 2, live.last + 1))


@pytest.mark.parametrize("said", ["x", "-1", "1.5", ""])
async def test_an_id_that_is_none_is_refused_by_name(daemon: InProcess, said: str) -> None:
    answer = await knock(daemon, "GET", "/api/events", [("Last-Event-ID", said)])
    assert (answer.status, answer.header("x-claude-proxy-error")) == (400, "bad_parameter")
    assert "Last-Event-ID: expected a whole number" in told(answer)
    if said:
        answer = await knock(daemon, "GET", f"/api/events?last_event_id={said}")
        assert "last_event_id: expected a whole number" in told(answer)


async def test_a_head_is_answered_without_listening(daemon: InProcess) -> None:
    async with connected(daemon.port) as client:
        await client.send(request("HEAD", "/api/events", host=f"127.0.0.1:{daemon.port}"))
        assert (await client.end()).raw.startswith(b"HTTP/1.1 200")


async def test_silence_is_broken_by_comments() -> None:
    async with door(LiveEvents(Pricing()), alive=0.01) as (port, _, _), listening(port, host=HOST) as listener:
        await listener.sees(": still here\n\n: still here\n\n")
        assert listener.events == []


async def test_a_busy_daemon_is_told_in_few_pieces() -> None:
    live = LiveEvents(Pricing())
    async with door(live, pace=0.2) as (port, _, _), listening(port, host=HOST) as listener:
        await listener.sees("retry:")
        for _ in range(50):
            happen(live)
            await asyncio.sleep(0)
        await listener.heard(50)
        assert bytes(listener.connection.raw).count(b"\r\nid: ") <= 2  # chunks that begin with an event


async def test_there_is_room_for_some_and_again_when_one_has_left() -> None:
    async with door(LiveEvents(Pricing())) as (port, _, events), contextlib.AsyncExitStack() as stack:
        for _ in range(MOST_LISTENERS - 1):
            await stack.enter_async_context(listening(port, host=HOST))
        async with listening(port, host=HOST), listening(port, host=HOST) as one_more:
            assert one_more.head.startswith("HTTP/1.1 503")
            assert "x-claude-proxy-error: listeners" in one_more.head
        await eventually(lambda: events.listeners == MOST_LISTENERS - 1)
        async with listening(port, host=HOST) as next_one:
            assert next_one.head.startswith("HTTP/1.1 200")


@contextlib.asynccontextmanager
async def who_does_not_read(port: int) -> AsyncIterator[socket.socket]:
    """Asks for events and then reads none of them."""
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await loop.sock_connect(client, ("127.0.0.1", port))
        await loop.sock_sendall(client, request("GET", "/api/events", host=HOST))
        yield client


async def rest_of(client: socket.socket) -> bytes:
    """The end of what came, read until the other side closed."""
    loop, came = asyncio.get_running_loop(), b""
    async with asyncio.timeout(20):
        while piece := await loop.sock_recv(client, 1 << 20):
            came = (came + piece)[-100:]
    return came


MORE_THAN_SOCKETS_HOLD = 25_000  # events; some 10 MB


async def keep_busy(live: LiveEvents) -> None:
    """More happens than waits in sockets; who reads has the time to."""
    for _ in range(MORE_THAN_SOCKETS_HOLD // 100):
        happen(live, 100)
        await turns_of_the_loop(20)


async def test_who_does_not_read_is_sent_away_after_a_while() -> None:
    live = LiveEvents(Pricing())
    async with door(live, patience=0.1) as (port, _, events), who_does_not_read(port) as slow:
        await eventually(lambda: events.listeners == 1)
        await keep_busy(live)
        await eventually(lambda: events.listeners == 0)
        assert not (await rest_of(slow)).endswith(b"\r\n0\r\n\r\n")  # nothing is kept for it, not even the end


def _last_heard(raw: bytearray) -> int:
    ids = re.findall(rb"^id: (\d+)$", raw[-4000:], re.MULTILINE)
    return int(ids[-1]) if ids else 0


async def test_who_falls_behind_is_sent_away_and_nobody_else() -> None:
    live = LiveEvents(Pricing())
    async with (
        door(live, pace=0.0) as (port, _, events),
        listening(port, host=HOST) as listener,
        who_does_not_read(port) as slow,
    ):
        await eventually(lambda: events.listeners == 2)
        raw = listener.connection.raw
        last = live.last + MORE_THAN_SOCKETS_HOLD
        reading = asyncio.create_task(listener.connection.read_until(lambda _: b"id: %d\n" % last in raw[-4000:]))
        async with asyncio.timeout(60):
            while live.last < last:
                happen(live, 100)
                await turns_of_the_loop(20)
                while live.last - _last_heard(raw) > KEPT // 2:
                    await asyncio.sleep(0)  # the one that reads is not left behind, however busy the machine is
        assert await reading
        await rest_of(slow)
        assert events.listeners == 1
    assert bytes(raw).count(b"\nevent: end\n") == MORE_THAN_SOCKETS_HOLD


async def test_a_drain_sends_all_listeners_away_at_once_and_properly() -> None:
    live = LiveEvents(Pricing())
    async with (
        door(live) as (port, drain, events),
        listening(port, host=HOST) as one,
        listening(port, host=HOST) as two,
    ):
        happen(live)
        await one.heard(1)
        await two.heard(1)
        drain.begin()
        await one.end()
        await two.end()
        assert (one.ended, two.ended) == (True, True)
        assert events.listeners == 0
        async with listening(port, host=HOST) as late:
            await late.end()
            assert late.ended


async def test_a_drain_is_not_held_up_by_who_does_not_read() -> None:
    live = LiveEvents(Pricing())
    async with door(live) as (port, drain, events), who_does_not_read(port):
        await eventually(lambda: events.listeners == 1)
        await keep_busy(live)
        assert events.listeners == 1
        drain.begin()
        await eventually(lambda: events.listeners == 0)


async def test_listeners_are_no_requests_in_flight(daemon: InProcess) -> None:
    async with listening(daemon.port):
        assert (await daemon.livez())["in_flight"] == 0


async def test_the_daemon_ends_though_somebody_listens(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon, listening(daemon.port) as listener:
        await listener.sees("retry:")
        daemon.signal(signal.SIGTERM)
        await listener.end()
        assert listener.ended
        assert await daemon.ended(5) == 0
    assert "Traceback" not in daemon.log


async def test_a_listener_that_leaves_leaves_nothing(daemon: InProcess) -> None:
    async with listening(daemon.port) as listener:
        assert isinstance(listener, Listener)
    answer = await ask(f"{daemon.url}/v1/messages", claude_body(), LOGIN)
    assert answer.status == 200
    assert daemon.logged("observer_failed") == []

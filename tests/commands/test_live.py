"""The daemon's live events, from a stand-in that speaks as the daemon does and breaks off where a test says so."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from claude_proxy.commands.live import Event, NotListening, follow
from tests.closed_port import refusing_url
from tests.running import eventually
from tests.stand_in import Answer, Received, StandIn, Wire, read_request, replies

EVENT_STREAM = [("Content-Type", "text/event-stream; charset=utf-8")]


def event(number: int, name: str = "end", **data: Any) -> bytes:
    return f"id: {number}\nevent: {name}\ndata: {json.dumps(data)}\n\n".encode()


def tells(*chunks: bytes, cut: bool = False) -> Answer:
    """A stream of events with the daemon's own comments in it, which then ends; `cut`: as when it is killed."""

    async def answer(_: Received, wire: Wire) -> None:
        await wire.head(200, [*EVENT_STREAM, ("Transfer-Encoding", "chunked"), ("Connection", "close")])
        for chunk in (b"retry: 2000\n\n", *chunks, b": still here\n\n"):
            await wire.chunk(chunk)
        if not cut:
            await wire.end()
        wire.close()

    return answer


def refuses(status: int, kind: str, message: str = "no") -> Answer:
    body = json.dumps({"error": {"message": message}}).encode()
    return replies(status, body, [("Content-Type", "application/json"), ("x-claude-proxy-error", kind)])


class Listening:
    """What is heard on a thread, and what was said when the connection was gone."""

    def __init__(self, port: int, **environment: str) -> None:
        self.gone: list[str] = []
        self._pauses = 0
        self._events: Iterator[Event] = follow("127.0.0.1", port, environment, self.gone.append, self._pause)

    def _pause(self, _: float) -> None:
        """Shorter than a user's; and not for ever, which would outlive the test."""
        self._pauses += 1
        assert self._pauses < 1000, self.gone
        time.sleep(0.01)

    async def hear(self, number: int) -> list[Event]:
        return await asyncio.to_thread(lambda: [next(self._events) for _ in range(number)])

    async def refusal(self) -> NotListening:
        with pytest.raises(NotListening) as refused:
            await self.hear(1)
        return refused.value


async def test_events_are_heard_however_they_are_cut() -> None:
    first, second = event(7, "begin", id="a", model="é"), event(8, id="a", status=200)
    whole = first + second
    async with StandIn(tells(*(whole[at : at + 3] for at in range(0, len(whole), 3)))) as daemon:
        heard = await Listening(daemon.port).hear(2)
    assert heard == [Event(7, "begin", {"id": "a", "model": "é"}), Event(8, "end", {"id": "a", "status": 200})]
    assert daemon.received[0].path == "/api/events"
    assert daemon.received[0].header("last-event-id") is None


@pytest.mark.parametrize("cut", [False, True])
async def test_it_comes_back_with_the_last_id_and_says_once_that_it_was_gone(*, cut: bool) -> None:
    async with StandIn(tells(event(9))) as daemon:
        daemon.then(tells(event(7), event(8), cut=cut), refuses(503, "draining"), refuses(503, "draining"))
        listening = Listening(daemon.port)
        heard = await listening.hear(3)
        assert [one.id for one in heard] == [7, 8, 9]
        assert len(listening.gone) == 1
        assert [one.header("last-event-id") for one in daemon.received[:4]] == [None, "8", "8", "8"]
        await listening.hear(1)
        assert len(listening.gone) == 2


async def test_a_daemon_that_is_down_for_a_while_is_waited_for() -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received = await read_request(reader)
        assert received is not None
        assert received.header("last-event-id") == "1"
        await tells(event(2))(received, Wire(reader, writer))

    async with StandIn(tells(event(1))) as daemon:
        port = daemon.port
        listening = Listening(port)
        await listening.hear(1)
    again = asyncio.create_task(listening.hear(1))
    await eventually(lambda: bool(listening.gone))
    async with await asyncio.start_server(accept, "127.0.0.1", port):
        assert await again == [Event(2, "end", {})]
    assert len(listening.gone) == 1


async def test_what_is_no_event_of_ours_has_no_data() -> None:
    async with StandIn(tells(b"event: missed\ndata: {}\n\n", b"event: odd\nid: x\ndata: [1\n\n")) as daemon:
        assert await Listening(daemon.port).hear(2) == [Event(None, "missed", {}), Event(None, "odd", {})]


async def test_secrets_go_to_the_daemon_where_they_are_set() -> None:
    async with StandIn(tells(event(1))) as daemon:
        await Listening(daemon.port, AUTH_TOKEN="FAKE-token", DASHBOARD_PASSWORD="FAKE-pässword").hear(1)
    assert daemon.received[0].header("x-claude-proxy-token") == "FAKE-token"
    assert daemon.received[0].header("authorization") == "Basic OkZBS0UtcMOkc3N3b3Jk"


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (refuses(404, "not_found"), 1, "it is of another version; restart it"),
        (refuses(401, "password"), 4, "set DASHBOARD_PASSWORD here"),
        (refuses(403, "access_token"), 4, "set AUTH_TOKEN here"),
        (refuses(421, "misdirected", "this Host is not served here"), 1, "refuses: this Host is not served here"),
        (replies(404, b"<html>", [("Content-Type", "text/html")]), 3, "another program answers there (HTTP 404)"),
        (replies(200, b"{}"), 3, "another program"),
        (replies(503, b"busy"), 3, "another program"),
    ],
)
async def test_a_refusal_says_what_to_do(answer: Answer, code: int, words: str) -> None:
    async with StandIn(answer) as daemon:
        refused = await Listening(daemon.port).refusal()
    assert (refused.code, words in str(refused)) == (code, True)


async def test_nobody_at_first_is_said_at_once() -> None:
    with refusing_url() as url:
        refused = await Listening(int(url.rpartition(":")[2])).refusal()
    assert refused.code == 3
    assert "no daemon answers on 127.0.0.1:" in str(refused)

"""A limit of concurrency: never more at the upstream than it takes, in order, and nobody waits without a bound."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.asking import Reply, ask
from tests.claude_request import claude_body
from tests.in_process import LOGIN, InProcess, in_process
from tests.raw_client import connected, request
from tests.running import eventually
from tests.stand_in import Received, StandIn, Wire, fails, message_json, says, text_stream, two

LIMIT = 5


class Gate:
    """An upstream that answers only when it is told to, and knows how many it holds."""

    def __init__(self) -> None:
        self.held: list[tuple[str, asyncio.Event]] = []
        self.most = 0
        self.served: list[str] = []

    async def __call__(self, received: Received, wire: Wire) -> None:
        name = received.json()["messages"][0]["content"][0]["text"]
        go = asyncio.Event()
        self.held.append((name, go))
        self.most = max(self.most, len(self.held))
        self.served.append(name)
        leaving = asyncio.create_task(wire.reader.read(1))
        going = asyncio.create_task(go.wait())
        try:
            await asyncio.wait({leaving, going}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.held = [pair for pair in self.held if pair[1] is not go]
            leaving.cancel()
            going.cancel()
        if not go.is_set():
            wire.keep_alive = False
        elif received.json()["stream"]:
            await wire.start_stream()
            for event in text_stream(name):
                await wire.chunk(event)
            await wire.end()
            wire.close()
        else:
            await wire.reply(200, message_json(name), [("Content-Type", "application/json"), ("Connection", "close")])
            wire.close()

    def let_go(self, number: int = 1) -> None:
        for _, go in self.held[:number]:
            go.set()


async def finish(gate: Gate, tasks: list[asyncio.Task[Reply]]) -> None:
    """Lets one after the other go until all are answered."""

    def done() -> bool:
        return all(task.done() for task in tasks)

    while not done():
        await eventually(lambda: bool(gate.held) or done())
        going = gate.held[:1]
        gate.let_go()
        await eventually(lambda held=going: not set(held) & set(gate.held))  # type: ignore[misc]  # bound now


def config(first: StandIn, second: StandIn | None = None, **settings: Any) -> dict[str, Any]:
    upstreams = {"first": {"base_url": first.url, "dialect": "anthropic", "credential": "claude", **settings}}
    to = [{"upstream": "first"}]
    if second is not None:
        upstreams["second"] = {"base_url": second.url, "dialect": "anthropic", "credential": "claude"}
        to.append({"upstream": "second"})
    return {"upstreams": upstreams, "routes": [{"to": to}]}


async def asked(daemon: InProcess, name: str, *, stream: bool = False) -> Reply:
    return await ask(f"{daemon.url}/v1/messages", claude_body(name, stream=stream), LOGIN)


def slots(daemon: InProcess) -> tuple[int, int]:
    """How many the first upstream is answering, and how many wait for it."""
    found = daemon.house.forwarder.routes.upstreams["first"].slots
    return found.in_use, found.waiting


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_fifty_requests_are_answered_five_at_a_time_in_order_of_arrival(stream: bool, tmp_path: Path) -> None:
    gate = Gate()
    async with StandIn(gate) as first, in_process(tmp_path, config(first, max_concurrency=LIMIT)) as daemon:
        tasks = []
        for number in range(50):
            tasks.append(asyncio.create_task(asked(daemon, f"number {number}", stream=stream)))
            await eventually(lambda expected=number + 1: sum(slots(daemon)) == expected)  # type: ignore[misc]  # bound now
        assert slots(daemon) == (LIMIT, 45)
        health = (await ask(f"{daemon.url}/health", method="GET")).json()["upstreams"]["first"]["slots"]
        assert health == {"in_use": LIMIT, "waiting": 45, "limit": LIMIT}
        metrics = (await ask(f"{daemon.url}/metrics", method="GET")).body
        assert b'claude_proxy_upstream_requests_in_flight{upstream="first"} 5.0' in metrics
        assert b'claude_proxy_upstream_queue_length{upstream="first"} 45.0' in metrics
        await finish(gate, tasks)
        replies = [await task for task in tasks]
        await eventually(lambda: slots(daemon) == (0, 0))
    assert gate.most == LIMIT
    assert gate.served == [f"number {number}" for number in range(50)]
    assert [reply.status for reply in replies] == [200] * 50
    assert all(f"number {number}".split()[1].encode() in reply.body for number, reply in enumerate(replies))


async def test_one_more_than_may_wait_is_refused_in_anthropics_shape_and_told_when_to_come_again(
    tmp_path: Path,
) -> None:
    gate = Gate()
    async with (
        StandIn(gate) as first,
        in_process(tmp_path, config(first, max_concurrency=1, max_queue=2)) as daemon,
    ):
        tasks = [asyncio.create_task(asked(daemon, f"number {number}")) for number in range(3)]
        await eventually(lambda: slots(daemon) == (1, 2))
        refused = await asked(daemon, "one too many")
        assert len(first.received) == 1
        await finish(gate, tasks)
        assert [(await task).status for task in tasks] == [200] * 3
    assert refused.status == 529
    assert refused.json()["type"] == "error"
    assert refused.json()["error"]["type"] == "overloaded_error"
    assert "upstreams.first.max_concurrency" in refused.json()["error"]["message"]
    assert 0 < int(refused.headers["retry-after"]) <= 20
    assert refused.headers["x-claude-proxy-error"] == "queue_full"
    assert refused.headers["x-claude-proxy-attempts"] == "0"
    (line,) = daemon.logged("target_skipped")
    assert line["upstream"] == "first"


async def test_who_finds_no_room_is_answered_by_the_next_target(tmp_path: Path) -> None:
    gate = Gate()
    async with (
        two(gate, says("from the second")) as (first, second),
        in_process(tmp_path, config(first, second, max_concurrency=1, max_queue=0)) as daemon,
    ):
        held = asyncio.create_task(asked(daemon, "held"))
        await eventually(lambda: slots(daemon) == (1, 0))
        elsewhere = await asked(daemon, "elsewhere")
        gate.let_go()
        assert (await held).headers["x-claude-proxy-upstream"] == "first"
    assert elsewhere.status == 200
    assert elsewhere.headers["x-claude-proxy-upstream"] == "second"


async def test_nobody_waits_longer_than_is_set(tmp_path: Path) -> None:
    gate = Gate()
    async with (
        StandIn(gate) as first,
        in_process(tmp_path, config(first, max_concurrency=1, queue_timeout="100ms")) as daemon,
    ):
        held = asyncio.create_task(asked(daemon, "held"))
        await eventually(lambda: slots(daemon) == (1, 0))
        refused = await asked(daemon, "waits")
        gate.let_go()
        assert (await held).status == 200
    assert (refused.status, refused.headers["x-claude-proxy-error"]) == (529, "queue_full")


async def test_a_client_that_leaves_the_queue_frees_its_place_and_is_never_asked_for(tmp_path: Path) -> None:
    gate = Gate()
    async with (
        StandIn(gate) as first,
        in_process(tmp_path, config(first, max_concurrency=1, max_queue=1)) as daemon,
    ):
        held = asyncio.create_task(asked(daemon, "held"))
        await eventually(lambda: slots(daemon) == (1, 0))
        async with connected(daemon.port) as leaver:
            head = [*LOGIN.items(), ("Content-Type", "application/json")]
            await leaver.send(
                request("POST", "/v1/messages", host=f"127.0.0.1:{daemon.port}", headers=head, body=claude_body("left"))
            )
            await eventually(lambda: slots(daemon) == (1, 1))
        await eventually(lambda: slots(daemon) == (1, 0))
        next_one = asyncio.create_task(asked(daemon, "next"))
        await eventually(lambda: slots(daemon) == (1, 1))
        gate.let_go()
        await eventually(lambda: gate.served == ["held", "next"])
        gate.let_go()
        assert [(await held).status, (await next_one).status] == [200, 200]
        await eventually(lambda: slots(daemon) == (0, 0))
        left = [line for line in daemon.logged("exchange") if line["end"] == "client_gone"]
        assert len(left) == 1
    assert [received.json()["messages"][0]["content"][0]["text"] for received in first.received] == ["held", "next"]


async def test_a_client_that_leaves_in_mid_stream_gives_its_place_to_the_next(tmp_path: Path) -> None:
    async def begins(received: Received, wire: Wire) -> None:
        await wire.start_stream()
        await wire.chunk(text_stream()[0])
        await wire.reader.read(1)
        wire.keep_alive = False

    async with StandIn() as first, in_process(tmp_path, config(first, max_concurrency=1)) as daemon:
        first.then(begins)
        async with connected(daemon.port) as leaver:
            head = [*LOGIN.items(), ("Content-Type", "application/json")]
            body = claude_body(stream=True)
            await leaver.send(request("POST", "/v1/messages", host=f"127.0.0.1:{daemon.port}", headers=head, body=body))
            assert await leaver.read_until(lambda so_far: b"message_start" in so_far.raw)
            waiting = asyncio.create_task(asked(daemon, "next"))
            await eventually(lambda: slots(daemon) == (1, 1))
        assert (await waiting).status == 200
        await eventually(lambda: slots(daemon) == (0, 0))


async def test_a_wait_between_two_tries_holds_no_place(tmp_path: Path) -> None:
    waits = {"first_wait": "20s", "max_wait": "20s", "max_elapsed": "60s"}
    async with (
        StandIn() as first,
        in_process(tmp_path, {**config(first, max_concurrency=1), "retry": waits}) as daemon,
    ):
        first.then(fails(529, "overloaded_error"))
        retrying = asyncio.create_task(asked(daemon, "tried again"))
        await eventually(lambda: bool(daemon.logged("attempt_failed")))
        assert (await asked(daemon, "meanwhile")).status == 200
        retrying.cancel()
        await asyncio.gather(retrying, return_exceptions=True)

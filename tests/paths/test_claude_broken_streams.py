"""A stream breaks after it has begun: the real Claude Code is told in one error event, asks again or says so.

What the daemon sends is read from the wire between it and the client.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from claude_proxy.upstreams.breakers import Breakers
from tests.asking import ask, sse_events
from tests.claude_code import Run, run_claude
from tests.claude_scenarios import SHORT, block_events, message_start, send, text
from tests.in_process import InProcess, in_process, turns_of_the_loop
from tests.running import eventually
from tests.stand_in import Received, StandIn, Wire
from tests.tap import Tap

FIRST_BLOCK = "The first block."
AGAIN = "Answered when asked again."
NO_FALLBACK = {"CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK": "1"}


@dataclass
class Breaking:
    """An upstream whose first stream breaks off; whatever is asked after that is answered well."""

    how: str
    after_a_block: bool
    sent: list[bytes] = field(default_factory=list)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the daemon has closed the connection of the broken stream."""
    states: list[str] = field(default_factory=list)
    """The breaker's state as each request came."""
    breaker: Breakers | None = None

    async def __call__(self, received: Received, wire: Wire) -> None:
        assert self.breaker is not None
        self.states.append(str(self.breaker.state))
        if len(self.states) > 1:
            await send(received, wire, text(AGAIN))
            return
        events = [message_start(received), *block_events(0, text(FIRST_BLOCK))]
        self.sent = events if self.after_a_block else events[:-1]
        await self._break(wire, self.sent)

    async def _break(self, wire: Wire, events: Iterable[bytes]) -> None:
        await wire.start_stream()
        for event in events:
            await wire.chunk(event)
            await turns_of_the_loop(20)  # a reset would discard what has not been read
        match self.how:
            case "an early end":
                await wire.end()
                return
            case "a reset":
                wire.reset()
                self.let_go.set()
                return
            case "a cut":
                wire.writer.write_eof()
        # In silence, or with our side closed: until the daemon closes its own.
        await wire.reader.read(1)
        self.let_go.set()
        wire.keep_alive = False


@dataclass
class House:
    upstream: StandIn
    daemon: InProcess
    tap: Tap
    breaking: Breaking

    async def run(self, program: str, home: Path, env: dict[str, str] | None = None) -> Run:
        """Runs the client to its end; the connection of the broken stream is closed within a second of the error."""

        async def closes() -> None:
            await self.tap.saw(b"event: error")
            async with asyncio.timeout(1):
                await self.breaking.let_go.wait()

        closing = asyncio.create_task(closes())
        run = await run_claude(program, home, self.tap.url, *SHORT, env=env)
        if self.breaking.how == "an early end":
            # The answer was whole as HTTP: the connection may serve another request.
            closing.cancel()
        else:
            await closing
        return run

    def told(self) -> dict[str, Any]:
        """The data of the one error event, with which the broken stream was ended; nothing else was added."""
        streams = [
            answer
            for answer in self.tap.answers
            if (answer.header("content-type") or "").startswith("text/event-stream")
        ]
        [broken] = [answer for answer in streams if answer.body.startswith(b"".join(self.breaking.sent))]
        events = sse_events(broken.body)
        assert [name for name, _ in events].count("error") == 1
        ((name, data),) = events[len(self.breaking.sent) :]
        assert name == "error"
        assert (data["type"], data["error"]["type"]) == ("error", "api_error")
        assert "claude" in data["error"]["message"]
        assert isinstance(data, dict)
        return data

    async def assert_counted_as_broken(self, request_id: str) -> None:
        """In the log, in the metrics, and against the upstream."""
        await eventually(lambda: len(self.daemon.logged("exchange")) == len(self.upstream.received))
        [line] = [line for line in self.daemon.logged("exchange") if line["id"] == request_id]
        assert (line["end"], line["level"], line["attempts"]) == ("broken", "warning", 1)
        [attempt] = self.daemon.logged("attempt_failed")
        assert (attempt["id"], attempt["kind"]) == (request_id, "broken_stream")
        page = (await ask(f"{self.daemon.url}/metrics", method="GET")).body.decode()
        [counted] = [line for line in page.splitlines() if line.startswith('claude_proxy_requests_total{end="broken"')]
        assert counted.endswith(" 1.0")
        assert self.breaking.states[0] == "closed"
        health = (await ask(f"{self.daemon.url}/health", method="GET")).json()
        breaker = health["upstreams"]["claude"]["breaker"]
        if len(self.breaking.states) > 1:
            assert self.breaking.states[1] == "open"  # by now the good answer has closed it
        else:
            assert breaker["state"] == "open"
            assert breaker["reason"].startswith("the answer ")


@contextlib.asynccontextmanager
async def standing(home: Path, breaking: Breaking) -> AsyncIterator[House]:
    """The upstream, the daemon, and the tap before it. One failure opens the breaker, silence is short."""
    async with StandIn(breaking) as upstream, Tap() as tap:
        config = {
            "upstreams": {"claude": {"base_url": upstream.url}},
            "access": {"allowed_hosts": ["127.0.0.1", tap.host]},
            "retry": {"max_elapsed": "0s"},
            "breaker": {"failures": 1, "cooldown": "1h"},
            "transport": {"stream_idle_timeout": "500ms"},
        }
        home.mkdir()
        async with in_process(home, config) as daemon:
            tap.target = daemon.port
            breaking.breaker = daemon.house.forwarder.routes.upstreams["claude"].breaker
            yield House(upstream, daemon, tap, breaking)


HOWS = ["silence", "a cut", "a reset", "an early end"]


@pytest.mark.parametrize("how", HOWS)
async def test_before_a_block_is_finished_the_client_asks_again_without_a_stream(
    how: str, claude_program: str, tmp_path: Path
) -> None:
    async with standing(tmp_path / "daemon", Breaking(how, after_a_block=False)) as house:
        run = await house.run(claude_program, tmp_path / "home")
        told = house.told()
        await house.assert_counted_as_broken(told["request_id"])
    first, second = house.upstream.received
    assert first.json()["stream"] is True
    assert not second.json().get("stream")
    assert second.json()["messages"] == first.json()["messages"]
    assert (run.exit_code, run.stdout) == (0, f"{AGAIN}\n")


@pytest.mark.parametrize("how", HOWS)
async def test_after_a_finished_block_the_client_says_what_happened_and_ends(
    how: str, claude_program: str, tmp_path: Path
) -> None:
    async with standing(tmp_path / "daemon", Breaking(how, after_a_block=True)) as house:
        run = await house.run(claude_program, tmp_path / "home")
        told = house.told()
        await house.assert_counted_as_broken(told["request_id"])
    assert len(house.upstream.received) == 1
    assert run.exit_code == 1
    assert run.stdout.startswith(f"API Error: {told['error']['message']}")
    assert told["request_id"] in run.stdout


async def test_a_client_that_may_not_ask_without_a_stream_says_what_happened(
    claude_program: str, tmp_path: Path
) -> None:
    """It does so of a connection that breaks without the daemon, too."""
    async with standing(tmp_path / "daemon", Breaking("silence", after_a_block=False)) as house:
        run = await house.run(claude_program, tmp_path / "home", NO_FALLBACK)
        told = house.told()
        await house.assert_counted_as_broken(told["request_id"])
    assert len(house.upstream.received) == 1
    assert (run.exit_code, run.stdout) == (1, f"API Error: {told['error']['message']}\n")

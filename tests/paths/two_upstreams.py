"""A daemon over two upstreams, and the one answer that a client gets of it."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.claude_request import claude_body
from tests.in_process import LOGIN, InProcess, in_process, turns_of_the_loop
from tests.paths.faults import JSON
from tests.raw_client import Answer as RawAnswer
from tests.raw_client import RawConnection, connected, request
from tests.stand_in import Answer, Received, StandIn, Wire, streams, text_stream

EVENTS = text_stream("from the second")
MESSAGE = b'{"type": "message" ,"content":[{"type":"text","text":"from the second"}]}\n'


@dataclass
class TwoUpstreams:
    """A daemon over two upstreams, the second of which is asked where the first fails."""

    daemon: InProcess
    first: StandIn
    second: StandIn
    before_the_second: list[bytes] = field(default_factory=list)

    async def ask(self, *, stream: bool, **fields: Any) -> RawAnswer:
        """The one answer that the client gets; also notes what it had when the second upstream was asked."""
        body = claude_body(stream=stream, **fields)
        headers = [*LOGIN.items(), JSON, ("Connection", "close")]
        sent = request("POST", "/v1/messages", host=f"127.0.0.1:{self.daemon.port}", headers=headers, body=body)
        async with connected(self.daemon.port) as connection:
            self.second.answer = self._watching(connection, self.second.answer)
            await connection.send(sent)
            outcome = await connection.end()
        assert outcome.closed
        assert not outcome.rest, outcome.rest
        (answer,) = outcome.answers
        return answer

    def _watching(self, client: RawConnection, answer: Answer) -> Answer:
        async def answer_and_note(received: Received, wire: Wire) -> None:
            await turns_of_the_loop(20)  # whatever was sent to the client has been read by then
            self.before_the_second.append(bytes(client.raw))
            await answer(received, wire)

        return answer_and_note


async def answers(received: Received, wire: Wire) -> None:
    """The second upstream's answer, the same bytes each time."""
    if received.json()["stream"]:
        await streams(EVENTS, [("request-id", "req_second")])(received, wire)
    else:
        await wire.reply(200, MESSAGE, [JSON, ("request-id", "req_second")])


@contextlib.asynccontextmanager
async def upstreams(
    home: Path,
    first: Answer,
    second: Answer = answers,
    *,
    alone: bool = False,
    at: str | None = None,
    settings: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    **config: Any,
) -> AsyncIterator[TwoUpstreams]:
    """`alone` leaves the second out of the route; `at` is the first elsewhere, `settings` are its own."""
    async with StandIn(first) as one, StandIn(second) as two:
        whole = {
            "upstreams": {
                "first": {
                    "base_url": at or one.url,
                    "dialect": "anthropic",
                    "credential": "claude",
                    **(settings or {}),
                },
                "second": {"base_url": two.url, "dialect": "anthropic", "credential": "claude"},
            },
            "routes": [{"to": [{"upstream": "first"}] if alone else [{"upstream": "first"}, {"upstream": "second"}]}],
            "retry": {"first_wait": "1ms", "max_wait": "1ms", "max_elapsed": "10s", "max_retries": 2},
            **config,
        }
        async with in_process(home, whole, env) as daemon:
            yield TwoUpstreams(daemon, one, two)


def assert_answer_of_the_second(answer: RawAnswer, *, stream: bool) -> None:
    assert answer.status == 200
    assert answer.body == (b"".join(EVENTS) if stream else MESSAGE)
    assert answer.header("request-id") == "req_second"
    assert answer.header("x-claude-proxy-upstream") == "second"

"""What is asked and answered through the daemon stands in the ledger: once, whole, and without a credential."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from claude_proxy.ledger.answer import message_of
from claude_proxy.ledger.record import ExchangeRecord, Kept
from claude_proxy.ledger.sqlite_reader import SqliteReader
from claude_proxy.ledger.store import Filter
from tests.asking import ask
from tests.claude_request import SESSION, claude_body, claude_headers
from tests.in_process import LOGIN, InProcess, in_process
from tests.paths.quota_headers import ALLOWED, headers
from tests.raw_client import connected, request
from tests.running import eventually, running
from tests.stand_in import Answer, StandIn, fails, hangs, message_start, says, streams, text_stream

ALL = Filter()
QUICK: dict[str, Any] = {"flush_interval": "10ms"}


def ledger_of(home: Path) -> Path:
    return home / ".local" / "share" / "claude-proxy" / "ledger.db"


class Ledger:
    """The ledger of a home, asked until it has what is waited for."""

    def __init__(self, home: Path) -> None:
        self.reader = SqliteReader(ledger_of(home))

    async def when(self, condition: Callable[[list[ExchangeRecord]], bool]) -> list[ExchangeRecord]:
        await eventually(lambda: condition(self.reader.records(ALL, 1000)))
        return self.reader.records(ALL, 1000)

    async def ended(self, number: int) -> list[ExchangeRecord]:
        """That many records, once all of them have ended; the newest first."""
        return await self.when(lambda found: len(found) == number and all(one.end for one in found))


@asynccontextmanager
async def recorded(
    home: Path, answer: Answer, *, ledger: dict[str, Any] | None = None, **config: Any
) -> AsyncIterator[tuple[InProcess, StandIn, Ledger]]:
    async with StandIn(answer) as upstream:
        whole = {"upstreams": {"claude": {"base_url": upstream.url}}, "ledger": {**QUICK, **(ledger or {})}, **config}
        async with in_process(home, whole) as daemon:
            found = Ledger(home)
            yield daemon, upstream, found
            found.reader.close()


async def test_a_stream_is_recorded_with_all_that_is_known_of_it(tmp_path: Path) -> None:
    system = [{"type": "text", "text": "Environment:\n - Primary working directory: /home/someone/work\n"}]
    body = claude_body(stream=True, system=system)
    sent = claude_headers({**LOGIN, "anthropic-beta": "oauth-2025-04-20"})
    events = text_stream("an answer")
    async with recorded(tmp_path, streams(events, headers(ALLOWED))) as (daemon, _, ledger):
        reply = await ask(f"{daemon.url}/v1/messages?beta=true&key=FAKE-in-query", body, sent)
        (record,) = await ledger.ended(1)
        bodies = ledger.reader.bodies(record.id)
    assert record.id == reply.headers["x-claude-proxy-request-id"]
    assert (record.method, record.endpoint, record.query) == ("POST", "/v1/messages", "beta=true&key=[redacted]")
    assert (record.asked_model, record.model, record.stream) == ("claude-sonnet-4-5", "claude-sonnet-4-5", True)
    assert (record.session, record.conversation, record.agent) == (SESSION, SESSION, None)
    assert (record.project, record.message_count) == ("/home/someone/work", 1)
    assert (record.route, record.upstream, record.credential) == ("everything", "claude", "client")
    assert (record.status, record.end, record.stop_reason, record.failure) == (200, "complete", "end_turn", None)
    assert record.usage.output_tokens
    assert record.list_value
    assert (record.billed, record.covered) == (0, record.list_value)
    assert record.rate_limit["unified-status"] == "allowed"
    assert record.first_byte_ms is not None
    assert record.total_ms is not None
    assert record.first_byte_ms <= record.total_ms
    (attempt,) = record.attempts
    assert (attempt.upstream, attempt.status, attempt.failure) == ("claude", 200, None)
    assert (record.request_bytes, record.answer_bytes, record.kept) == (len(body), len(reply.body), Kept.WHOLE)
    assert not record.altered
    assert bodies is not None
    assert (bodies.request, bodies.answer) == (body, reply.body)
    assert json.loads(message_of(bodies.answer or b"") or b"")["content"] == [{"type": "text", "text": "an answer"}]
    assert dict(bodies.request_headers or ())["Authorization"] == "[redacted]"
    assert dict(bodies.answer_headers or ())["Content-Type"].startswith("text/event-stream")


async def test_a_record_begins_before_its_answer_and_is_completed_with_it(tmp_path: Path) -> None:
    async with recorded(tmp_path, hangs([message_start()])) as (daemon, _, ledger):
        async with connected(daemon.port) as client:
            sent = [*LOGIN.items(), ("Content-Type", "application/json")]
            body = claude_body(stream=True)
            await client.send(request("POST", "/v1/messages", host=f"127.0.0.1:{daemon.port}", headers=sent, body=body))
            (begun,) = await ledger.when(lambda found: len(found) == 1)
            assert (begun.end, begun.status, begun.kept) == (None, None, Kept.WHOLE)
            bodies = ledger.reader.bodies(begun.id)
            assert bodies is not None
            assert (bodies.request, bodies.answer) == (body, None)
        (ended,) = await ledger.ended(1)
    assert (ended.id, ended.end, ended.status) == (begun.id, "client_gone", 200)
    assert ended.usage.input_tokens


async def test_a_refusal_is_recorded_in_the_upstream_s_own_words(tmp_path: Path) -> None:
    answer = fails(429, "rate_limit_error", "slow down", [("retry-after", "120")])
    async with recorded(tmp_path, answer) as (daemon, _, ledger):
        reply = await ask(f"{daemon.url}/v1/messages", claude_body(), claude_headers(LOGIN))
        (record,) = await ledger.ended(1)
        bodies = ledger.reader.bodies(record.id)
    assert (record.status, record.end, record.failure) == (429, "failed", "rate_limit")
    assert (record.attempts[0].failure, record.attempts[0].status) == ("rate_limit", 429)
    assert bodies is not None
    assert bodies.answer == reply.body


async def test_what_fails_over_is_one_record_with_its_attempts(tmp_path: Path) -> None:
    async with StandIn(says("from the other")) as other:
        config: dict[str, Any] = {
            "upstreams": {"other": {"base_url": other.url, "credential": "claude", "dialect": "anthropic"}},
            "routes": [{"to": [{"upstream": "claude"}, {"upstream": "other"}]}],
            "retry": {"max_retries": 0},
        }
        async with StandIn(fails(529, "overloaded_error")) as upstream:
            upstreams = {**config["upstreams"], "claude": {"base_url": upstream.url}}
            async with in_process(tmp_path, {**config, "upstreams": upstreams, "ledger": QUICK}) as daemon:
                ledger = Ledger(tmp_path)
                await ask(f"{daemon.url}/v1/messages", claude_body(), claude_headers(LOGIN))
                (record,) = await ledger.ended(1)
                ledger.reader.close()
    assert record.upstream == "other"
    assert [(tried.upstream, tried.failure) for tried in record.attempts] == [("claude", "overloaded"), ("other", None)]


async def test_a_subagent_is_told_apart_within_its_conversation(tmp_path: Path) -> None:
    agent = {"x-claude-code-agent-id": "agent-1", "x-claude-code-parent-agent-id": "main"}
    async with recorded(tmp_path, says()) as (daemon, _, ledger):
        for more in ({}, agent):
            await ask(f"{daemon.url}/v1/messages", claude_body(), {**claude_headers(LOGIN), **more})
        found = await ledger.ended(2)
        (conversation,) = ledger.reader.conversations(ALL, 10)
    assert [(one.agent, one.parent_agent) for one in found] == [("agent-1", "main"), (None, None)]
    assert (conversation.id, conversation.requests, conversation.first_message) == (SESSION, 2, "say hi")


async def test_other_clients_conversations_go_by_how_they_begin(tmp_path: Path) -> None:
    async with recorded(tmp_path, says()) as (daemon, _, ledger):
        for text in ("one", "one", "another"):
            body = claude_body(text, metadata=None)
            await ask(f"{daemon.url}/v1/messages", body, LOGIN)
        found = await ledger.ended(3)
    assert all(one.session is None for one in found)
    assert found[2].conversation == found[1].conversation != found[0].conversation


async def test_what_asks_no_model_is_recorded_too(tmp_path: Path) -> None:
    async with recorded(tmp_path, says()) as (daemon, _, ledger):
        await ask(f"{daemon.url}/v1/files?limit=2", None, LOGIN, method="GET")
        await ask(f"{daemon.url}/health", None, LOGIN, method="GET")
        (record,) = await ledger.ended(1)
    assert (record.method, record.endpoint, record.query, record.asked_model) == ("GET", "/v1/files", "limit=2", "")


async def test_without_bodies_neither_prompts_nor_answers_nor_headers_are_kept(tmp_path: Path) -> None:
    async with recorded(tmp_path, says("an answer"), ledger={"bodies": False}) as (daemon, _, ledger):
        reply = await ask(f"{daemon.url}/v1/messages", claude_body("a question"), claude_headers(LOGIN))
        (record,) = await ledger.ended(1)
        bodies = ledger.reader.bodies(record.id)
        (conversation,) = ledger.reader.conversations(ALL, 10)
        condition = ledger.reader.condition()
    assert (record.kept, record.answer_bytes, record.end) == (Kept.NONE, len(reply.body), "complete")
    assert bodies is not None
    assert (bodies.request, bodies.answer, bodies.request_headers, bodies.answer_headers) == (None,) * 4
    assert (conversation.first_message, condition.blocks) == (None, 0)


async def test_of_a_request_that_is_too_large_all_is_kept_but_its_bodies(tmp_path: Path) -> None:
    async with recorded(tmp_path, says(), ledger={"max_request": "1KiB"}) as (daemon, _, ledger):
        for text in ("short", "long " * 1000):
            body = {"model": "claude-opus-4-8", "max_tokens": 9, "messages": [{"role": "user", "content": text}]}
            assert (await ask(f"{daemon.url}/v1/messages", body, claude_headers(LOGIN))).status == 200
        large, small = await ledger.ended(2)
        bodies = ledger.reader.bodies(large.id)
    assert (small.kept, large.kept) == (Kept.WHOLE, Kept.NONE)
    assert (large.session, large.first_message, large.message_count) == (SESSION, None, None)
    assert large.usage == small.usage
    assert large.request_bytes > 5000
    assert bodies is not None
    assert (bodies.request, bodies.answer) == (None, None)


async def test_of_a_long_answer_the_beginning_is_kept(tmp_path: Path) -> None:
    events = text_stream("long " * 2000)
    async with recorded(tmp_path, streams(events), ledger={"max_answer": "1KiB"}) as (daemon, _, ledger):
        reply = await ask(f"{daemon.url}/v1/messages", claude_body(stream=True), claude_headers(LOGIN))
        (record,) = await ledger.ended(1)
        bodies = ledger.reader.bodies(record.id)
    assert (record.kept, record.answer_bytes) == (Kept.CUT, len(reply.body))
    assert bodies is not None
    assert bodies.answer
    assert len(bodies.answer) <= 1024
    assert reply.body.startswith(bodies.answer)


async def test_switched_off_nothing_is_written(tmp_path: Path) -> None:
    async with recorded(tmp_path, says(), ledger={"enabled": False}) as (daemon, _, _ledger):
        await ask(f"{daemon.url}/v1/messages", claude_body(), claude_headers(LOGIN))
        metrics = (await ask(f"{daemon.url}/metrics", None, method="GET")).body
    assert not ledger_of(tmp_path).parent.exists()
    assert b"claude_proxy_ledger" not in metrics


async def test_a_reload_changes_what_is_kept_and_no_file(tmp_path: Path) -> None:
    async with StandIn(says()) as upstream:
        config: dict[str, Any] = {"upstreams": {"claude": {"base_url": upstream.url}}, "ledger": QUICK}
        async with running(tmp_path, config) as daemon:
            ledger = Ledger(tmp_path)
            await ask(f"{daemon.url}/v1/messages", claude_body(), claude_headers(LOGIN))
            (first,) = await ledger.ended(1)
            (tmp_path / "config.yaml").write_text(
                json.dumps({**config, "ledger": {**QUICK, "bodies": False, "url": f"sqlite:///{tmp_path}/other.db"}})
            )
            await daemon.reload()
            await ask(f"{daemon.url}/v1/messages", claude_body(), claude_headers(LOGIN))
            then, _ = await ledger.ended(2)
            ledger.reader.close()
    assert (first.kept, then.kept) == (Kept.WHOLE, Kept.NONE)
    assert not (tmp_path / "other.db").exists()


@pytest.mark.parametrize("second_signal", [False, True])
async def test_what_is_recorded_is_written_before_the_daemon_ends(tmp_path: Path, *, second_signal: bool) -> None:
    """Although nothing would have been flushed for an hour; and what is cut off leaves a trace."""
    async with StandIn(hangs([message_start()])) as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}, "ledger": {"flush_interval": "1h"}}
        async with running(tmp_path, config) as daemon:
            asking = asyncio.create_task(ask(f"{daemon.url}/v1/messages", claude_body(stream=True), LOGIN))
            await upstream.wait_for(lambda: bool(upstream.received))
            daemon.signal(15)
            await daemon.logged("draining")
            if second_signal:
                daemon.signal(15)
                assert await daemon.ended() == 1
            else:
                asking.cancel()
                assert await daemon.ended() == 0
            await asyncio.wait([asking])
    ledger = Ledger(tmp_path)
    (record,) = ledger.reader.records(ALL, 10)
    ledger.reader.close()
    assert record.end == "client_gone"


async def test_metrics_tell_what_is_written_and_what_waits(tmp_path: Path) -> None:
    async with recorded(tmp_path, says()) as (daemon, _, ledger):
        await ask(f"{daemon.url}/v1/messages", claude_body(), claude_headers(LOGIN))
        await ledger.ended(1)
        recorder = daemon.house.recorder
        assert recorder is not None
        await eventually(lambda: recorder.state.waiting == 0)
        metrics = (await ask(f"{daemon.url}/metrics", None, method="GET")).body.decode()
    told = dict(line.split(" ") for line in metrics.splitlines() if line.startswith("claude_proxy_ledger"))
    assert told == {
        "claude_proxy_ledger_records_written_total": "1.0",
        "claude_proxy_ledger_records_dropped_total": "0.0",
        "claude_proxy_ledger_failures_total": "0.0",
        "claude_proxy_ledger_queue_records": "0.0",
        "claude_proxy_ledger_queue_bytes": "0.0",
    }

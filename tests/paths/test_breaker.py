"""Who is asked while an upstream is in trouble: opened for a reason, one probe, and never for a client's own doing."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from claude_proxy.upstreams.breaker import BreakerState
from tests.asking import Reply, ask
from tests.claude_request import claude_body
from tests.in_process import LOGIN, InProcess, in_process
from tests.raw_client import connected, request
from tests.running import eventually
from tests.stand_in import Answer, Received, StandIn, Wire, fails, hangs, message_start, resets, says

ANOTHER_LOGIN = {"Authorization": "Bearer sk-ant-oat01-FAKE-login-of-another"}
FAILURES = 3


def spent(seconds: float, claim: str = "five_hour") -> Answer:
    """429 with a window that is spent until then."""
    return fails(
        429,
        "rate_limit_error",
        "limit reached",
        headers=[
            ("anthropic-ratelimit-unified-status", "rejected"),
            ("anthropic-ratelimit-unified-reset", str(time.time() + seconds)),
            ("anthropic-ratelimit-unified-representative-claim", claim),
        ],
    )


@dataclass
class House:
    daemon: InProcess
    first: StandIn
    second: StandIn

    async def ask(
        self,
        model: str = "claude-sonnet-4-5",
        login: Mapping[str, str] = LOGIN,
        path: str = "/v1/messages",
        **fields: Any,
    ) -> Reply:
        return await ask(self.daemon.url + path, claude_body(model=model, **fields), login)

    async def answered_by(self, **asked: Any) -> str | None:
        return (await self.ask(**asked)).headers.get("x-claude-proxy-upstream")

    @property
    def state(self) -> BreakerState:
        return self.daemon.house.forwarder.routes.upstreams["first"].breaker.state

    async def told(self) -> Any:
        health = (await ask(f"{self.daemon.url}/health", method="GET")).json()
        return health["upstreams"]["first"]["breaker"]


@contextlib.asynccontextmanager
async def house(
    home: Path,
    *,
    cooldown: str = "1h",
    alone: bool = False,
    env: Mapping[str, str] | None = None,
    **config: Any,
) -> AsyncIterator[House]:
    """Two upstreams, the second for what the first does not answer. Nothing is tried again."""
    async with StandIn() as first, StandIn(says("from the second")) as second:
        whole = {
            "upstreams": {
                name: {"base_url": upstream.url, "dialect": "anthropic", "credential": "claude"}
                for name, upstream in (("first", first), ("second", second))
            },
            "routes": [{"to": [{"upstream": "first"}] if alone else [{"upstream": "first"}, {"upstream": "second"}]}],
            "retry": {"max_retries": 0},
            "breaker": {"failures": FAILURES, "cooldown": cooldown, "max_cooldown": "2h"},
            **config,
        }
        async with in_process(home, whole, env) as daemon:
            yield House(daemon, first, second)


@pytest.mark.parametrize(
    "answer",
    [fails(529, "overloaded_error"), fails(500, "api_error"), resets(), resets([message_start()])],
    ids=["overloaded", "a fault", "no answer", "broken streams"],
)
async def test_failures_in_a_row_open_it_and_the_next_target_is_asked_at_once(answer: Answer, tmp_path: Path) -> None:
    async with house(tmp_path) as it:
        it.first.answer = answer
        for _ in range(FAILURES):
            await it.ask(stream=True)
        await eventually(lambda: it.state is BreakerState.OPEN)
        assert await it.answered_by(stream=True) == "second"
        assert len(it.first.received) == FAILURES
        told = await it.told()
        assert told["state"] == "open"
        assert told["reason"].startswith(f"{FAILURES} failures in a row, the last: ")
        assert 3500 < told["retry_in_seconds"] <= 3600
        metrics = (await ask(f"{it.daemon.url}/metrics", method="GET")).body.decode()
        assert 'claude_proxy_circuit_state{state="open",upstream="first"} 1.0' in metrics
        assert "claude_proxy_circuit_reason{kind=" in metrics
        (line,) = it.daemon.logged("breaker_open")
        assert line["upstream"] == "first"


async def test_after_the_cooldown_exactly_one_request_probes_while_the_others_go_elsewhere(tmp_path: Path) -> None:
    async with house(tmp_path, cooldown="200ms") as it:
        it.first.answer = fails(500, "api_error")
        for _ in range(FAILURES):
            await it.ask()
        await eventually(lambda: it.state is BreakerState.HALF_OPEN)
        go = asyncio.Event()

        async def holds(received: Received, wire: Wire) -> None:
            await go.wait()
            await says("from the first")(received, wire)

        it.first.answer = holds
        probe = asyncio.create_task(it.ask())
        await it.first.wait_for(lambda: len(it.first.received) == FAILURES + 1)
        others = await asyncio.gather(*(it.answered_by() for _ in range(20)))
        assert set(others) == {"second"}
        assert len(it.first.received) == FAILURES + 1
        go.set()
        assert (await probe).headers["x-claude-proxy-upstream"] == "first"
        assert (await it.told())["state"] == "closed"
        assert [line["upstream"] for line in it.daemon.logged("breaker_closed")] == ["first"]
        assert await it.answered_by() == "first"


async def test_a_probe_whose_client_leaves_frees_its_place_for_the_next(tmp_path: Path) -> None:
    async with house(tmp_path, cooldown="200ms") as it:
        it.first.answer = fails(500, "api_error")
        for _ in range(FAILURES):
            await it.ask()
        await eventually(lambda: it.state is BreakerState.HALF_OPEN)
        it.first.answer = says("from the first")
        it.first.then(hangs())
        async with connected(it.daemon.port) as leaver:
            headers = [*LOGIN.items(), ("Content-Type", "application/json")]
            host = f"127.0.0.1:{it.daemon.port}"
            await leaver.send(request("POST", "/v1/messages", host=host, headers=headers, body=claude_body()))
            await it.first.wait_for(lambda: len(it.first.received) == FAILURES + 1)
            assert await it.answered_by() == "second"
        await eventually(lambda: it.daemon.house.drain.in_flight == 0)
        assert (await it.told())["state"] == "half_open"
        assert await it.answered_by() == "first"
        assert (await it.told())["state"] == "closed"


async def test_a_spent_window_sends_all_of_that_login_elsewhere_until_its_reset_and_then_comes_back(
    tmp_path: Path,
) -> None:
    async with house(tmp_path) as it:
        it.first.then(spent(1.5))
        assert await it.answered_by() == "second"
        assert await it.answered_by(model="claude-opus-4-8") == "second"
        told = await it.told()
        assert (told["state"], told["reason"]) == ("open", "limit reached")
        assert 0 < told["retry_in_seconds"] <= 1.5
        assert [part["of"] for part in told["parts"]] == ["credential"]
        assert len(it.first.received) == 1
        assert await it.answered_by(login=ANOTHER_LOGIN) == "first", "another's plan is not spent"
        await eventually(lambda: it.state is BreakerState.HALF_OPEN)
        assert await it.answered_by() == "first"
        assert (await it.told())["state"] == "closed"


async def test_a_spent_window_of_one_model_leaves_the_others_alone(tmp_path: Path) -> None:
    async with house(tmp_path) as it:
        it.first.then(spent(3600, claim="seven_day_opus"))
        assert await it.answered_by(model="claude-opus-4-8") == "second"
        assert await it.answered_by(model="claude-opus-4-8") == "second"
        assert await it.answered_by() == "first"
        (part,) = (await it.told())["parts"]
        assert (part["of"], part["model"], part["state"]) == ("model", "claude-opus-4-8", "open")
        assert 3590 < part["retry_in_seconds"] <= 3600


async def test_a_moments_limit_is_for_its_model_alone_and_for_as_long_as_it_says(tmp_path: Path) -> None:
    async with house(tmp_path) as it:
        it.first.then(fails(429, "rate_limit_error", "slow down", headers=[("retry-after", "900")]))
        assert await it.answered_by() == "second"
        assert await it.answered_by() == "second"
        assert await it.answered_by(model="claude-opus-4-8") == "first"
        (part,) = (await it.told())["parts"]
        assert (part["of"], part["model"]) == ("model", "claude-sonnet-4-5")
        assert 890 < part["retry_in_seconds"] <= 900


async def test_a_moments_limit_without_a_time_is_a_cooldown(tmp_path: Path) -> None:
    async with house(tmp_path, cooldown="200ms") as it:
        it.first.then(fails(429, "rate_limit_error", "slow down"))
        assert await it.answered_by() == "second"
        await eventually(lambda: it.state is BreakerState.HALF_OPEN)
        assert await it.answered_by() == "first"


async def test_a_refused_key_is_not_used_again_until_its_file_holds_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("claude_proxy.credentials.token_store.LOOK_AGAIN", 0.05)  # five seconds as shipped
    key = tmp_path / "key"
    key.write_text("sk-ant-api03-FAKE-refused")
    key.chmod(0o600)
    credentials = {"claude": {"sources": [f"file:{key}"]}}
    async with house(tmp_path, alone=True, credentials=credentials) as it:

        async def knows_keys(received: Received, wire: Wire) -> None:
            good = received.header("x-api-key") == "sk-ant-api03-FAKE-replaced"
            answer = says("hello") if good else fails(401, "authentication_error", "invalid x-api-key")
            await answer(received, wire)

        it.first.answer = knows_keys
        replies = [await it.ask() for _ in range(3)]
        assert [reply.status for reply in replies] == [403, 403, 403]
        assert len(it.first.received) == 1, "what was refused once is not tried again"
        assert "invalid x-api-key" in replies[2].json()["error"]["message"]
        assert "until another is in its place" in replies[2].json()["error"]["message"]
        told = await it.told()
        assert (told["state"], told["retry_in_seconds"]) == ("open", None)
        key.write_text("sk-ant-api03-FAKE-replaced")
        async with asyncio.timeout(20):
            while (await it.ask()).status != 200:
                await asyncio.sleep(0.1)
        assert [received.header("x-api-key") for received in it.first.received] == [
            "sk-ant-api03-FAKE-refused",
            "sk-ant-api03-FAKE-replaced",
        ]
        assert (await it.told())["state"] == "closed"


async def test_a_refused_key_of_ours_keeps_no_client_away_that_brings_its_own(tmp_path: Path) -> None:
    credentials = {"claude": {"sources": ["client", "env:OUR_KEY"]}}
    env = {"OUR_KEY": "sk-ant-api03-FAKE-ours"}
    async with house(tmp_path, alone=True, credentials=credentials, env=env) as it:

        async def knows_the_client(received: Received, wire: Wire) -> None:
            good = received.header("authorization") == LOGIN["Authorization"]
            await (says("hello") if good else fails(401, "authentication_error", "invalid"))(received, wire)

        it.first.answer = knows_the_client
        placeholder = {"x-api-key": "proxy-managed"}
        assert (await it.ask(login=placeholder)).status == 403
        assert (await it.ask()).status == 200


async def test_a_model_that_is_forbidden_does_not_keep_others_away(tmp_path: Path) -> None:
    credentials = {"claude": {"sources": ["env:OUR_KEY"]}}
    async with house(tmp_path, credentials=credentials, env={"OUR_KEY": "sk-ant-api03-FAKE-ours"}) as it:
        it.first.then(fails(403, "permission_error", "your key may not use this model"))
        assert await it.answered_by() == "second"
        assert await it.answered_by() == "second"
        assert await it.answered_by(model="claude-haiku-4-5") == "first"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
async def test_a_clients_mistakes_never_open_it(status: int, tmp_path: Path) -> None:
    async with house(tmp_path) as it:
        it.first.answer = fails(status, "invalid_request_error", "no")
        for _ in range(4 * FAILURES):
            assert (await it.ask()).status == status
        assert it.state is BreakerState.CLOSED
        assert it.second.received == []


async def test_clients_that_leave_never_open_it(tmp_path: Path) -> None:
    async with house(tmp_path) as it:
        it.first.answer = hangs([message_start()])
        host, headers = f"127.0.0.1:{it.daemon.port}", [*LOGIN.items(), ("Content-Type", "application/json")]
        for number in range(4 * FAILURES):
            async with connected(it.daemon.port) as leaver:
                body = claude_body(stream=bool(number % 2))
                await leaver.send(request("POST", "/v1/messages", host=host, headers=headers, body=body))
                await it.first.wait_for(lambda expected=number + 1: len(it.first.received) == expected)  # type: ignore[misc]  # bound now
        await eventually(lambda: it.daemon.house.drain.in_flight == 0)
        assert it.daemon.house.forwarder.routes.upstreams["first"].breaker.parts() == []


async def test_a_count_of_tokens_neither_opens_nor_probes_it(tmp_path: Path) -> None:
    async with house(tmp_path, cooldown="200ms") as it:
        it.first.answer = fails(429, "rate_limit_error", "too many counts", headers=[("retry-after", "900")])
        for _ in range(2 * FAILURES):
            await it.ask(path="/v1/messages/count_tokens")
        it.first.answer = fails(500, "api_error")
        for _ in range(2 * FAILURES):
            await it.ask(path="/v1/messages/count_tokens")
        assert (await it.told())["state"] == "closed"
        for _ in range(FAILURES):
            await it.ask()
        await eventually(lambda: it.state is BreakerState.HALF_OPEN)
        it.first.answer = says("from the first")
        assert (await it.ask(path="/v1/messages/count_tokens")).headers["x-claude-proxy-upstream"] == "second"
        assert (await it.told())["state"] == "half_open"
        assert await it.answered_by() == "first"
        assert (await it.told())["state"] == "closed"

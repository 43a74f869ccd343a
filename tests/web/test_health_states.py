"""In every state that the daemon can be in, its health has the described shape, and says what is so."""

import asyncio
import sys
import types
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from msgspec.structs import replace

from claude_proxy.failures import AttemptFailed, Failure, FailureKind
from claude_proxy.upstreams.breaker import BreakerSettings
from claude_proxy.upstreams.breakers import Breakers, Caller
from claude_proxy.upstreams.route import RouteTable
from claude_proxy.web import health as health_module
from claude_proxy.web.drain import Drain
from claude_proxy.web.health import Health, answer_json
from tests.asking import ask
from tests.claude_request import claude_body, claude_headers
from tests.config.loading import loaded
from tests.forwarding.forwarding_house import forwarding
from tests.frozen_clock import FrozenClock
from tests.in_process import LOGIN, InProcess, in_process
from tests.opened_files import watched
from tests.raw_client import connected, request
from tests.stand_in import StandIn, hangs
from tests.web.described import assert_as_described
from tests.web.serving import serving

NAMED = ("claude", "minimax")
REFUSED = Failure(FailureKind.AUTH, "claude refused the key", "claude")
BROKEN = Failure(FailureKind.BROKEN_STREAM, "the answer broke off", "claude")
CLOSED: dict[str, Any] = {"state": "closed", "reason": None, "retry_in_seconds": None, "parts": []}
PLACEHOLDER = claude_headers({"x-api-key": "proxy-managed"})


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[StandIn]:
    async with StandIn() as running:
        yield running


def config(upstream: StandIn, *sources: str, **more: Any) -> dict[str, Any]:
    named = {"credentials": {"claude": {"sources": list(sources)}}} if sources else {}
    return {"upstreams": {"claude": {"base_url": upstream.url}}, **named, **more}


async def health_of(daemon: InProcess) -> Any:
    """What it says, which has the described shape and nothing more."""
    reply = await ask(f"{daemon.url}/health", method="GET")
    assert_as_described(reply.json(), "/health", reply.status)
    return reply.json()


async def breaker_of(daemon: InProcess) -> Any:
    return (await health_of(daemon))["upstreams"]["claude"]["breaker"]


async def credential_of(daemon: InProcess) -> Any:
    return (await health_of(daemon))["credentials"]["claude"]


async def test_a_breaker_is_told_in_each_of_its_states(tmp_path: Path, upstream: StandIn) -> None:
    clock = FrozenClock()
    breaker = Breakers("claude", BreakerSettings(failures=1, cooldown=30.0), monotonic=clock, clock=clock)
    async with in_process(tmp_path, config(upstream)) as daemon:
        routes = daemon.house.forwarder.routes
        watched_one = replace(routes.upstreams["claude"], breaker=breaker)
        daemon.house.forwarder.routes = RouteTable([], {"claude": watched_one}, frozenset())
        assert await breaker_of(daemon) == CLOSED
        breaker.failed(BROKEN)
        clock.advance(20.04)
        told = {"state": "open", "reason": "the answer broke off", "retry_in_seconds": 10.0}
        assert await breaker_of(daemon) == {**told, "parts": [{"of": "api", "model": None, **told}]}
        clock.advance(10)
        told = {"state": "half_open", "reason": "the answer broke off", "retry_in_seconds": None}
        assert await breaker_of(daemon) == {**told, "parts": [{"of": "api", "model": None, **told}]}
        with breaker.admission(Caller(1, False, "claude-opus-4-8")):
            pass
        assert await breaker_of(daemon) == CLOSED


async def test_what_no_time_mends_names_no_time(tmp_path: Path, upstream: StandIn) -> None:
    breaker = Breakers("claude", BreakerSettings())
    async with in_process(tmp_path, config(upstream)) as daemon:
        routes = daemon.house.forwarder.routes
        watched_one = replace(routes.upstreams["claude"], breaker=breaker)
        daemon.house.forwarder.routes = RouteTable([], {"claude": watched_one}, frozenset())
        with pytest.raises(AttemptFailed), breaker.admission(Caller(1, True, "claude-opus-4-8")):
            raise AttemptFailed(REFUSED)
        told = await breaker_of(daemon)
    assert (told["state"], told["retry_in_seconds"]) == ("open", None)
    assert told["reason"].startswith("claude refused the key; it is not used again until")
    assert [part["of"] for part in told["parts"]] == ["credential"]


def files(home: Path) -> Mapping[str, Path]:
    key, broken, none = home / "key", home / "broken", home / "none"
    key.write_text("FAKE-key-of-the-proxy")
    broken.write_text("FAKE-key-of-the-proxy")
    key.chmod(0o600)
    broken.chmod(0o644)
    return {"key": key, "broken": broken, "none": none}


@pytest.mark.parametrize(
    ("name", "state", "detail"),
    [("key", "present", None), ("broken", "unusable", "can be read by others"), ("none", "absent", "nothing in file:")],
)
async def test_a_credential_is_not_read_for_it_and_its_state_told_once_a_request_has(
    tmp_path: Path, upstream: StandIn, name: str, state: str, detail: str | None
) -> None:
    path = files(tmp_path)[name]
    async with in_process(tmp_path, config(upstream, f"file:{path}")) as daemon:
        before = await credential_of(daemon)
        assert (before["state"], before["source"], before["expires_at"]) == ("not read", None, None)
        await ask(f"{daemon.url}/v1/messages", claude_body(), PLACEHOLDER)
        after = await credential_of(daemon)
    assert after["state"] == state
    assert (after["detail"] is None) if detail is None else (detail in after["detail"])
    assert after["source"] == (f"file:{path}" if state == "present" else None)
    assert "FAKE" not in str(before) + str(after)


@pytest.mark.skipif(sys.platform != "linux", reason="asks inotify, which only Linux has")
async def test_nobody_opens_a_credentials_file_because_of_it(tmp_path: Path, upstream: StandIn) -> None:
    path = files(tmp_path)["key"]
    async with in_process(tmp_path, config(upstream, f"file:{path}")) as daemon:
        with watched(path) as watch:
            for target in ("/health", "/livez", "/metrics"):
                assert (await ask(daemon.url + target, method="GET")).status == 200
            assert not watch.opened()
            await ask(f"{daemon.url}/v1/messages", claude_body(), PLACEHOLDER)
            assert watch.opened()  # as it does where it is needed


async def test_upstreams_that_share_a_credential_and_those_without_one_are_told(
    tmp_path: Path, upstream: StandIn
) -> None:
    more = {"again": {"base_url": upstream.url, "credential": "claude"}, "open": {"base_url": upstream.url}}
    whole = config(upstream)
    whole["upstreams"].update(more)
    whole["credentials"] = {name: {"sources": ["env:OUR_KEY" if name == "claude" else "env:NO_KEY"]} for name in NAMED}
    async with in_process(tmp_path, whole, {"OUR_KEY": "FAKE-key"}) as daemon:
        health = await health_of(daemon)
    named = {name: told["credential"] for name, told in health["upstreams"].items()}
    assert named == {"claude": "claude", "minimax": "minimax", "again": "claude", "open": "none"}
    states = {name: told["state"] for name, told in health["credentials"].items()}
    assert states == {"claude": "present", "minimax": "absent", "none": "absent"}


async def test_what_is_in_flight_is_counted_but_not_the_question(tmp_path: Path, upstream: StandIn) -> None:
    upstream.answer = hangs()
    async with in_process(tmp_path, config(upstream)) as daemon:
        asking = [
            asyncio.create_task(ask(f"{daemon.url}/v1/messages", claude_body(), LOGIN, method="POST")) for _ in range(3)
        ]
        await upstream.wait_for(lambda: len(upstream.received) == 3)
        assert (await health_of(daemon))["in_flight"] == 3
        livez = await daemon.livez()
        assert_as_described(livez, "/livez", 200)
        assert livez == {"in_flight": 3, "draining": False}
        daemon.house.drain.begin()
        assert await daemon.livez() == {"in_flight": 3, "draining": True}
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await asyncio.wait_for(daemon.house.drain.empty(), 10)
        assert (await health_of(daemon))["in_flight"] == 0


async def test_it_tells_the_routes_that_are_in_force_after_a_reload(tmp_path: Path, upstream: StandIn) -> None:
    async with in_process(tmp_path, config(upstream)) as daemon:
        daemon.house.reload(loaded(tmp_path, "upstreams: { claude: { base_url: 'http://127.0.0.1:9' } }\n"))
        assert (await health_of(daemon))["upstreams"]["claude"]["base_url"] == "http://127.0.0.1:9"


async def rendered() -> bytes:
    return b"\xff one 1\n"


async def test_its_uptime_counts_from_its_making(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FrozenClock(1000.0)
    monkeypatch.setattr(health_module, "time", types.SimpleNamespace(monotonic=clock))
    async with forwarding(tmp_path, {}, routes=[{"to": [{"upstream": "claude"}]}]) as house:
        health = Health(Drain(), house.forwarder, rendered, "text/plain")
        clock.advance(3599.96)
        async with serving(health.health) as port:
            assert (await ask(f"http://127.0.0.1:{port}/", method="GET")).json()["uptime_seconds"] == 3600.0


async def test_metrics_are_given_as_they_are_rendered(tmp_path: Path) -> None:
    async with forwarding(tmp_path, {}, routes=[{"to": [{"upstream": "claude"}]}]) as house:
        health = Health(Drain(), house.forwarder, rendered, "text/x-metrics; version=9")
        async with serving(health.metrics) as port:
            reply = await ask(f"http://127.0.0.1:{port}/", method="GET")
    assert (reply.status, reply.body) == (200, b"\xff one 1\n")
    assert reply.headers["Content-Type"] == "text/x-metrics; version=9"


async def test_its_head_alone_may_be_asked_for(tmp_path: Path, upstream: StandIn) -> None:
    async with in_process(tmp_path, config(upstream)) as daemon, connected(daemon.port) as client:
        host = f"127.0.0.1:{daemon.port}"
        await client.send(request("HEAD", "/livez", host=host) + request("GET", "/livez", host=host))
        assert await client.read_until(lambda so_far: b"draining" in so_far.raw)
    heads = client.raw.split(b"\r\n\r\n")
    assert [head.partition(b"\r\n")[0] for head in heads[:2]] == [b"HTTP/1.1 200 OK"] * 2


async def test_json_of_our_own_is_json_with_its_status() -> None:
    response = answer_json({"a": ["é"]}, 418)
    assert (response.status, response.content_type) == (418, "application/json")
    assert response.text == '{"a": ["\\u00e9"]}'

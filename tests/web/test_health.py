"""`/health`, `/livez` and `/metrics` say how the daemon is, in the shape that the API's description promises."""

import os
from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest_asyncio
import yaml
from openapi_schema_validator import OAS31Validator

from claude_proxy import __version__
from tests.asking import ask
from tests.claude_request import claude_body, claude_headers, stored_login
from tests.in_process import LOGIN, InProcess, in_process
from tests.stand_in import StandIn, fails

STORED = "sk-ant-oat01-FAKE-stored-login"


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[StandIn]:
    async with StandIn() as running:
        yield running


def config(upstream: StandIn, **more: Any) -> dict[str, Any]:
    return {"upstreams": {"claude": {"base_url": upstream.url}}, **more}


def described(path: str, status: str) -> dict[str, Any]:
    """What the description says of the body of this answer."""
    document = yaml.safe_load(files("claude_proxy.web").joinpath("openapi.yaml").read_bytes())
    response = document["paths"][path]["get"]["responses"][status]
    if "$ref" in response:
        response = document["components"]["responses"][response["$ref"].rpartition("/")[2]]
    schema: dict[str, Any] = response["content"]["application/json"]["schema"]
    return schema


async def health_of(daemon: InProcess, status: int = 200) -> Any:
    """The answer of /health, which is as described."""
    reply = await ask(f"{daemon.url}/health", method="GET")
    assert reply.status == status
    OAS31Validator(described("/health", str(status))).validate(reply.json())
    return reply.json()


async def test_a_daemon_that_has_done_nothing_yet_is_healthy(tmp_path: Path, upstream: StandIn) -> None:
    async with in_process(tmp_path, config(upstream)) as daemon:
        health = await health_of(daemon)
    assert (health["status"], health["version"], health["in_flight"]) == ("healthy", __version__, 0)
    assert health["uptime_seconds"] >= 0
    assert health["pid"] == os.getpid()
    assert health["upstreams"]["claude"] == {
        "base_url": upstream.url,
        "credential": "claude",
        "breaker": {"state": "closed", "reason": None, "retry_in_seconds": None, "parts": []},
        "slots": {"in_use": 0, "waiting": 0, "limit": None},
    }
    assert health["pid"] == os.getpid()
    assert health["credentials"]["claude"]["state"] == "pass-through"
    assert health["credentials"]["claude"]["sources"] == ["client"]
    assert health["credentials"]["minimax"]["state"] == "absent"
    assert health["credentials"]["minimax"]["sources"] == ["env:FAKE_MINIMAX_KEY"]


async def test_its_routes_are_told_in_their_order(tmp_path: Path, upstream: StandIn) -> None:
    routes: list[dict[str, Any]] = [
        {"model": "claude-haiku-*", "to": [{"upstream": "minimax", "model": "M"}, {"upstream": "claude"}]},
        {"agent": "sub", "background": "title", "to": [{"upstream": "claude"}]},
        {"to": [{"upstream": "claude"}]},
    ]
    async with in_process(tmp_path, config(upstream, routes=routes)) as daemon:
        told = (await health_of(daemon))["routes"]
    claude = {"upstream": "claude", "model": None}
    assert told == [
        {
            "model": "claude-haiku-*",
            "agent": None,
            "background": None,
            "to": [{"upstream": "minimax", "model": "M"}, claude],
        },
        {"model": None, "agent": "sub", "background": "title", "to": [claude]},
        {"model": None, "agent": None, "background": None, "to": [claude]},
    ]


async def test_an_upstream_that_is_left_alone_says_why_and_for_how_long(tmp_path: Path, upstream: StandIn) -> None:
    upstream.answer = fails(429, "rate_limit_error", "slow down", [("retry-after", "900")])
    async with in_process(tmp_path, config(upstream)) as daemon:
        await ask(f"{daemon.url}/v1/messages", claude_body(), LOGIN)
        breaker = (await health_of(daemon))["upstreams"]["claude"]["breaker"]
    assert (breaker["state"], breaker["reason"]) == ("open", "slow down")
    assert 0 < breaker["retry_in_seconds"] <= 900
    (part,) = breaker["parts"]
    assert (part["of"], part["model"], part["state"]) == ("model", "claude-sonnet-4-5", "open")


async def test_a_stored_login_is_told_by_its_place_and_end_and_never_read_for_it(
    tmp_path: Path, upstream: StandIn
) -> None:
    login = tmp_path / ".claude" / ".credentials.json"
    login.parent.mkdir()
    login.write_text(stored_login(STORED))
    whole = config(upstream, credentials={"claude": {"sources": ["file"]}})
    async with in_process(tmp_path, whole) as daemon:
        before = (await health_of(daemon))["credentials"]["claude"]
        assert (before["state"], before["expires_at"]) == ("not read", None)
        assert (await ask(f"{daemon.url}/v1/messages", claude_body(), claude_headers())).status == 200
        login.unlink()
        after = (await health_of(daemon))["credentials"]["claude"]
    assert (after["state"], after["source"]) == ("present", "file")
    assert after["expires_at"] > 0
    assert (after["refresh"], after["last_refresh"]) == ("never", None)
    assert "FAKE" not in str(before) + str(after)


async def test_while_it_drains_it_is_not_healthy_but_alive(tmp_path: Path, upstream: StandIn) -> None:
    async with in_process(tmp_path, config(upstream)) as daemon:
        daemon.house.drain.begin()
        assert (await health_of(daemon, 503))["status"] == "draining"
        livez = await ask(f"{daemon.url}/livez", method="GET")
    assert (livez.status, livez.json()) == (200, {"in_flight": 0, "draining": True})
    OAS31Validator(described("/livez", "200")).validate(livez.json())


async def test_asking_how_it_is_asks_nobody_else(tmp_path: Path, upstream: StandIn) -> None:
    async with in_process(tmp_path, config(upstream)) as daemon:
        for path in ("/health", "/livez", "/metrics"):
            assert (await ask(daemon.url + path, method="GET")).status == 200
        assert daemon.records == []
    assert upstream.connections == 0


async def test_its_answers_are_kept_by_no_cache_and_guessed_at_by_no_browser(tmp_path: Path, upstream: StandIn) -> None:
    async with in_process(tmp_path, config(upstream)) as daemon:
        reply = await ask(f"{daemon.url}/health", method="GET")
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Server"] == f"claude-proxy/{__version__}"


async def test_metrics_are_in_the_format_of_prometheus(tmp_path: Path, upstream: StandIn) -> None:
    async with in_process(tmp_path, config(upstream)) as daemon:
        await ask(f"{daemon.url}/v1/messages", claude_body(), LOGIN)
        reply = await ask(f"{daemon.url}/metrics", method="GET")
    assert reply.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = reply.body.decode().splitlines()
    requests = 'claude_proxy_requests_total{end="complete",model="other",status_class="2xx",upstream="claude"} 1.0'
    assert requests in lines
    assert f'claude_proxy_build_info{{version="{__version__}"}} 1.0' in lines

"""What the running daemon says of itself is read, and whoever else listens there is told apart."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from claude_proxy import __version__
from claude_proxy.health_report import AnotherProgram, HealthReport, NotAnswering, ask_health, reachable_host
from tests.asking import ask
from tests.closed_port import refusing_url
from tests.in_process import LOGIN, in_process
from tests.stand_in import Answer, StandIn, fails, replies


async def heard(port: int, host: str = "127.0.0.1") -> HealthReport:
    return await asyncio.to_thread(ask_health, host, port)


async def told_by(body: Any) -> HealthReport:
    async with StandIn(replies(200, json.dumps(body).encode())) as other:
        return await heard(other.port)


async def test_a_running_daemon_tells_all_of_itself(tmp_path: Path) -> None:
    async with StandIn(fails(429, "rate_limit_error", headers=[("retry-after", "900")])) as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}}
        async with in_process(tmp_path, config) as daemon:
            await ask(f"{daemon.url}/v1/messages", {"model": "x", "messages": []}, LOGIN)
            report = await heard(daemon.port)
            daemon.house.drain.begin()
            assert (await heard(daemon.port)).status == "draining"
    assert (report.status, report.version, report.in_flight) == ("healthy", __version__, 0)
    assert report.pid is not None
    assert report.uptime_seconds is not None
    assert (report.upstreams["claude"].breaker.state, report.upstreams["claude"].credential) == ("open", "claude")
    (part,) = report.upstreams["claude"].breaker.parts
    assert (part.of, part.model, part.state, part.reason) == ("model", "x", "open", "no")
    assert part.retry_in_seconds is not None
    assert report.credentials["claude"].state == "pass-through"
    assert report.credentials["claude"].sources == ("client",)
    assert report.credentials["minimax"].sources == ("env:FAKE_MINIMAX_KEY",)


async def test_quota_is_handed_on_as_it_is_told() -> None:
    quota = {"claude": {"status": "allowed", "windows": {"5h": {"utilization": 0.42}}}, "minimax": None}
    report = await told_by({"upstreams": {}, "credentials": {}, "quota": quota})
    assert report.quota == {"claude": quota["claude"]}


ODD_PART = {"of": "api", "state": "open", "reason": 5, "retry_in_seconds": "soon"}


async def test_a_daemon_of_another_version_may_say_less_or_say_it_otherwise() -> None:
    body = {
        "status": 7,
        "version": [1],
        "pid": "x",
        "uptime_seconds": True,
        "upstreams": {"claude": {"breaker": {"state": "open", "parts": [ODD_PART]}, "credential": None}},
        "credentials": {"claude": {"state": "present", "expires_at": "soon", "sources": [1, "client"], "refresh": {}}},
        "quota": "none",
    }
    report = await told_by(body)
    assert (report.status, report.version, report.pid, report.uptime_seconds) == ("healthy", None, None, None)
    assert report.upstreams["claude"].breaker == ("open", (("api", None, "open", None, None),))
    credential = report.credentials["claude"]
    assert (credential.expires_at, credential.sources, credential.refresh) == (None, ("client",), {})
    assert report.quota == {}


@pytest.mark.parametrize(
    ("breaker", "parts"),
    [
        ({"state": "closed", "reason": None}, ()),
        ({"state": "open", "reason": "tired", "retry_in_seconds": 9.5}, (("api", None, "open", "tired", 9.5),)),
    ],
)
async def test_a_daemon_that_knows_no_parts_has_one_breaker(breaker: Any, parts: Any) -> None:
    report = await told_by({"upstreams": {"claude": {"breaker": breaker}}, "credentials": {}})
    assert report.upstreams["claude"].breaker == (breaker["state"], parts)


OTHERS: dict[str, Answer] = {
    "another program": replies(200, b"<html>", [("Content-Type", "text/html")]),
    "a JSON that is not ours": replies(200, b'["healthy"]'),
    "a JSON without upstreams": replies(200, b'{"status":"ok"}'),
    "a JSON whose upstreams are something else": replies(200, b'{"upstreams":["a"],"credentials":7}'),
    "an upstream of which less is told": replies(200, b'{"upstreams":{"claude":{}},"credentials":{}}'),
    "a breaker that is no breaker": replies(200, b'{"upstreams":{"x":{"breaker":[]}},"credentials":{}}'),
    "a credential of which less is told": replies(200, b'{"upstreams":{},"credentials":{"claude":{}}}'),
    "a state that is no word": replies(200, b'{"upstreams":{},"credentials":{"claude":{"state":1}}}'),
    "half an answer": replies(200, b'{"upstreams":'),
    "a JSON without an end": replies(200, b"[" * 200_000),
}


@pytest.mark.parametrize("name", OTHERS)
async def test_another_program_is_told_apart(name: str) -> None:
    async with StandIn(OTHERS[name]) as other:
        with pytest.raises(AnotherProgram, match=r"another program answers there \(HTTP 200"):
            await heard(other.port)


async def test_what_does_not_speak_http_is_told_apart() -> None:
    async def speak(*_: Any) -> None:
        raise ConnectionError

    async with StandIn(speak) as other:
        with pytest.raises(NotAnswering):
            await heard(other.port)


async def test_where_nobody_listens_the_system_says_so() -> None:
    with refusing_url() as url, pytest.raises(NotAnswering, match="Connection refused"):
        await heard(int(url.rpartition(":")[2]))


@pytest.mark.parametrize(
    ("host", "reached"),
    [("0.0.0.0", "127.0.0.1"), ("::", "127.0.0.1"), ("[::1]", "::1"), ("localhost", "localhost")],
)
def test_who_listens_everywhere_is_reached_on_this_machine(host: str, reached: str) -> None:
    assert reachable_host(host) == reached

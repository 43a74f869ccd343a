"""What goes through the daemon can be looked at by its owner: live, in lists, whole, in sums."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.asking import ask
from tests.claude_request import SESSION, claude_body, claude_headers
from tests.raw_client import Answer, connected, request
from tests.running import Daemon, running
from tests.stand_in import StandIn, says
from tests.web.described import assert_as_described
from tests.web.listening import listening
from tests.web.recorded_before import described_path

pytestmark = pytest.mark.asyncio(loop_scope="module")

PASSWORD = "FAKE-password-of-the-dashboard"
CANARY = "sk-ant-oat01-FAKE-canary-of-the-login"
BASIC = ("Authorization", "Basic " + base64.b64encode(f"me:{PASSWORD}".encode()).decode())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemon(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Daemon]:
    async with StandIn(says("hello")) as upstream:
        config = {
            "listen": {"host": "127.0.0.1", "port": 0},
            "upstreams": {"claude": {"base_url": upstream.url}},
            "ledger": {"flush_interval": "10ms"},
        }
        async with running(tmp_path_factory.mktemp("api"), config, {"DASHBOARD_PASSWORD": PASSWORD}) as daemon:
            yield daemon
        assert "Traceback" not in daemon.log
        assert PASSWORD not in daemon.log


async def knock(daemon: Daemon, target: str, *headers: tuple[str, str], method: str = "GET") -> Answer:
    async with connected(daemon.port) as client:
        await client.send(request(method, target, host=f"127.0.0.1:{daemon.port}", headers=(BASIC, *headers)))
        answer = await client.answer()
    assert answer is not None
    return answer


async def get(daemon: Daemon, target: str) -> Any:
    answer = await knock(daemon, target)
    assert answer.status == 200, answer.body
    assert CANARY.encode() not in answer.body
    assert_as_described(answer.json(), described_path(target), 200)
    return answer.json()


async def when(daemon: Daemon, target: str, condition: Callable[[Any], bool]) -> Any:
    """The answer, once it is so: a record is written within the flush interval."""
    async with asyncio.timeout(20):
        while not condition(found := await get(daemon, target)):
            await asyncio.sleep(0.01)
    return found


async def test_a_request_is_seen_live_and_then_recorded_whole(daemon: Daemon) -> None:
    headers = claude_headers({"Authorization": f"Bearer {CANARY}"})
    async with listening(daemon.port, [BASIC]) as listener:
        answer = await ask(f"{daemon.url}/v1/messages?beta=true", claude_body(stream=True), headers)
        begin, end = await listener.heard(2)
    of = answer.headers["x-claude-proxy-request-id"]
    assert (begin.data["id"], end.data["id"]) == (of, of)
    assert CANARY not in listener.text

    page = await when(daemon, "/api/requests", lambda found: bool(found["total"] and found["requests"][0]["response"]))
    (listed,) = page["requests"]
    assert (listed["requestId"], listed["sessionId"], listed["outcome"]) == (of, SESSION, "complete")
    assert listed["cost"]["listValue"] == end.data["list_value"]
    assert listed["usage"]["output_tokens"] == end.data["output_tokens"]

    whole = await get(daemon, f"/api/requests/{of[:16]}")
    assert whole["body"] == json.loads(claude_body(stream=True))
    assert whole["response"]["bodyText"].encode() == answer.body
    assert whole["response"]["body"]["content"] == [{"type": "text", "text": "hello"}]
    assert [attempt["upstream"] for attempt in whole["attempts"]] == ["claude"]

    today = await get(daemon, "/api/stats/today")
    assert (today["requests"], today["list_value"]) == (1, listed["cost"]["listValue"])
    one = await get(daemon, f"/api/conversations/{SESSION}")
    assert [exchange["requestId"] for exchange in one["exchanges"]] == [of]


async def test_without_the_password_nothing_is_seen(daemon: Daemon) -> None:
    for target in ("/api/requests", "/api/stats", "/api/conversations", "/api/events", "/api/stats/today"):
        answer = await ask(f"{daemon.url}{target}", method="GET")
        assert answer.status == 401
        assert b"hello" not in answer.body


async def test_what_is_forgotten_is_gone(daemon: Daemon) -> None:
    reply = await ask(f"{daemon.url}/v1/messages", claude_body(), claude_headers({"Authorization": f"Bearer {CANARY}"}))
    newest = reply.headers["x-claude-proxy-request-id"]
    # What is written later than that would not be forgotten.
    await when(
        daemon,
        "/api/requests",
        lambda found: (
            newest in {one["requestId"] for one in found["requests"]}
            and all(one["response"] for one in found["requests"])
        ),
    )
    assert (await knock(daemon, "/api/requests", method="DELETE")).status == 403
    answer = await knock(daemon, "/api/requests", ("X-Requested-With", "a test"), method="DELETE")
    assert answer.status == 200
    assert answer.json()["deleted"] >= 1
    assert (await get(daemon, "/api/requests"))["total"] == 0
    assert (await get(daemon, "/api/conversations"))["total"] == 0
    assert (await get(daemon, "/api/stats"))["total_requests"] == 0


async def test_where_nothing_is_recorded_it_says_so(tmp_path: Path) -> None:
    async with running(tmp_path, {"listen": {"host": "127.0.0.1", "port": 0}, "ledger": {"enabled": False}}) as off:
        for target in ("/api/requests", "/api/requests/req_cp_1", "/api/stats/today", "/api/conversations"):
            answer = await ask(f"{off.url}{target}", method="GET")
            assert (answer.status, answer.headers["x-claude-proxy-error"]) == (404, "no_ledger")
            assert "ledger.enabled is false" in answer.json()["error"]["message"]
        async with listening(off.port) as listener:
            assert listener.head.startswith("HTTP/1.1 200")

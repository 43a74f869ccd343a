"""A login of ours that is refused for good: said once, never used again, until its store holds another."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.asking import Reply, ask
from tests.claude_request import SENTINEL, bearer_of, claude_body, claude_headers, stored_login
from tests.in_process import LOGIN, InProcess, in_process
from tests.paths.logins import RENEWED_TOKEN, STORED_TOKEN, message_of, write_login_file
from tests.stand_in import Received, StandIn, Wire, fails, says, two

PLACEHOLDER = claude_headers({"x-api-key": SENTINEL})

REFUSALS = {
    "the organisation is disabled": (400, "invalid_request_error", "This organization has been disabled."),
    "no logins are taken": (403, "permission_error", "OAuth authentication is currently not allowed for this account."),
    "the login was revoked": (403, "permission_error", "OAuth token has been revoked"),
    "the login is not known": (401, "authentication_error", "Invalid bearer token"),
}


def config(claude: StandIn, second: StandIn | None = None) -> dict[str, Any]:
    anthropic = {"dialect": "anthropic"}
    upstreams = {"claude": {"base_url": claude.url, "credential": "claude", **anthropic}}
    to = [{"upstream": "claude"}]
    if second is not None:
        upstreams["second"] = {"base_url": second.url, "credential": "key", **anthropic}
        to.append({"upstream": "second"})
    return {
        "credentials": {"claude": {"sources": ["client", "file"]}, "key": {"sources": ["env:OUR_KEY"]}},
        "upstreams": upstreams,
        "routes": [{"to": to}],
    }


@pytest.fixture(autouse=True)
def looks_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As shipped a store is asked for another login every five seconds at most."""
    monkeypatch.setattr("claude_proxy.credentials.token_store.LOOK_AGAIN", 0.05)


ENVIRONMENT = {"OUR_KEY": "sk-ant-api03-FAKE-ours"}


async def asked(daemon: InProcess, headers: dict[str, str] = PLACEHOLDER, path: str = "/v1/messages") -> Reply:
    return await ask(daemon.url + path, claude_body(), headers)


async def credential_of(daemon: InProcess) -> Any:
    return (await ask(f"{daemon.url}/health", method="GET")).json()["credentials"]["claude"]


def refuses_the_stored(status: int, kind: str, message: str) -> Any:
    async def answer(received: Received, wire: Wire) -> None:
        refused = bearer_of(received) == STORED_TOKEN
        await (fails(status, kind, message) if refused else says("hello"))(received, wire)

    return answer


@pytest.mark.parametrize("name", REFUSALS)
async def test_it_is_not_used_again_and_the_reason_is_told_everywhere(name: str, tmp_path: Path) -> None:
    write_login_file(tmp_path / ".claude", stored_login(STORED_TOKEN))
    async with (
        StandIn(refuses_the_stored(*REFUSALS[name])) as claude,
        in_process(tmp_path, config(claude)) as daemon,
    ):
        replies = [await asked(daemon) for _ in range(3)]
        assert len(claude.received) == 1
        state = await credential_of(daemon)
        assert (await asked(daemon, LOGIN)).status == 200, "who brings a login is not concerned"
        lines = [line for line in daemon.records if REFUSALS[name][2] in str(line.get("reason"))]
    assert [reply.status for reply in replies] == [403, 403, 403]
    for reply in replies:
        assert REFUSALS[name][2] in message_of(reply)
        assert "`claude`" in message_of(reply)
        assert reply.headers["x-should-retry"] == "false"
    assert state["state"] == "refused"
    assert REFUSALS[name][2] in state["detail"]
    assert [(line["event"], line["kind"], line["for_s"]) for line in lines] == [
        ("breaker_open", "auth", "until_replaced")
    ]


@pytest.mark.parametrize("name", REFUSALS)
async def test_another_target_answers_and_the_login_comes_back_when_it_was_replaced(name: str, tmp_path: Path) -> None:
    write_login_file(tmp_path / ".claude", stored_login(STORED_TOKEN))
    async with (
        two(refuses_the_stored(*REFUSALS[name]), says("from the second")) as (claude, second),
        in_process(tmp_path, config(claude, second), ENVIRONMENT) as daemon,
    ):
        for _ in range(3):
            assert (await asked(daemon)).headers["x-claude-proxy-upstream"] == "second"
        assert len(claude.received) == 1
        write_login_file(tmp_path / ".claude", stored_login(RENEWED_TOKEN))
        async with asyncio.timeout(20):
            while (await asked(daemon)).headers["x-claude-proxy-upstream"] != "claude":
                await asyncio.sleep(0.1)
        assert [bearer_of(received) for received in claude.received] == [STORED_TOKEN, RENEWED_TOKEN]
        assert (await credential_of(daemon))["state"] != "refused"


async def test_a_count_of_tokens_learns_it_as_well(tmp_path: Path) -> None:
    write_login_file(tmp_path / ".claude", stored_login(STORED_TOKEN))
    refusal = refuses_the_stored(*REFUSALS["the login is not known"])
    async with StandIn(refusal) as claude, in_process(tmp_path, config(claude)) as daemon:
        for path in ("/v1/messages/count_tokens", "/v1/messages/count_tokens", "/v1/messages"):
            assert (await asked(daemon, path=path)).status == 403
        assert len(claude.received) == 1


async def test_a_reload_has_it_tried_once_more(tmp_path: Path) -> None:
    write_login_file(tmp_path / ".claude", stored_login(STORED_TOKEN))
    refusal = fails(*REFUSALS["the login is not known"])
    async with StandIn(says("hello")) as claude, in_process(tmp_path, config(claude)) as daemon:
        claude.then(refusal)
        assert [(await asked(daemon)).status for _ in range(2)] == [403, 403]
        daemon.house.reload(daemon.house.settings)
        assert (await asked(daemon)).status == 200

"""The proxy's own token: needed wherever others could come in, asked for everywhere, handed on to nobody."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.paths.refusals import assert_error_of_ours
from tests.raw_client import Answer, ask, request, send_raw
from tests.running import Daemon, running
from tests.stand_in import StandIn

Headers = Sequence[tuple[str, str]]

TOKEN = "FAKE-gate-token-7f31c09a55d2"
KEY = "sk-ant-api03-FAKE-key-of-the-proxy"
LOGIN = ("Authorization", "Bearer sk-ant-oat01-FAKE-login-of-the-user")
BODY = json.dumps({"model": "claude-sonnet-4-5", "max_tokens": 8, "messages": []}).encode()


def gated(upstream: StandIn, **more: Any) -> dict[str, Any]:
    """A configuration that asks for the token."""
    access = {"token": {"env": "AUTH_TOKEN"}, **more.pop("access", {})}
    return {"upstreams": {"claude": {"base_url": upstream.url}}, "access": access, **more}


def open_to_others(upstream: StandIn, host: str = "0.0.0.0") -> dict[str, Any]:
    """A configuration that listens beyond this machine."""
    return {
        "upstreams": {"claude": {"base_url": upstream.url}},
        "listen": {"host": host, "port": 0},
    }


async def ask_for_a_message(daemon: Daemon, *headers: tuple[str, str]) -> Answer:
    own = [("Content-Type", "application/json"), *headers]
    raw = request("POST", "/v1/messages", host=f"127.0.0.1:{daemon.port}", headers=own, body=BODY)
    return (await send_raw(daemon.port, raw)).final


def assert_told_to_nobody(upstream: StandIn, daemon: Daemon) -> None:
    assert TOKEN not in repr(upstream.received)
    assert TOKEN not in daemon.log
    assert "Traceback" not in daemon.log


# --- who must have one ---------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
@pytest.mark.parametrize(
    "env",
    [{}, {"AUTH_TOKEN": ""}, {"AUTH_TOKEN": "  "}, {"AUTH_TOKEN": TOKEN, "AUTH_ENABLED": "false"}],
    ids=["none", "an empty one", "a blank one", "one that is switched off"],
)
async def test_without_a_token_the_daemon_does_not_listen_for_others(
    tmp_path: Path, host: str, env: Mapping[str, str]
) -> None:
    async with (
        StandIn() as upstream,
        running(tmp_path, gated(upstream, listen={"host": host, "port": 0}), {**env}, wait=False) as daemon,
    ):
        assert await daemon.ended() == 78
    assert "event=listening" not in daemon.log
    assert "AUTH_TOKEN" in daemon.log  # the remedy
    assert host in daemon.log  # the cause
    assert TOKEN not in daemon.log
    assert "Traceback" not in daemon.log


async def test_behind_a_trusted_proxy_the_daemon_listens_without_a_token(tmp_path: Path) -> None:
    env = {"TRUST_PROXY": "true"}
    async with StandIn() as upstream, running(tmp_path, open_to_others(upstream), env) as daemon:
        assert (await ask(daemon.port, "/health")).status == 200
        assert (await ask_for_a_message(daemon, LOGIN)).status == 200


@pytest.mark.parametrize("by", ["environment", "configuration"])
async def test_with_a_token_the_daemon_listens_for_others_and_asks_for_it(tmp_path: Path, by: str) -> None:
    async with StandIn() as upstream:
        config = open_to_others(upstream)
        if by == "configuration":
            config["access"] = {"token": {"env": "AUTH_TOKEN"}}
        async with running(tmp_path, config, {"AUTH_TOKEN": TOKEN}) as daemon:
            refused = await ask_for_a_message(daemon, LOGIN)
            assert refused.status == 403
            assert upstream.received == []
            served = await ask_for_a_message(daemon, LOGIN, ("x-claude-proxy-token", TOKEN))
            assert served.status == 200
            assert_told_to_nobody(upstream, daemon)


# --- how it is shown -----------------------------------------------------------------------------------

SHOWN = [
    ("Authorization", f"Bearer {TOKEN}"),
    ("authorization", f"bearer {TOKEN}"),
    ("x-api-key", TOKEN),
    ("X-Claude-Proxy-Token", TOKEN),
]


@pytest.mark.parametrize(("name", "value"), SHOWN)
async def test_the_token_opens_and_stays_with_us(tmp_path: Path, name: str, value: str) -> None:
    env = {"AUTH_TOKEN": TOKEN, "REAL_ANTHROPIC_API_KEY": KEY}
    async with StandIn() as upstream, running(tmp_path, gated(upstream), env) as daemon:
        assert (await ask_for_a_message(daemon, (name, value))).status == 200
        (received,) = upstream.received
        assert received.header("x-api-key") == KEY
        assert received.header("authorization") is None
        assert received.header("x-claude-proxy-token") is None
        assert_told_to_nobody(upstream, daemon)


async def test_the_token_goes_beside_the_login(tmp_path: Path) -> None:
    async with StandIn() as upstream, running(tmp_path, gated(upstream), {"AUTH_TOKEN": TOKEN}) as daemon:
        answer = await ask_for_a_message(daemon, LOGIN, ("x-claude-proxy-token", TOKEN))
        assert answer.status == 200
        (received,) = upstream.received
        assert received.header("authorization") == LOGIN[1]
        assert received.header("x-claude-proxy-token") is None
        assert_told_to_nobody(upstream, daemon)


async def test_the_token_goes_beside_a_key_of_the_client(tmp_path: Path) -> None:
    key = "sk-ant-api03-FAKE-key-of-the-client"
    async with StandIn() as upstream, running(tmp_path, gated(upstream), {"AUTH_TOKEN": TOKEN}) as daemon:
        answer = await ask_for_a_message(daemon, ("Authorization", f"Bearer {TOKEN}"), ("x-api-key", key))
        assert answer.status == 200
        (received,) = upstream.received
        assert received.header("x-api-key") == key
        assert received.header("authorization") is None
        assert_told_to_nobody(upstream, daemon)


async def test_without_any_other_credential_the_token_is_not_used_as_one(tmp_path: Path) -> None:
    async with StandIn() as upstream, running(tmp_path, gated(upstream), {"AUTH_TOKEN": TOKEN}) as daemon:
        await ask_for_a_message(daemon, ("Authorization", f"Bearer {TOKEN}"))
        await ask_for_a_message(daemon, ("x-api-key", TOKEN))
        assert_told_to_nobody(upstream, daemon)


@pytest.mark.parametrize("name", ["authorization_", "Proxy-Authorization", "x-note", "Cookie"])
async def test_the_token_in_another_place_does_not_open(tmp_path: Path, name: str) -> None:
    async with StandIn() as upstream, running(tmp_path, gated(upstream), {"AUTH_TOKEN": TOKEN}) as daemon:
        assert (await ask_for_a_message(daemon, LOGIN, (name, TOKEN))).status == 403
        assert upstream.received == []


async def test_a_second_spelling_of_the_tokens_header_is_not_handed_on(tmp_path: Path) -> None:
    async with StandIn() as upstream, running(tmp_path, gated(upstream), {"AUTH_TOKEN": TOKEN}) as daemon:
        shown = [("x-claude-proxy-token", TOKEN), ("X_Claude_Proxy_Token", TOKEN)]
        await ask_for_a_message(daemon, LOGIN, *shown)
        assert_told_to_nobody(upstream, daemon)


@pytest.mark.parametrize("by", ["environment", "configuration"])
async def test_the_key_header_can_have_another_name(tmp_path: Path, by: str) -> None:
    env = {"AUTH_TOKEN": TOKEN}
    access = {}
    if by == "environment":
        env["AUTH_API_KEY_HEADER"] = "X-My-Gate"
    else:
        access["header"] = "X-My-Gate"
    async with StandIn() as upstream, running(tmp_path, gated(upstream, access=access), env) as daemon:
        assert (await ask_for_a_message(daemon, LOGIN, ("x-my-gate", TOKEN))).status == 200
        (received,) = upstream.received
        assert received.header("x-my-gate") is None
        assert received.header("authorization") == LOGIN[1]
        assert (await ask_for_a_message(daemon, LOGIN, ("x-api-key", TOKEN))).status == 403
        assert_told_to_nobody(upstream, daemon)


# --- what does not open --------------------------------------------------------------------------------

WRONG = [
    ("Authorization", f"Bearer {TOKEN}x"),
    ("Authorization", f"Bearer {TOKEN[:-1]}"),
    ("Authorization", f"Bearer {TOKEN.swapcase()}"),
    ("Authorization", "Bearer "),
    ("Authorization", "Bearer"),
    ("Authorization", TOKEN),
    ("Authorization", f"Basic {TOKEN}"),
    ("Authorization", f"Bearer x, Bearer {TOKEN}"),
    ("Authorization", "Bearer \xff\xfe"),
    ("x-api-key", ""),
    ("x-api-key", f"{TOKEN}, {TOKEN}"),
    ("x-api-key", "proxy-managed"),
    ("x-claude-proxy-token", "AUTH_TOKEN"),
    ("x-claude-proxy-token", f"Bearer x{TOKEN}"),
    ("x-claude-proxy-token", "\xe9" * 20),
    ("x-claude-proxy-token", "a" * 7000),
]


async def test_a_wrong_token_is_refused_in_words_that_do_not_repeat_it(tmp_path: Path) -> None:
    async with StandIn() as upstream, running(tmp_path, gated(upstream), {"AUTH_TOKEN": TOKEN}) as daemon:
        for wrong in WRONG:
            answer = await ask_for_a_message(daemon, wrong)
            # 403 and not 401: a 401 makes Claude Code refresh a login that is in perfect order.
            assert answer.status == 403, wrong
            assert answer.header("www-authenticate") is None
            assert "x-claude-proxy-token" in assert_error_of_ours(answer)
            assert TOKEN.lower() not in answer.body.decode().lower()
        assert upstream.received == []
        assert_told_to_nobody(upstream, daemon)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Real-IP", "127.0.0.1"),
        ("Forwarded", "for=127.0.0.1"),
        ("X-Original-URL", "/health"),
        ("X-Rewrite-URL", "/livez"),
        ("X-Forwarded-Uri", "/health"),
        ("X-HTTP-Method-Override", "GET"),
        ("Referer", "http://127.0.0.1/health"),
        ("User-Agent", "claude-cli/2.1.197 (external, cli)"),
    ],
)
async def test_no_header_excuses_from_the_token(tmp_path: Path, name: str, value: str) -> None:
    async with StandIn() as upstream, running(tmp_path, gated(upstream), {"AUTH_TOKEN": TOKEN}) as daemon:
        assert (await ask_for_a_message(daemon, LOGIN, (name, value))).status == 403
        assert upstream.received == []


@pytest.mark.parametrize(
    "target",
    [
        "/v1/messages?path=/health",
        "/v1/messages?/health",
        f"/v1/messages?token={TOKEN}",
        "/v1/models",
        "/v1/models?x=/livez",
        "/v1/health",
        "/nowhere",
        "/",
    ],
)
async def test_no_path_but_the_health_is_excused_from_the_token(tmp_path: Path, target: str) -> None:
    async with StandIn() as upstream, running(tmp_path, gated(upstream), {"AUTH_TOKEN": TOKEN}) as daemon:
        for method, body in (("GET", None), ("POST", BODY)):
            own = [("Content-Type", "application/json"), LOGIN]
            raw = request(method, target, host=f"127.0.0.1:{daemon.port}", headers=own, body=body)
            assert (await send_raw(daemon.port, raw)).final.status == 403
        assert upstream.received == []
        assert_told_to_nobody(upstream, daemon)


async def test_health_and_metrics_are_told_without_the_token_and_do_not_tell_it(tmp_path: Path) -> None:
    async with StandIn() as upstream, running(tmp_path, gated(upstream), {"AUTH_TOKEN": TOKEN}) as daemon:
        for target in ("/health", "/livez", "/metrics"):
            answer = await ask(daemon.port, target)
            assert answer.status == 200
            assert TOKEN.encode() not in answer.body
        assert_told_to_nobody(upstream, daemon)


# --- the local bypass ----------------------------------------------------------------------------------


async def test_the_local_bypass_opens_only_where_it_is_switched_on(tmp_path: Path) -> None:
    async with StandIn() as upstream:
        env = {"AUTH_TOKEN": TOKEN, "AUTH_ALLOW_LOCALHOST_BYPASS": "true"}
        async with running(tmp_path / "on", gated(upstream), env) as daemon:
            assert (await ask_for_a_message(daemon, LOGIN)).status == 200
        upstream.received.clear()
        env["AUTH_ALLOW_LOCALHOST_BYPASS"] = "false"
        async with running(tmp_path / "off", gated(upstream), env) as daemon:
            assert (await ask_for_a_message(daemon, LOGIN)).status == 403
        assert upstream.received == []


async def test_behind_a_trusted_proxy_the_local_bypass_does_not_hold(tmp_path: Path) -> None:
    env = {"AUTH_TOKEN": TOKEN, "AUTH_ALLOW_LOCALHOST_BYPASS": "true", "TRUST_PROXY": "true"}
    async with StandIn() as upstream, running(tmp_path, gated(upstream), env) as daemon:
        assert (await ask_for_a_message(daemon, LOGIN)).status == 403
        assert upstream.received == []

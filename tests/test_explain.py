"""Where a request would go is explained from the configuration and the running daemon's health, and nothing is sent."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme

from claude_proxy.config.settings import Settings
from claude_proxy.explain import Question, explain_lines
from tests.asking import ask
from tests.config.loading import loaded
from tests.in_process import LOGIN, in_process
from tests.stand_in import Answer, StandIn, fails, replies

HAIKU = "claude-haiku-4-5-20251001"
LOGIN_TEXT = "sk-ant-oat01-FAKE-login"


def explained(
    settings: Settings,
    model: str | None = HAIKU,
    env: Mapping[str, str] | None = None,
    *,
    subagent: bool = False,
    body: Mapping[str, Any] | None = None,
) -> list[str]:
    text = None if body is None else json.dumps(body).encode()
    return list(explain_lines(settings, env or {}, Question(model, subagent, text)))


def without_daemon(home: Path, more: str = "") -> Settings:
    """A port on which nobody can listen."""
    return loaded(home, f"listen: {{ port: 0 }}\n{more}")


def test_route_targets_and_credentials_of_a_model_are_told_in_order(tmp_path: Path) -> None:
    lines = explained(without_daemon(tmp_path), env={"MINIMAX_API_KEY": "FAKE-key"})
    assert lines[:6] == [
        f"model      {HAIKU}",
        "route      model claude-haiku-*  (matches model claude-haiku-*)",
        "1. target  minimax as MiniMax-M2.5-highspeed  https://api.minimax.io/anthropic",
        lines[3],
        "2. target  claude  https://api.anthropic.com",
        lines[5],
    ]
    assert lines[3].startswith("   credential minimax: present from env:MINIMAX_API_KEY")
    assert lines[5].startswith("   credential claude: ")
    assert lines[6:] == ["daemon     does not answer on 127.0.0.1:0; breakers are not known"]
    assert "FAKE" not in "\n".join(lines)


def test_a_model_of_the_default_route_goes_to_claude(tmp_path: Path) -> None:
    lines = explained(without_daemon(tmp_path), "claude-opus-4-8")
    assert lines[1] == "route      everything  (matches everything)"
    assert lines[2] == "1. target  claude  https://api.anthropic.com"
    assert not any("minimax" in line for line in lines)


def test_the_way_out_is_told_and_no_secret_of_it(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(bundle)
    proxy = "transport: { proxy: 'http://proxy.example:3128', proxy_auth: { env: FAKE_LOGIN } }\n"
    more = f"upstreams: {{ minimax: {{ ca_bundle: {bundle} }} }}\n"
    env = {"FAKE_LOGIN": "me:FAKE-password"}
    lines = explained(loaded(tmp_path, f"listen: {{ port: 0 }}\n{proxy}{more}", env))
    through = "   through the proxy http://proxy.example:3128 (transport.proxy)"
    assert lines[3] == f"{through}, trusting {bundle} besides the system's authorities"
    assert lines[5].startswith("2. target  claude")
    assert lines[6] == through
    assert "FAKE-password" not in "\n".join(lines)


def test_a_subagent_takes_its_own_route(tmp_path: Path) -> None:
    routes = "routes: [{ agent: sub, to: [{ upstream: minimax }] }, { to: [{ upstream: claude }] }]\n"
    settings = without_daemon(tmp_path, routes)
    assert "1. target  claude" in explained(settings)[2]
    assert "1. target  minimax" in explained(settings, subagent=True)[2]


def test_a_request_that_only_anthropic_can_answer_is_told_with_its_reason(tmp_path: Path) -> None:
    body = {"model": HAIKU, "messages": [], "tools": [{"type": "web_search_20250305", "name": "web_search"}]}
    lines = explained(without_daemon(tmp_path), None, body=body)
    assert "only Anthropic can answer it" in lines[1]
    assert lines[2].startswith("1. target  claude")


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"model": 1}', b'{"model":"a","model":"b"}'])
def test_a_body_that_is_no_request_is_refused(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        list(explain_lines(without_daemon(tmp_path), {}, Question(None, False, body)))


def test_no_store_is_read(tmp_path: Path) -> None:
    """The file of the login is there, and is only said to be looked at when it is needed."""
    login = tmp_path / ".claude" / ".credentials.json"
    login.parent.mkdir()
    login.write_text(json.dumps({"claudeAiOauth": {"accessToken": LOGIN_TEXT, "expiresAt": 4102444800000}}))
    settings = without_daemon(tmp_path, "credentials: { claude: { sources: [file] } }\n")
    lines = explained(settings, "claude-opus-4-8", {"HOME": str(tmp_path)})
    assert "   credential claude: not read" in lines[3]
    assert "FAKE" not in "\n".join(lines)


async def test_the_running_daemons_breakers_and_credentials_are_told_and_nothing_is_sent(tmp_path: Path) -> None:
    async with StandIn(fails(429, "rate_limit_error", headers=[("retry-after", "900")])) as upstream:
        config = {
            "upstreams": {"claude": {"base_url": upstream.url}},
            "routes": [{"to": [{"upstream": "claude"}]}],
        }
        async with in_process(tmp_path, config) as daemon:
            await ask(f"{daemon.url}/v1/messages", {"model": "claude-opus-4-8", "messages": []}, LOGIN)
            sent, in_flight = len(upstream.received), (await daemon.livez())["in_flight"]
            settings = loaded(
                tmp_path,
                f"listen: {{ port: {daemon.port} }}\nupstreams: {{ claude: {{ base_url: '{upstream.url}' }} }}\n",
            )
            lines = await asyncio.to_thread(explained, settings, "claude-opus-4-8")
            others = await asyncio.to_thread(explained, settings, "claude-sonnet-5-5")
        assert len(upstream.received) == sent
        assert in_flight == 0
    assert lines[3].startswith("   breaker open for a model: no, next try in ")
    assert lines[3].endswith(" s")
    assert others[3] == "   breaker closed"
    assert lines[4].startswith("   credential claude: pass-through from client")
    assert len(lines) == 5


OTHERS: dict[str, Answer] = {
    "another program": replies(200, b"<html>", [("Content-Type", "text/html")]),
    "a JSON that is not ours": replies(200, b'["healthy"]'),
    "a JSON without upstreams": replies(200, b'{"status":"ok"}'),
    "a JSON whose upstreams are something else": replies(200, b'{"upstreams":["a"],"credentials":7}'),
    "an upstream of which less is told": replies(200, b'{"upstreams":{"claude":{}},"credentials":{"claude":{}}}'),
    "half an answer": replies(200, b'{"upstreams":'),
}


@pytest.mark.parametrize("name", OTHERS)
async def test_whoever_else_listens_on_the_port_is_not_mistaken_for_the_daemon(tmp_path: Path, name: str) -> None:
    async with StandIn(OTHERS[name]) as other:
        settings = loaded(tmp_path, f"listen: {{ port: {other.port} }}\n")
        lines = await asyncio.to_thread(explained, settings)
        assert lines[-1] == f"daemon     does not answer on 127.0.0.1:{other.port}; breakers are not known"

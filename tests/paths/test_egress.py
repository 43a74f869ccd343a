"""The way out through a proxy and with authorities of one's own: the login is read by nobody on it, and every fault
is told with cause, place and remedy."""

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest_asyncio
import trustme
import yaml

from tests.asking import Reply, ask
from tests.closed_port import refusing_url
from tests.doctor.patient import speaks_first
from tests.forward_proxy import ForwardProxy
from tests.paths.test_tls import tls
from tests.running import Daemon, running
from tests.stand_in import StandIn, says

SECRET = "sk-ant-oat01-FAKE-canary-of-the-way-out"
LOGIN = {"Authorization": f"Bearer {SECRET}"}
PASSWORD = "FAKE-password-of-the-proxy"
BASIC = "Basic " + base64.b64encode(f"tester:{PASSWORD}".encode()).decode()
MESSAGE = {"model": "claude-sonnet-4-5", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
ESCAPED = "FAKE-p%40ssword-of-the-environment"
ANTHROPIC = "api.anthropic.com:443"


@dataclass
class House:
    """A daemon that has Anthropic behind `proxy`, where no name server would find it; `other` is such a proxy, too."""

    daemon: Daemon
    upstream: StandIn
    proxy: ForwardProxy
    other: ForwardProxy
    bundle: Path
    file: Path

    async def put(self, claude: dict[str, Any], **more: Any) -> None:
        self.file.write_text(yaml.safe_dump(configuration(claude, **more)))
        await self.daemon.reload()

    async def ask(self, **members: Any) -> Reply:
        return await ask(f"{self.daemon.url}/v1/messages", {**MESSAGE, **members}, LOGIN)

    async def refusal(self) -> str:
        reply = await self.ask()
        assert reply.status == 502
        assert reply.headers["x-claude-proxy-error"] == "connect"
        assert SECRET.encode() not in self.proxy.read
        return str(reply.json()["error"]["message"])


def configuration(claude: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "listen": {"host": "127.0.0.1", "port": 0},
        "upstreams": {"claude": claude},
        "routes": [{"to": [{"upstream": "claude"}]}],
        "retry": {"max_elapsed": "0s"},
        **more,
    }


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    authority = trustme.CA()
    bundle = tmp_path / "ca.pem"
    bundle.write_bytes("# die Behörde\n".encode() + authority.cert_pem.bytes())
    async with StandIn(says("behind"), tls(authority, "api.anthropic.com")) as upstream:
        leads = {ANTHROPIC: upstream.port}
        async with ForwardProxy(leads) as proxy, ForwardProxy(leads, tls(authority, "127.0.0.1")) as other:
            proxy.wants = BASIC
            claude = {"proxy": proxy.url, "proxy_auth": {"env": "PROXY_LOGIN"}, "ca_bundle": str(bundle)}
            env = {"PROXY_LOGIN": f"tester:{PASSWORD}", "HTTPS_PROXY": f"https://u:{ESCAPED}@{other.address}"}
            env["HTTP_PROXY"] = env["HTTPS_PROXY"]
            home = tmp_path / "home"
            async with running(home, configuration(claude), env) as daemon:
                yield House(daemon, upstream, proxy, other, bundle, home / "config.yaml")


async def test_the_proxy_is_told_the_host_and_its_own_login_and_the_upstream_all_else(house: House) -> None:
    for _ in range(2):
        reply = await house.ask()
        assert reply.status == 200
        assert reply.json()["content"][0]["text"] == "behind"
    assert house.proxy.connections == 1
    [head] = house.proxy.heads
    assert head.startswith(f"CONNECT {ANTHROPIC} HTTP/1.1\r\nHost: api.anthropic.com\r\n")
    assert f"\r\nProxy-Authorization: {BASIC}\r\n" in head
    assert SECRET.encode() not in house.proxy.read
    assert b"authorization: bearer" not in bytes(house.proxy.read).lower()
    assert [received.header("authorization") for received in house.upstream.received] == [f"Bearer {SECRET}"] * 2
    assert {received.target for received in house.upstream.received} == {"/v1/messages"}
    assert not any("proxy" in name.lower() for received in house.upstream.received for name, _ in received.headers)
    assert house.other.connections == 0  # of the environment
    assert PASSWORD not in house.daemon.log


async def test_a_reload_puts_another_way_out_in_force(house: House) -> None:
    assert (await house.ask()).status == 200
    ca = {"ca_bundle": str(house.bundle)}
    await house.put(ca, transport={"proxy": house.other.url})
    assert (await house.ask()).status == 200
    assert (house.proxy.connections, house.other.connections) == (1, 1)
    assert "Proxy-Authorization" not in house.other.heads[0]
    assert SECRET.encode() not in house.other.read  # of an https proxy, what it has decrypted
    await house.put({"proxy": house.proxy.url, "proxy_auth": {"env": "PROXY_LOGIN"}}, transport=ca)
    assert (await house.ask()).status == 200
    authority = trustme.CA()
    authority.cert_pem.write_to_path(house.bundle)
    await house.daemon.reload()  # the same path, another content
    assert "its certificate is not trusted" in await house.refusal()
    house.bundle.write_text("nothing")
    await house.daemon.reload()
    assert f"{house.bundle} holds no certificate in PEM form" in house.daemon.log


async def test_the_proxy_of_the_environment_is_used_where_that_is_said(house: House) -> None:
    house.other.wants = "Basic " + base64.b64encode(f"u:{ESCAPED}".replace("%40", "@").encode()).decode()
    async with StandIn(says("here")) as local:
        ca = {"ca_bundle": str(house.bundle)}
        await house.put(
            ca,
            transport={"trust_env": True},
            upstreams={"claude": ca, "local": {"base_url": local.url, "credential": None}},
            routes=[{"model": "local", "to": [{"upstream": "local"}]}, {"to": [{"upstream": "claude"}]}],
        )
        assert (await house.ask(model="local")).status == 200
        assert (len(local.received), house.other.connections) == (1, 0)
    assert (await house.ask()).status == 200
    assert house.other.connections == 1
    house.other.leads = {}
    await house.daemon.reload()
    await house.other.cut()
    assert f"the proxy {house.other.url} does not lead there: it answered CONNECT with 403" in await house.refusal()
    assert "or change variable HTTPS_PROXY" in await house.refusal()
    assert "ssword" not in house.daemon.log


async def test_a_proxy_that_does_not_lead_there_is_named(house: House) -> None:
    claude: dict[str, Any] = {"proxy": house.proxy.url, "ca_bundle": str(house.bundle)}
    place = f"claude could not be reached at https://api.anthropic.com, since the proxy {house.proxy.url} does not"
    remedy = "see that it runs and lets this machine through, or change upstreams.claude.proxy"
    await house.put(claude)
    assert await house.refusal() == f"{place} lead there: it asks for a login (407); {remedy}"
    house.proxy.wants = "Basic another"
    await house.put({**claude, "proxy_auth": {"env": "PROXY_LOGIN"}})
    assert "it does not take the login of proxy_auth (407)" in await house.refusal()
    house.proxy.wants, house.proxy.leads = "", {}
    assert "it answered CONNECT with 403" in await house.refusal()
    house.proxy.says = b"SSH-2.0-x\r\n\r\n"
    assert "it gave no valid answer to CONNECT" in await house.refusal()
    house.proxy.says = b""
    assert "it closed the connection without an answer" in await house.refusal()
    with refusing_url() as url:
        await house.put({**claude, "proxy": url})
        assert f"the proxy {url} does not lead there: Connect call failed" in await house.refusal()
    await house.put({**claude, "proxy": "http://proxy.invalid:3128"})
    assert "its host name could not be resolved" in await house.refusal()
    await house.put({"proxy": house.other.url})
    assert f"the proxy {house.other.url} does not lead there: its certificate is not trusted" in await house.refusal()
    async with speaks_first() as plain:
        await house.put({**claude, "proxy": plain.replace("http:", "https:")})
        assert "the TLS handshake with it failed" in await house.refusal()
    assert house.upstream.received == []


async def test_an_authority_that_is_not_named_is_not_trusted_behind_a_proxy_either(house: House) -> None:
    await house.put({"proxy": house.proxy.url, "proxy_auth": {"env": "PROXY_LOGIN"}})
    told = await house.refusal()
    assert (
        f"at https://api.anthropic.com through the proxy {house.proxy.url} (upstreams.claude.proxy): its cert" in told
    )
    assert told.endswith("name its PEM file as upstreams.claude.ca_bundle")
    assert house.upstream.received == []


async def test_of_plain_http_the_proxy_gets_the_absolute_form_and_no_login(house: House) -> None:
    async with StandIn(says("plain")) as plain:
        house.proxy.leads = {"llama.example:80": plain.port}
        await house.put(
            {},
            transport={"proxy": house.proxy.url, "proxy_auth": {"env": "PROXY_LOGIN"}},
            upstreams={"llama": {"base_url": "http://llama.example", "credential": None}},
            routes=[{"model": "llama", "to": [{"upstream": "llama"}]}, {"to": [{"upstream": "claude"}]}],
        )
        for _ in range(2):
            assert (await house.ask(model="llama")).status == 200
        assert house.proxy.connections == 1
        for received in plain.received:
            assert received.target == "http://llama.example/v1/messages"
            assert received.header("host") == "llama.example"
            assert received.header("proxy-authorization") == BASIC
        assert SECRET.encode() not in house.proxy.read

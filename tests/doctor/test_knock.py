"""How far a knock comes: over real sockets, with and without TLS, and nothing of anybody's goes out."""

import asyncio
import socket
from pathlib import Path

import pytest
import trustme
from msgspec.structs import replace

from claude_proxy.doctor.knock import Door, Knock, knock, knock_at_all
from claude_proxy.upstreams.egress import Egress
from tests.closed_port import refusing_url
from tests.doctor.patient import Clock, speaks_first
from tests.forward_proxy import ForwardProxy
from tests.paths.test_tls import tls
from tests.stand_in import Answer, StandIn, hangs, raw, replies


async def at(url: str, egress: Egress | None = None) -> Knock:
    return await asyncio.to_thread(knock, url, egress, 0.5)


async def test_a_door_that_is_answered_tells_its_time_and_hears_nothing_of_anybody() -> None:
    async with StandIn(Clock(-100.0).tells()) as upstream:
        found = await at(f"{upstream.url}/anthropic")
    assert found.door is Door.ANSWERED
    assert found.ahead is not None
    assert 98 < found.ahead < 102
    [received] = upstream.received
    assert (received.method, received.target) == ("HEAD", "/anthropic")
    assert {name.lower() for name, _ in received.headers} == {"host", "accept-encoding", "user-agent"}


@pytest.mark.parametrize("date", ["yesterday", "Thu, 99 Foo 2026 00:00:00 GMT", None])
async def test_a_time_that_is_none_is_not_told(date: str | None) -> None:
    headers = [("Date", date)] if date else []
    async with StandIn(replies(200, b"", headers)) as upstream:
        assert await at(upstream.url) == Knock(Door.ANSWERED)


async def test_doors_that_are_not_opened() -> None:
    assert (await at("https://upstream.invalid")).door is Door.NAME
    assert (await at(f"https://{'a' * 70}.invalid")).door is Door.NAME  # no label may be as long
    with refusing_url() as url:
        assert await at(url) == Knock(Door.CONNECTION, "connection refused")


@pytest.mark.parametrize(
    "answer", [raw(b"SSH-2.0-x\r\n\r\n"), raw(b""), hangs()], ids=["another protocol", "gone", "silent"]
)
async def test_a_door_behind_which_nobody_speaks_http(answer: Answer) -> None:
    async with StandIn(answer) as upstream:
        assert (await at(upstream.url)).door is Door.HTTP


async def test_certificates_and_what_is_no_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    async with StandIn(Clock().tells(), tls(authority, "127.0.0.1")) as upstream, speaks_first() as plain:
        found = await at(upstream.url)
        assert (found.door, found.ahead) == (Door.CERTIFICATE, None)
        assert "unable to get local issuer certificate" in found.reason
        assert upstream.received == []
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert (await at(upstream.url)).door is Door.ANSWERED
        assert await at(plain.replace("http:", "https:")) == Knock(Door.TLS, "wrong version number")


async def test_the_way_by_a_proxy_and_who_is_trusted_on_it() -> None:
    authority = trustme.CA()
    pem = authority.cert_pem.bytes().decode()
    async with (
        StandIn(Clock(-100.0).tells(), tls(authority, "api.example")) as upstream,
        StandIn(Clock().tells()) as plain,
        ForwardProxy({"api.example:443": upstream.port, "plain.example:80": plain.port}) as proxy,
        ForwardProxy({"api.example:443": upstream.port}, tls(authority, "127.0.0.1")) as secure,
    ):
        proxy.wants = "Basic bWU6RkFLRQ=="
        login = Egress(proxy.url, "me:FAKE", authorities=pem)
        found = await at("https://api.example/anthropic", login)
        assert found.door is Door.ANSWERED
        assert found.ahead is not None
        assert 98 < found.ahead < 102
        assert upstream.received[0].target == "/anthropic"
        assert (await at("http://plain.example/x", login)).door is Door.ANSWERED
        assert plain.received[0].target == "http://plain.example/x"
        assert (await at("https://api.example", replace(login, authorities=""))).door is Door.CERTIFICATE
        without = replace(login, proxy_login="")
        assert await at("https://api.example", without) == Knock(Door.PROXY, "it answered CONNECT with 407")
        led = Knock(Door.ANSWERED, "the proxy leads there; within its TLS nothing else was tried")
        assert await at("https://api.example", Egress(secure.url, authorities=pem)) == led
        untrusted = await at("https://api.example", Egress(secure.url))
        assert untrusted.door is Door.PROXY
        assert untrusted.reason.startswith("its certificate is not trusted: ")
        assert await at("https://x.example", login) == Knock(Door.PROXY, "it answered CONNECT with 403")
        proxy.says = b"SSH-2.0-x\r\n\r\n"
        assert await at("https://x.example", login) == Knock(Door.PROXY, "it gave no valid answer to CONNECT")
    assert await at("https://x.example", Egress("http://p.invalid:1")) == Knock(Door.PROXY, "it cannot be resolved")
    with refusing_url() as url:
        assert await at("https://x.example", Egress(url)) == Knock(Door.PROXY, "connection refused")


def test_one_that_never_answers_does_not_keep_the_others() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, refusing_url() as closed:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        found = knock_at_all({"silent": (url, None), "closed": (closed, None)}, whole=0.3)
    assert found["silent"] == Knock(Door.NAME, "no answer within 0.3 s")
    assert found["closed"].door is Door.CONNECTION

"""Upstreams over TLS: certificates are checked, and session keys are written nowhere."""

import ssl
from pathlib import Path

import trustme

from tests.asking import ask
from tests.running import running
from tests.stand_in import StandIn, says


def tls(authority: trustme.CA, name: str) -> ssl.SSLContext:
    """A server's context with a certificate for a name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


MESSAGE = {"model": "claude-sonnet-4-5", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
LOGIN = {"Authorization": "Bearer sk-ant-oat01-FAKE-tls"}


async def test_an_upstream_with_a_trusted_certificate_answers(tmp_path: Path) -> None:
    authority = trustme.CA()
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(bundle)
    keys = tmp_path / "session-keys"
    async with StandIn(says("over TLS"), tls(authority, "127.0.0.1")) as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}}
        env = {"SSL_CERT_FILE": str(bundle), "SSLKEYLOGFILE": str(keys)}
        async with running(tmp_path / "home", config, env) as daemon:
            reply = await ask(f"{daemon.url}/v1/messages", MESSAGE, LOGIN)
    assert reply.status == 200
    assert reply.json()["content"][0]["text"] == "over TLS"
    assert not keys.exists()


async def test_a_certificate_that_nobody_vouches_for_gets_no_login(tmp_path: Path) -> None:
    async with StandIn(says("never"), tls(trustme.CA(), "127.0.0.1")) as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}, "retry": {"max_elapsed": "0s"}}
        async with running(tmp_path, config) as daemon:
            reply = await ask(f"{daemon.url}/v1/messages", MESSAGE, LOGIN)
    assert reply.status == 502
    assert reply.headers["x-claude-proxy-error"] == "connect"
    assert "certificate is not trusted" in reply.json()["error"]["message"]
    assert upstream.received == []


async def test_a_certificate_for_another_name_gets_no_login(tmp_path: Path) -> None:
    authority = trustme.CA()
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(bundle)
    async with StandIn(says("never"), tls(authority, "other.example")) as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}, "retry": {"max_elapsed": "0s"}}
        async with running(tmp_path / "home", config, {"SSL_CERT_FILE": str(bundle)}) as daemon:
            reply = await ask(f"{daemon.url}/v1/messages", MESSAGE, LOGIN)
    assert reply.status == 502
    assert upstream.received == []

"""Ways out: what they say of themselves, whom they trust, and that no connection serves another's."""

import asyncio
import errno
import ssl
from contextlib import closing

import pytest
import trustme

from claude_proxy.upstreams import connection
from claude_proxy.upstreams.connection import Pool
from claude_proxy.upstreams.egress import Egress, trusting
from tests.forward_proxy import ForwardProxy
from tests.paths.test_tls import tls
from tests.stand_in import StandIn, replies


def test_it_says_in_words_what_it_is_and_no_secret() -> None:
    egress = Egress("http://p:1", "me:FAKE", "transport.proxy", "/ca.pem", "FAKE")
    told = "through the proxy http://p:1 (transport.proxy), trusting /ca.pem besides the system's authorities"
    assert str(egress) == told
    assert str(Egress(ca_bundle="/ca.pem")) == "trusting /ca.pem besides the system's authorities"
    assert "FAKE" not in repr(egress)


def test_a_proxy_s_login_is_written_as_basic_authentication_in_utf_8() -> None:
    assert Egress("http://p:1", "Aladdin:open sesame").proxy_authorization == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert Egress("http://p:1", "test:123£").proxy_authorization == "Basic dGVzdDoxMjPCow=="  # RFC 7617 2.1
    assert Egress("http://p:1").proxy_authorization is None


def test_authorities_are_trusted_besides_the_system_s_and_all_is_verified() -> None:
    plain, more = trusting(""), trusting(trustme.CA().cert_pem.bytes().decode())
    assert more.cert_store_stats()["x509"] == plain.cert_store_stats()["x509"] + 1
    default = ssl.create_default_context()
    for context in (plain, more):
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
        assert context.verify_flags == default.verify_flags
        assert context.minimum_version == default.minimum_version
        assert context.keylog_filename is None


async def test_a_connection_serves_nobody_with_another_way_out() -> None:
    authority = trustme.CA()
    pem = authority.cert_pem.bytes().decode()
    async with (
        StandIn(replies(200, b"{}"), tls(authority, "127.0.0.1")) as upstream,
        ForwardProxy({upstream.url.removeprefix("https://"): upstream.port}) as proxy,
        Pool() as pool,
    ):
        ways = [
            Egress(authorities=pem),
            Egress(authorities=pem + "\n" + trustme.CA().cert_pem.bytes().decode()),
            Egress(proxy.url, authorities=pem),
            Egress(proxy.url, "one:FAKE", authorities=pem),
            Egress(proxy.url, "two:FAKE", authorities=pem),
        ]
        pool.prepare(ways)
        for times in (1, 2, 3):
            for way in ways:
                with closing(await pool.call("GET", f"{upstream.url}/", (), b"", 20, way)) as call:
                    assert await call.content.read() == b"{}"
            assert upstream.connections == len(ways)
            assert len(upstream.received) == times * len(ways)
        assert proxy.connections == 3
        # Another proxy or trust is in force: what is not in use any more serves nobody.
        with closing(await pool.call("GET", f"{upstream.url}/", (), b"", 20, ways[0])) as call:
            await call.content.read()
        with pytest.raises(OSError, match="certificate verify failed"):
            await pool.call("GET", f"{upstream.url}/", (), b"", 20)


async def test_what_is_not_used_any_more_is_forgotten() -> None:
    pem = trustme.CA().cert_pem.bytes().decode()
    async with Pool() as pool:
        pool.prepare([Egress(authorities=pem), None])
        system, kept = pool._trusting[""], pool._trusting[pem]
        assert (await pool.asked("https://a.example")).ssl is await system
        assert (await pool.asked("https://a.example", Egress(authorities=pem))).ssl is await kept
        pool.prepare([Egress("http://p:1", authorities=pem)])
        assert (pool._trusting, pool._origins) == ({"": system, pem: kept}, {})
        pool.prepare([None])
        assert pool._trusting == {"": system}
        # One that a running request still has is made anew.
        assert isinstance((await pool.asked("https://a.example", Egress(authorities=pem))).ssl, ssl.SSLContext)


async def test_who_leaves_while_the_authorities_are_read_takes_them_from_nobody() -> None:
    async with Pool() as pool:
        pool.prepare([None])
        leaves, stays = (asyncio.create_task(pool.asked("https://a.example")) for _ in range(2))
        await asyncio.sleep(0)  # both wait
        leaves.cancel()
        assert (await stays).ssl is await pool._trusting[""]
        assert leaves.cancelled()


async def test_who_needs_no_authorities_waits_for_none() -> None:
    async with Pool() as pool:
        assert (await pool.asked("http://a.example")).ssl is True
        assert pool._trusting == {}


async def test_authorities_that_could_not_be_read_are_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []

    def unlucky(authorities: str) -> ssl.SSLContext:
        reads.append(authorities)
        if len(reads) == 1:
            raise OSError(errno.EMFILE, "Too many open files")
        return trusting(authorities)

    monkeypatch.setattr(connection, "trusting", unlucky)
    async with Pool() as pool:
        with pytest.raises(OSError, match="Too many open files"):
            await pool.asked("https://a.example")
        assert isinstance((await pool.asked("https://a.example")).ssl, ssl.SSLContext)
    assert reads == ["", ""]

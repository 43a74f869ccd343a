"""Upstreams that cannot be reached, one that is left alone, and a clock that is wrong."""

from pathlib import Path

import pytest
import trustme

from tests.asking import ask
from tests.claude_request import claude_body
from tests.closed_port import refusing_url
from tests.doctor.conftest import House
from tests.doctor.patient import (
    CREDENTIALS,
    ROUTES,
    Clock,
    Patient,
    assert_well,
    broken,
    finding,
    speaks_first,
    upstreams,
)
from tests.forward_proxy import ForwardProxy
from tests.in_process import LOGIN
from tests.paths.test_tls import tls
from tests.running import running
from tests.stand_in import StandIn, fails

pytestmark = pytest.mark.asyncio(loop_scope="package")


@pytest.mark.parametrize("off", [-3630.0, 3630.0])
async def test_a_clock_that_is_wrong(routed: Patient, house: House, off: float) -> None:
    house.clock.off = off
    try:
        found = await broken(routed, "upstreams.clock", "warn")
    finally:
        house.clock.off = 0.0
    assert found["says"].startswith(f"this machine's clock is 1 h 0 m {'ahead of' if off < 0 else 'behind'} that of ")
    assert found["command"] == "sudo timedatectl set-ntp true"
    assert_well(await routed.ask())


async def test_an_upstream_whose_name_is_unknown(routed: Patient, house: House) -> None:
    routed.configure(upstreams=upstreams(house.upstream.url, "https://upstream.invalid"))
    found = await broken(routed, "upstreams.reachable", of="local")
    assert "the name upstream.invalid: it cannot be resolved" in found["says"]
    assert f"mend upstreams.local.base_url in {routed.file}" in found["advice"]
    routed.configure()
    assert_well(await routed.ask())


@pytest.mark.parametrize("way", ["refused", "no TLS", "no HTTP"])
async def test_an_upstream_that_is_not_there(routed: Patient, house: House, way: str) -> None:
    async with speaks_first() as other:
        with refusing_url() as closed:
            url = {"refused": closed, "no TLS": other.replace("http:", "https:"), "no HTTP": other}[way]
            routed.env["HTTPS_PROXY"] = "http://proxy.example:3128"
            routed.configure(upstreams=upstreams(house.upstream.url, url))
            found = await broken(routed, "upstreams.reachable", of="local")
    host, past = url.rpartition("/")[2], "HTTPS_PROXY is set here, and the daemon does not use it"
    assert {
        "refused": f"no connection to {host}: connection refused; {past}",
        "no TLS": f"no TLS with {host}: wrong version number",
        "no HTTP": f"{host} gives no HTTP answer: BadStatusLine",
    }[way] == found["says"]
    routed.configure()
    assert_well(await routed.ask())


async def test_a_certificate_that_is_not_trusted(patient: Patient, tmp_path: Path) -> None:
    authority = trustme.CA()
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(bundle)
    async with StandIn(Clock().tells(), tls(authority, "127.0.0.1")) as upstream:
        config = {"upstreams": upstreams(upstream.url), "credentials": CREDENTIALS, "routes": ROUTES}
        async with running(tmp_path / "daemon", config, {"SSL_CERT_FILE": str(bundle)}) as daemon:
            patient.configure(listen={"port": daemon.port}, upstreams=upstreams(upstream.url))
            await patient.run("enable")
            found = await broken(patient, "upstreams.reachable", of="claude")
            assert "is not trusted: unable to get local issuer certificate" in found["says"]
            assert "SSL_CERT_FILE=" in found["advice"]
            assert upstream.received == []
            patient.env["SSL_CERT_FILE"] = str(bundle)
            assert_well(await patient.ask())


async def test_a_proxy_that_does_not_lead_there(routed: Patient, house: House) -> None:
    async with ForwardProxy({}) as proxy:
        its = upstreams(house.upstream.url, "https://upstream.example")
        its["local"]["proxy"] = proxy.url
        routed.configure(upstreams=its)
        found = await broken(routed, "upstreams.reachable", of="local")
        says = f"the proxy {proxy.url} does not lead to upstream.example: it answered CONNECT with 403"
        assert found["says"] == says
        assert found["advice"].endswith(f"or change upstreams.local.proxy in {routed.file}")
        its["local"]["proxy"] = "direct"
        routed.env["HTTPS_PROXY"] = proxy.url
        routed.configure(upstreams=its)
        found = await broken(routed, "upstreams.reachable", of="local")
        assert found["says"].endswith("HTTPS_PROXY is set here, and the daemon does not use it")
        del its["local"]["proxy"]
        routed.configure(upstreams=its, transport={"trust_env": True})
        found = await broken(routed, "upstreams.reachable", of="local")
        assert found["says"] == says
        assert found["advice"].endswith("or change variable HTTPS_PROXY")
    routed.configure()
    assert_well(await routed.ask())


async def test_an_upstream_that_the_daemon_leaves_alone(patient: Patient, tmp_path: Path) -> None:
    failing = Clock().tells(fails(529, "overloaded_error"))
    async with StandIn(failing) as upstream:
        config = {
            "upstreams": upstreams(upstream.url),
            "credentials": CREDENTIALS,
            "routes": ROUTES,
            "breaker": {"failures": 1},
            "retry": {"max_elapsed": "0s"},
        }
        async with running(tmp_path / "daemon", config) as daemon:
            patient.configure(listen={"port": daemon.port}, upstreams=upstreams(upstream.url))
            await patient.run("enable")
            await ask(f"{daemon.url}/v1/messages", claude_body(), LOGIN)
            found = await broken(patient, "upstreams.left_alone", "warn", of="claude")
    assert found["says"].startswith("the daemon leaves it alone: ")
    assert found["advice"].startswith("it is tried again in ")


async def test_one_without_a_key_is_not_knocked_at(routed: Patient) -> None:
    report = await routed.ask()
    assert finding(report, "upstreams.reachable", "minimax")["says"] == "it has no credential, so nobody asks it"

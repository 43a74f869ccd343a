"""Who may come in: by Host, by Origin, with which token."""

from collections.abc import Sequence
from unittest import mock

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from claude_proxy.web.errors import Refused
from claude_proxy.web.guard import AccessSettings, Guard

Headers = Sequence[tuple[str, str]]

PORT = 8082
HOST = ("Host", f"127.0.0.1:{PORT}")
TOKEN = "FAKE-access-token"


def knock(
    settings: AccessSettings | None = None,
    headers: Headers = (HOST,),
    path: str = "/v1/messages",
    peer: str | None = "127.0.0.1",
) -> Refused | None:
    """How the guard turns this request away; None where it may come in."""
    guard = Guard(settings or AccessSettings(), PORT)
    try:
        guard.admit(arriving(headers, path, peer), path)
    except Refused as refused:
        return refused
    return None


def arriving(headers: Headers = (HOST,), path: str = "/v1/messages", peer: str | None = "127.0.0.1") -> web.Request:
    transport = mock.Mock()
    transport.get_extra_info.return_value = None if peer is None else (peer, 50000)
    return make_mocked_request("POST", path, headers=CIMultiDict(headers), transport=transport)


@pytest.mark.parametrize("host", ["127.0.0.1:8082", "localhost:8082", "LOCALHOST:8082", "[::1]:8082"])
def test_our_own_names_with_our_own_port_may_come_in(host: str) -> None:
    assert knock(headers=[("Host", host)]) is None


@pytest.mark.parametrize(
    "host",
    [
        "",
        "127.0.0.1",
        "localhost",
        "localhost:80",
        "127.0.0.1:8083",
        "evil.example:8082",
        "localhost.evil.example:8082",
        "printer.local:8082",
        "2130706433:8082",
        "0.0.0.0:8082",
        "127.1:8082",
        "127.0.0.1:8082.evil.example",
        "localhost:8082@evil.example",
    ],
)
def test_any_other_name_is_misdirected(host: str) -> None:
    refused = knock(headers=[("Host", host)])
    assert refused is not None
    assert (refused.status, refused.kind, refused.close) == (421, "misdirected", True)
    assert host not in str(refused) or not host


def test_a_request_without_a_host_is_misdirected() -> None:
    refused = knock(headers=[])
    assert refused is not None
    assert refused.status == 421


def test_other_names_may_be_allowed_with_a_port_of_their_own() -> None:
    settings = AccessSettings(allowed_hosts=("proxy.example", "proxy.example:443", "[fd00::1]:443"))
    for host in ("proxy.example:8082", "proxy.example:443", "[fd00::1]:443"):
        assert knock(settings, [("Host", host)]) is None
    assert knock(settings, [HOST]) is not None


@pytest.mark.parametrize(
    "header",
    [
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
        ("Origin", ""),
        ("Origin", "http://localhost:3000"),
        ("Origin", f"https://127.0.0.1:{PORT}"),
        ("Origin", f"http://127.0.0.1:{PORT}.evil.example"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("sec-fetch-site", "CROSS-SITE"),
    ],
)
def test_pages_of_other_sites_may_not_come_in(header: tuple[str, str]) -> None:
    refused = knock(headers=[HOST, header])
    assert refused is not None
    assert (refused.status, refused.kind) == (403, "cross_site")
    assert "evil" not in str(refused)


@pytest.mark.parametrize(
    "header",
    [
        ("Origin", f"http://127.0.0.1:{PORT}"),
        ("Origin", f"HTTP://LOCALHOST:{PORT}"),
        ("Sec-Fetch-Site", "none"),
        ("Sec-Fetch-Site", "same-origin"),
        ("Sec-Fetch-Mode", "cors"),
    ],
)
def test_our_own_pages_and_programs_may_come_in(header: tuple[str, str]) -> None:
    assert knock(headers=[HOST, header]) is None


@pytest.mark.parametrize("path", ["/health", "/livez"])
def test_every_page_may_ask_how_we_are(path: str) -> None:
    assert knock(headers=[HOST, ("Origin", "https://status.example")], path=path) is None
    assert knock(headers=[("Host", "evil.example"), HOST][:1], path=path) is not None


GUARDED = AccessSettings(token=TOKEN)


@pytest.mark.parametrize(
    "header",
    [
        ("x-claude-proxy-token", TOKEN),
        ("X-Claude-Proxy-Token", f" {TOKEN} "),
        ("x_claude_proxy_token", TOKEN),
        ("x-api-key", TOKEN),
        ("Authorization", f"Bearer {TOKEN}"),
        ("authorization", f"bearer   {TOKEN}"),
    ],
)
def test_the_token_opens_the_door_from_wherever_it_is_carried(header: tuple[str, str]) -> None:
    assert knock(GUARDED, [HOST, header]) is None


@pytest.mark.parametrize(
    "header",
    [
        ("x-claude-proxy-token", ""),
        ("x-claude-proxy-token", TOKEN[:-1]),
        ("x-claude-proxy-token", TOKEN + "x"),
        ("x-claude-proxy-token", TOKEN.upper()),
        ("x-claude-proxy-token", "ü"),
        ("Authorization", TOKEN),
        ("Authorization", f"Basic {TOKEN}"),
        ("x-other", TOKEN),
        ("Cookie", f"token={TOKEN}"),
    ],
)
def test_without_the_token_the_door_stays_shut(header: tuple[str, str]) -> None:
    refused = knock(GUARDED, [HOST, header])
    assert refused is not None
    assert (refused.status, refused.kind) == (403, "access_token")
    assert "ANTHROPIC_CUSTOM_HEADERS" in str(refused)
    assert TOKEN not in str(refused)


def test_the_token_counts_beside_a_login_and_among_wrong_ones() -> None:
    login = ("Authorization", "Bearer sk-ant-oat01-FAKE")
    wrong = ("x-api-key", "wrong")
    assert knock(GUARDED, [HOST, login, wrong, ("x-claude-proxy-token", TOKEN)]) is None
    assert knock(GUARDED, [HOST, ("Authorization", f"Bearer {TOKEN}"), login]) is None


@pytest.mark.parametrize("path", ["/health", "/livez", "/metrics", "/openapi.json", "/openapi.yaml"])
def test_some_paths_ask_for_no_token(path: str) -> None:
    assert knock(GUARDED, path=path) is None


@pytest.mark.parametrize("path", ["/", "/v1/models", "/health/", "/v1/health", "/nowhere", "/metricsx"])
def test_all_others_do(path: str) -> None:
    assert knock(GUARDED, path=path) is not None


def test_a_token_that_is_not_enabled_is_not_asked_for() -> None:
    assert knock(AccessSettings(token=TOKEN, enabled=False)) is None


def test_another_header_may_carry_it() -> None:
    settings = AccessSettings(token=TOKEN, header="X-Gate-Key")
    assert knock(settings, [HOST, ("x-gate-key", TOKEN)]) is None
    assert knock(settings, [HOST, ("x-api-key", TOKEN)]) is not None
    assert knock(settings, [HOST, ("x-claude-proxy-token", TOKEN)]) is None


@pytest.mark.parametrize(
    ("header", "kept_back"),
    [("x-api-key", ""), ("X_Api_Key", ""), ("Authorization", ""), ("x-gate-key", "x-gate-key")],
)
def test_a_header_that_carries_nothing_else_is_kept_back(header: str, kept_back: str) -> None:
    assert AccessSettings(header=header).carried_in == kept_back


BYPASS = AccessSettings(token=TOKEN, localhost_bypass=True)


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.9.9.9", "::1"])
def test_this_machine_needs_no_token_where_that_is_allowed(peer: str) -> None:
    assert knock(BYPASS, peer=peer) is None


@pytest.mark.parametrize("peer", ["192.168.1.5", "fd00::1", None])
def test_another_machine_needs_it_all_the_same(peer: str | None) -> None:
    assert knock(BYPASS, peer=peer) is not None


def test_behind_another_proxy_nobody_is_this_machine() -> None:
    settings = AccessSettings(token=TOKEN, localhost_bypass=True, trust_proxy=True)
    assert knock(settings) is not None


def test_a_claimed_address_is_not_believed() -> None:
    claims = [("X-Forwarded-For", "127.0.0.1"), ("X-Real-IP", "127.0.0.1"), ("Forwarded", "for=127.0.0.1")]
    assert knock(BYPASS, [HOST, *claims], peer="192.168.1.5") is not None


def test_peers_of_a_trusted_network_count_as_this_machine() -> None:
    guard = Guard(AccessSettings(trusted_networks=("172.18.0.0/16", "fd00::/8")), PORT)
    expected = {"172.18.3.4": True, "172.19.0.1": False, "fd00::7": True, "fe80::1%eth0": False, "127.0.0.1": True}
    assert {peer: guard.is_local(arriving(peer=peer)) for peer in expected} == expected


def test_a_trusted_network_counts_behind_another_proxy_too() -> None:
    guard = Guard(AccessSettings(trust_proxy=True, trusted_networks=("172.18.0.0/16",)), PORT)
    assert guard.is_local(arriving(peer="172.18.0.1"))
    assert not guard.is_local(arriving(peer="127.0.0.1"))


def test_a_peer_that_has_gone_is_not_this_machine() -> None:
    gone = mock.Mock(transport=None)
    assert not Guard(AccessSettings(), PORT).is_local(gone)


def test_the_token_is_in_no_repr() -> None:
    assert TOKEN not in repr(GUARDED)

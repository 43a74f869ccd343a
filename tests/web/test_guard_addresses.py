"""Names and addresses as they are met in the wild: default ports, public URLs, IPv6, addresses mapped into it."""

import hmac
from collections.abc import Sequence
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from claude_proxy.web.errors import Refused
from claude_proxy.web.guard import AccessSettings, Guard
from tests.config.loading import loaded
from tests.raw_client import connected
from tests.web.serving import serving

PORT = 8082
OURS = ("Host", f"127.0.0.1:{PORT}")
TOKEN = "FAKE-access-token"

Headers = Sequence[tuple[str, str]]


class Peer:
    """The transport of a connection from this address."""

    def __init__(self, name: object) -> None:
        self._name = name

    def get_extra_info(self, key: str) -> object:
        return self._name if key == "peername" else None


def arriving(headers: Headers = (OURS,), peer: object = ("127.0.0.1", 50000)) -> web.BaseRequest:
    return make_mocked_request("POST", "/v1/messages", headers=CIMultiDict(headers), transport=Peer(peer))


def admitted(settings: AccessSettings, *headers: tuple[str, str], port: int = PORT) -> bool:
    try:
        Guard(settings, port).admit(arriving(headers), "/v1/messages")
    except Refused:
        return False
    return True


# --- Host ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("configured", "met"),
    [
        ("proxy.example", f"proxy.example:{PORT}"),
        ("PROXY.Example", f"proxy.example:{PORT}"),
        ("proxy.example:9000", "proxy.example:9000"),
        ("[::1]", f"[::1]:{PORT}"),
        ("[fd00::1]", f"[FD00::1]:{PORT}"),
        ("[fd00::1]:9000", "[fd00::1]:9000"),
        ("[fd00::1234]", f"[fd00::1234]:{PORT}"),
        ("::1", f"[::1]:{PORT}"),  # as it is written everywhere but in a URL
        ("fd00::1234", f"[fd00::1234]:{PORT}"),
    ],
)
def test_a_name_without_a_port_means_ours_and_one_with_a_port_just_that(configured: str, met: str) -> None:
    settings = AccessSettings(allowed_hosts=(configured,))
    assert admitted(settings, ("Host", met))
    assert not admitted(settings, ("Host", f"{met}0"))
    assert not admitted(settings, ("Host", met.rpartition(":")[0]))
    assert not admitted(settings, OURS)


@pytest.mark.parametrize(("public", "named"), [("https://proxy.example", "443"), ("http://proxy.example", "80")])
def test_who_comes_by_the_public_address_is_served_though_no_port_is_named(
    tmp_path: Path, public: str, named: str
) -> None:
    """RFC 9110 7.2 and 4.2: a client leaves out the port where it is the scheme's own, as browsers and Node do."""
    settings = loaded(tmp_path, f"access: {{ public_url: '{public}' }}\n").access
    assert admitted(settings, ("Host", "proxy.example"))
    assert admitted(settings, ("Host", f"proxy.example:{named}"))
    assert not admitted(settings, ("Host", "proxy.example:9999"))
    assert not admitted(settings, ("Host", "sub.proxy.example"))
    assert admitted(settings, OURS)


def test_on_port_80_nobody_names_the_port() -> None:
    assert admitted(AccessSettings(), ("Host", "127.0.0.1"), port=80)
    assert admitted(AccessSettings(), ("Host", "localhost:80"), port=80)
    assert not admitted(AccessSettings(), ("Host", "evil.example"), port=80)


@pytest.mark.parametrize("origin", [f"http://localhost:{PORT}", f"http://[::1]:{PORT}", "http://proxy.example:9000"])
def test_a_page_of_any_of_our_names_is_our_own(origin: str) -> None:
    settings = AccessSettings(allowed_hosts=(*AccessSettings().allowed_hosts, "proxy.example:9000"))
    assert admitted(settings, OURS, ("Origin", origin))
    assert not admitted(settings, OURS, ("Origin", f"{origin}0"))


@pytest.mark.parametrize("path", ["/", "/metrics", "/openapi.yaml", "/openapi.json", "/v1/models", "/health/"])
def test_a_page_of_another_site_learns_nothing_but_the_health(path: str) -> None:
    request = arriving([OURS, ("Origin", "https://evil.example")])
    guard = Guard(AccessSettings(), PORT)
    with pytest.raises(Refused) as refused:
        guard.admit(request, path)
    assert refused.value.kind == "cross_site"
    guard.admit(request, "/health")


# --- who is this machine -------------------------------------------------------------------------------

NETWORKS = AccessSettings(trusted_networks=("172.18.0.0/16", "fe80::/10"))


def is_local(peer: object, settings: AccessSettings = NETWORKS) -> bool:
    return Guard(settings, PORT).is_local(arriving(peer=peer))


@pytest.mark.parametrize("host", ["::1", "127.0.0.1", "172.18.255.255", "fe80::1", "fe80::1%eth0"])
def test_loopback_and_trusted_networks_are_this_machine_also_with_a_zone(host: str) -> None:
    assert is_local((host, 50000, 0, 0))


@pytest.mark.parametrize("host", ["10.0.0.5", "172.19.0.1", "fd00::1", "fd00::1%eth0", "0.0.0.0", "::"])
def test_other_addresses_are_not(host: str) -> None:
    assert not is_local((host, 50000, 0, 0))


@pytest.mark.parametrize(("host", "local"), [("127.0.0.1", True), ("172.18.0.7", True), ("10.0.0.5", False)])
def test_an_ipv4_peer_is_known_on_a_socket_that_listens_on_both(host: str, local: bool) -> None:
    """Listening on `::` also takes IPv4; the kernel then names the peer by an address mapped into IPv6."""
    assert is_local((f"::ffff:{host}", 50000, 0, 0)) is local


@pytest.mark.parametrize("peer", ["", b"", None, ()], ids=["a path", "an abstract name", "none", "empty"])
def test_a_peer_without_an_address_is_not_this_machine(peer: object) -> None:
    assert not is_local(peer)


# --- the token -----------------------------------------------------------------------------------------


def test_each_offer_is_compared_in_constant_time_also_behind_the_right_one(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []
    compare = hmac.compare_digest

    def noting(offer: bytes, token: bytes) -> bool:
        compared.append(offer)
        return compare(offer, token)

    monkeypatch.setattr(hmac, "compare_digest", noting)
    offers = [
        ("x-api-key", "first"),
        ("x-claude-proxy-token", TOKEN),
        ("X_Api_Key", "second"),
        ("Authorization", "Bearer third"),
        ("Authorization", f"Bearer {TOKEN}"),
    ]
    assert admitted(AccessSettings(token=TOKEN), OURS, *offers)
    assert sorted(compared) == sorted([b"first", TOKEN.encode(), b"second", b"third", TOKEN.encode()])


@pytest.mark.parametrize("place", range(4))
def test_the_right_token_counts_wherever_it_stands_among_wrong_ones(place: int) -> None:
    values = ["wrong"] * 4
    assert not admitted(AccessSettings(token=TOKEN), OURS, *(("x-api-key", value) for value in values))
    values[place] = TOKEN
    assert admitted(AccessSettings(token=TOKEN), OURS, *(("x-api-key", value) for value in values))


def test_a_token_may_have_other_letters_than_ascii() -> None:
    settings = AccessSettings(token="schlüssel-mit-ß")
    assert admitted(settings, OURS, ("x-claude-proxy-token", "schlüssel-mit-ß"))
    assert not admitted(settings, OURS, ("x-claude-proxy-token", "schlussel-mit-ss"))


@pytest.mark.parametrize(("shown", "status"), [(b"FAKE?token", 200), (b"FAKE\xfftoken", 403)])
async def test_a_byte_that_is_no_text_is_not_taken_for_a_question_mark(shown: bytes, status: int) -> None:
    guard = Guard(AccessSettings(allowed_hosts=("127.0.0.1:80",), token="FAKE?token"), PORT)

    async def handler(request: web.BaseRequest) -> web.Response:
        guard.admit(request, "/v1/messages")
        return web.Response()

    async with serving(handler) as port, connected(port) as client:
        head = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:80\r\nx-claude-proxy-token: "
        await client.send(head + shown + b"\r\n\r\n")
        answer = await client.answer()
    assert answer is not None
    assert answer.status == status


def test_a_trusted_network_is_excused_from_the_token_only_where_the_bypass_is_on() -> None:
    for bypass in (True, False):
        settings = AccessSettings(token=TOKEN, localhost_bypass=bypass, trusted_networks=("172.18.0.0/16",))
        guard, request = Guard(settings, PORT), arriving(peer=("172.18.0.7", 50000))
        if bypass:
            guard.admit(request, "/v1/messages")
        else:
            with pytest.raises(Refused) as refused:
                guard.admit(request, "/v1/messages")
            assert refused.value.kind == "access_token"


def test_behind_another_proxy_a_trusted_network_shows_the_token_all_the_same() -> None:
    settings = AccessSettings(token=TOKEN, localhost_bypass=True, trust_proxy=True, trusted_networks=("172.18.0.0/16",))
    with pytest.raises(Refused):
        Guard(settings, PORT).admit(arriving(peer=("172.18.0.7", 50000)), "/v1/messages")

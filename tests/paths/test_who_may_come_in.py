"""Who may come in: only those who call us by our name, no page of another site, and bodies only as JSON."""

import json
from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio

from tests.paths.refusals import assert_error_of_ours
from tests.raw_client import Answer, request, send_raw
from tests.running import Daemon, running
from tests.stand_in import StandIn, message_json, replies

pytestmark = pytest.mark.asyncio(loop_scope="module")

House = tuple[Daemon, StandIn]
Headers = Sequence[tuple[str, str]]

BODY = json.dumps({"model": "claude-sonnet-4-5", "max_tokens": 8, "messages": []}).encode()
JSON_TYPE = ("Content-Type", "application/json")
LOGIN = ("Authorization", "Bearer sk-ant-oat01-FAKE-not-a-login")

MESSAGES = ("POST", "/v1/messages?beta=true")
OPEN = [("GET", "/health"), ("GET", "/livez")]
DOORS = [
    MESSAGES,
    ("POST", "/v1/messages/count_tokens?beta=true"),
    ("POST", "/v1/anything"),
    ("POST", "/v1/chat/completions"),
    ("GET", "/v1/models"),
    ("GET", "/v1/anything"),
    ("DELETE", "/v1/anything"),
    ("OPTIONS", "/v1/messages"),
    ("GET", "/metrics"),
    ("GET", "/api/hello"),
    ("GET", "/"),
    ("GET", "/nowhere"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """A daemon as a user has it, before an upstream that lets every page in the world read its answers."""
    allowed = [("Content-Type", "application/json"), ("Access-Control-Allow-Origin", "*")]
    async with StandIn(replies(200, message_json(), allowed)) as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}}
        async with running(tmp_path_factory.mktemp("door"), config) as daemon:
            yield daemon, upstream
        assert "Traceback" not in daemon.log


@pytest.fixture
def house(shared: House) -> House:
    """The same, with nothing received so far."""
    shared[1].received.clear()
    return shared


async def knock(port: int, door: tuple[str, str] = MESSAGES, headers: Headers = (), host: str | None = None) -> Answer:
    """One request at this door, as a client on this machine would send it but for these headers."""
    method, target = door
    own = [LOGIN, *([JSON_TYPE] if method == "POST" else [])]
    body = BODY if method == "POST" else None
    host = f"127.0.0.1:{port}" if host is None else host
    raw = request(method, target, host=host, headers=[*own, *headers], body=body)
    outcome = await send_raw(port, raw)
    assert outcome.closed
    return outcome.final


def assert_turned_away(answer: Answer, status: int, remedy: str, upstream: StandIn) -> None:
    """Refused with a reason that names what to change, for no page to read, and nothing was asked."""
    assert answer.status == status, answer
    message = assert_error_of_ours(answer)
    assert remedy in message
    assert b"evil" not in answer.body
    assert_nothing_for_pages(answer)
    assert upstream.received == []


def assert_nothing_for_pages(answer: Answer) -> None:
    assert not [name for name, _ in answer.headers if name.lower().startswith("access-control-")]


# --- Host ----------------------------------------------------------------------------------------------

FOREIGN_HOSTS = [
    "evil.example",
    "evil.example:{port}",
    "127.0.0.1.evil.example",
    "127.0.0.1.evil.example:{port}",
    "localhost.evil.example:{port}",
    "localhost.local:{port}",
    "evil.localhost:{port}",
    "127.0.0.1",
    "localhost",
    "127.0.0.1:80",
    "localhost:{next}",
    "127.0.0.2:{port}",
    "127.1:{port}",
    "2130706433:{port}",
    "0x7f000001:{port}",
    "017700000001:{port}",
    "0.0.0.0:{port}",
    "0:{port}",
    "[::ffff:127.0.0.1]:{port}",
    "[::]:{port}",
    "",
    ":{port}",
]


@pytest.mark.parametrize("door", [MESSAGES, *OPEN], ids=" ".join)
@pytest.mark.parametrize("host", FOREIGN_HOSTS)
async def test_who_calls_us_by_another_name_is_sent_away(house: House, host: str, door: tuple[str, str]) -> None:
    daemon, upstream = house
    host = host.format(port=daemon.port, next=daemon.port - 1)
    assert_turned_away(await knock(daemon.port, door, host=host), 421, "allowed_hosts", upstream)


@pytest.mark.parametrize("door", [*DOORS, *OPEN], ids=" ".join)
async def test_another_name_is_refused_at_every_door(house: House, door: tuple[str, str]) -> None:
    daemon, upstream = house
    answer = await knock(daemon.port, door, host=f"evil.example:{daemon.port}")
    assert_turned_away(answer, 421, "allowed_hosts", upstream)


@pytest.mark.parametrize(
    "header", ["X-Forwarded-Host", "X-Host", "Forwarded", "X-Original-Host", "X-HTTP-Host-Override"]
)
async def test_no_other_header_speaks_for_the_host(house: House, header: str) -> None:
    daemon, upstream = house
    ours = f"127.0.0.1:{daemon.port}"
    value = f"host={ours}" if header == "Forwarded" else ours
    answer = await knock(daemon.port, headers=[(header, value)], host="evil.example")
    assert_turned_away(answer, 421, "allowed_hosts", upstream)


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LocalHost:{port}"])
async def test_who_calls_us_by_our_name_is_served(house: House, host: str) -> None:
    daemon, upstream = house
    host = host.format(port=daemon.port)
    assert (await knock(daemon.port, host=host)).status == 200
    assert (await knock(daemon.port, ("GET", "/health"), host=host)).status == 200
    (received,) = upstream.received
    assert received.header("host") == f"127.0.0.1:{upstream.port}"


async def test_a_name_from_the_configuration_is_ours_too(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with StandIn() as upstream:
        config = {
            "upstreams": {"claude": {"base_url": upstream.url}},
            "access": {"allowed_hosts": ["127.0.0.1", "proxy.internal"]},
        }
        async with running(tmp_path_factory.mktemp("names"), config) as daemon:
            for ours in ("proxy.internal", "127.0.0.1"):
                assert (await knock(daemon.port, host=f"{ours}:{daemon.port}")).status == 200
            upstream.received.clear()
            for foreign in ("localhost", "[::1]", "internal"):
                answer = await knock(daemon.port, host=f"{foreign}:{daemon.port}")
                assert_turned_away(answer, 421, "allowed_hosts", upstream)


# --- pages in a browser --------------------------------------------------------------------------------

FOREIGN_PAGES = [
    ("Origin", "http://evil.example"),
    ("Origin", "http://evil.example:{port}"),
    ("Origin", "https://127.0.0.1:{port}"),
    ("Origin", "http://127.0.0.1"),
    ("Origin", "http://127.0.0.1:{next}"),
    ("Origin", "http://localhost:{next}"),
    ("Origin", "http://127.0.0.1:{port}.evil.example"),
    ("Origin", "http://127.0.0.1.evil.example:{port}"),
    ("Origin", "http://evil.example#http://127.0.0.1:{port}"),
    ("Origin", "http://127.0.0.1:{port}@evil.example"),
    ("Origin", "http://evil.example, http://127.0.0.1:{port}"),
    ("Origin", "null"),
    ("Origin", "file://"),
    ("Origin", "chrome-extension://evilevilevilevil"),
    ("Sec-Fetch-Site", "cross-site"),
    ("Sec-Fetch-Site", "same-site"),
    ("Sec-Fetch-Site", "Cross-Site"),
    ("sec-fetch-site", "anything-else"),
]


@pytest.mark.parametrize(("header", "value"), FOREIGN_PAGES)
async def test_a_page_of_another_site_is_refused(house: House, header: str, value: str) -> None:
    daemon, upstream = house
    value = value.format(port=daemon.port, next=daemon.port - 1)
    answer = await knock(daemon.port, headers=[(header, value)])
    assert_turned_away(answer, 403, header.title(), upstream)


@pytest.mark.parametrize("header", [("Origin", "http://evil.example"), ("Sec-Fetch-Site", "cross-site")])
@pytest.mark.parametrize("door", DOORS, ids=" ".join)
async def test_a_page_of_another_site_is_refused_at_every_door(
    house: House, door: tuple[str, str], header: tuple[str, str]
) -> None:
    daemon, upstream = house
    assert_turned_away(await knock(daemon.port, door, [header]), 403, header[0], upstream)


@pytest.mark.parametrize("door", OPEN, ids=" ".join)
async def test_a_page_may_knock_at_the_health_but_not_read_it(house: House, door: tuple[str, str]) -> None:
    daemon, _ = house
    answer = await knock(daemon.port, door, [("Origin", "http://evil.example"), ("Sec-Fetch-Site", "cross-site")])
    assert answer.status == 200
    assert_nothing_for_pages(answer)


async def test_a_good_origin_does_not_excuse_a_foreign_site(house: House) -> None:
    daemon, upstream = house
    both = [("Origin", f"http://127.0.0.1:{daemon.port}"), ("Sec-Fetch-Site", "cross-site")]
    assert_turned_away(await knock(daemon.port, headers=both), 403, "Sec-Fetch-Site", upstream)


async def test_a_good_site_does_not_excuse_a_foreign_origin(house: House) -> None:
    daemon, upstream = house
    both = [("Origin", "http://evil.example"), ("Sec-Fetch-Site", "same-origin")]
    assert_turned_away(await knock(daemon.port, headers=both), 403, "Origin", upstream)


@pytest.mark.parametrize(
    "headers",
    [
        [("Sec-Fetch-Mode", "cors")],
        [("Sec-Fetch-Mode", "cors"), ("Accept-Language", "*"), ("User-Agent", "node")],
        [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "cors")],
        [("Sec-Fetch-Site", "none"), ("Sec-Fetch-Mode", "navigate")],
        [("Origin", "http://127.0.0.1:{port}")],
        [("Origin", "http://127.0.0.1:{port}"), ("Sec-Fetch-Site", "same-origin")],
    ],
)
async def test_who_is_no_page_or_our_own_page_is_served(house: House, headers: Headers) -> None:
    daemon, upstream = house
    answer = await knock(daemon.port, headers=[(name, v.format(port=daemon.port)) for name, v in headers])
    assert answer.status == 200, answer
    assert len(upstream.received) == 1
    assert_nothing_for_pages(answer)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:{port}"])
async def test_a_preflight_is_promised_nothing(house: House, origin: str) -> None:
    daemon, upstream = house
    asks = [
        ("Origin", origin.format(port=daemon.port)),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "content-type, x-api-key"),
        ("Access-Control-Request-Private-Network", "true"),
    ]
    answer = await knock(daemon.port, ("OPTIONS", "/v1/messages"), asks)
    assert 400 <= answer.status < 500
    assert_nothing_for_pages(answer)
    assert upstream.received == []


# --- the body's type -----------------------------------------------------------------------------------

FOREIGN_TYPES = [
    "text/plain",
    "text/plain; application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/jsonp",
    "application/xml",
    "text/json",
    "",
    None,
]


@pytest.mark.parametrize("door", DOORS[:3], ids=" ".join)
@pytest.mark.parametrize("kind", FOREIGN_TYPES)
async def test_a_body_that_is_not_json_is_refused(house: House, kind: str | None, door: tuple[str, str]) -> None:
    daemon, upstream = house
    headers = [LOGIN, *([("Content-Type", kind)] if kind is not None else [])]
    raw = request(*door, host=f"127.0.0.1:{daemon.port}", headers=headers, body=BODY)
    answer = (await send_raw(daemon.port, raw)).final
    assert_turned_away(answer, 415, "application/json", upstream)


@pytest.mark.parametrize("kind", ["application/json", "APPLICATION/JSON", "application/json; charset=utf-8"])
async def test_a_body_of_json_is_served(house: House, kind: str) -> None:
    daemon, upstream = house
    headers = [LOGIN, ("Content-Type", kind)]
    raw = request(*MESSAGES, host=f"127.0.0.1:{daemon.port}", headers=headers, body=BODY)
    assert (await send_raw(daemon.port, raw)).final.status == 200
    assert [received.header("content-type") for received in upstream.received] == [kind]

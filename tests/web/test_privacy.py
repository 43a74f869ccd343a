"""What is recorded is for its owner: behind the password where there is one, and changed by nobody's page."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from claude_proxy.web.privacy import is_private
from tests.in_process import InProcess, in_process
from tests.stand_in import StandIn
from tests.web.knocking import knock, told

PASSWORD = "FAKE:pass wörd"
TOKEN = "FAKE-access-token"
FOREIGN = [("Origin", "http://evil.example"), ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Site", "same-site")]


def basic(password: str, name: str = "anyone") -> tuple[str, str]:
    return "Authorization", "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[InProcess]:
    """A daemon with a password, and with an access token too."""
    async with in_process(tmp_path, {}, {"DASHBOARD_PASSWORD": PASSWORD, "AUTH_TOKEN": TOKEN}) as daemon:
        yield daemon


def test_private_is_what_is_recorded_and_nothing_of_the_api_that_is_forwarded() -> None:
    assert is_private("/api/events")
    assert is_private("/api/requests/req_cp_1")
    assert not any(map(is_private, ("/v1/messages", "/v1/api/x", "/health", "/", "/api", "/api/hello", "/metrics")))


async def test_the_password_opens_with_any_name(guarded: InProcess) -> None:
    for header in (
        basic(PASSWORD),
        basic(PASSWORD, ""),
        ("authorization", basic(PASSWORD)[1].replace("Basic", "bASIC")),
    ):
        assert (await knock(guarded, "GET", "/api/events", [header])).status == 200


@pytest.mark.parametrize(
    "offer",
    [
        None,
        basic("FAKE"),
        basic(""),
        basic(PASSWORD + "x"),
        ("Authorization", "Basic"),
        ("Authorization", "Basic !!!"),
        ("Authorization", "Basic " + base64.b64encode(PASSWORD.encode().replace(b":", b"")).decode()),
        ("Authorization", f"Bearer {TOKEN}"),
        ("x-claude-proxy-token", TOKEN),
        ("x-claude-proxy-token", PASSWORD),
    ],
)
async def test_nothing_else_opens_and_a_browser_is_told_to_ask(
    guarded: InProcess, offer: tuple[str, str] | None
) -> None:
    answer = await knock(guarded, "GET", "/api/events", [offer] if offer else [])
    assert (answer.status, answer.header("x-claude-proxy-error")) == (401, "password")
    assert answer.header("WWW-Authenticate") == 'Basic realm="claude-proxy", charset="UTF-8"'
    assert "access.dashboard_password" in told(answer)
    assert PASSWORD.encode() not in answer.body
    assert answer.header("Cache-Control") == "no-store"


async def test_what_claude_code_asks_is_not_behind_the_password(guarded: InProcess) -> None:
    assert (await knock(guarded, "GET", "/v1/models", [("x-claude-proxy-token", TOKEN)])).status == 200
    assert (await knock(guarded, "GET", "/api/hello", [("x-claude-proxy-token", TOKEN)])).status == 200
    assert (await knock(guarded, "GET", "/v1/models", [basic(PASSWORD)])).status == 403
    assert (await knock(guarded, "GET", "/health")).status == 200


async def test_without_a_password_the_token_opens_where_there_is_one(tmp_path: Path) -> None:
    async with in_process(tmp_path, {}, {"AUTH_TOKEN": TOKEN}) as daemon:
        assert (await knock(daemon, "GET", "/api/events")).status == 403
        assert (await knock(daemon, "GET", "/api/events", [("x-claude-proxy-token", TOKEN)])).status == 200
    async with in_process(tmp_path, {}) as daemon:
        assert (await knock(daemon, "GET", "/api/events")).status == 200


@pytest.mark.parametrize("header", FOREIGN)
async def test_no_page_of_another_site_reads_even_with_the_password(
    guarded: InProcess, header: tuple[str, str]
) -> None:
    answer = await knock(guarded, "GET", "/api/events", [basic(PASSWORD), header])
    assert (answer.status, answer.header("x-claude-proxy-error")) == (403, "cross_site")
    answer = await knock(guarded, "GET", "/api/events", [basic(PASSWORD)], host="evil.example")
    assert answer.status == 421


async def test_a_change_shows_that_no_other_site_asks_for_it(tmp_path: Path) -> None:
    async with (
        StandIn() as upstream,
        in_process(tmp_path, {"upstreams": {"claude": {"base_url": upstream.url}}}) as own,
    ):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            for headers in ([], [("Sec-Fetch-Site", "none")]):
                answer = await knock(own, method, "/api/events", headers)
                assert (answer.status, answer.header("x-claude-proxy-error")) == (403, "cross_site")
                assert "X-Requested-With" in told(answer)
            for header in (
                ("X-Requested-With", "curl"),
                ("Origin", f"http://127.0.0.1:{own.port}"),
                ("Sec-Fetch-Site", "same-origin"),
            ):
                assert (await knock(own, method, "/api/events", [header])).status == 405  # nothing to change there
            for header in FOREIGN:
                answer = await knock(own, method, "/api/events", [("X-Requested-With", "curl"), header])
                assert answer.status == 403
        # What is forwarded is none of this: Claude Code sends no such header.
        assert (await knock(own, "DELETE", "/v1/files/f_1", [("Authorization", "Bearer FAKE")])).status == 200


async def test_the_password_is_kept_out_of_the_log(guarded: InProcess) -> None:
    assert PASSWORD not in repr(guarded.house.settings)
    assert PASSWORD not in repr(guarded.records)

"""Which headers cross, in both directions, and what strangers are told."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_proxy.wire.headers import (
    Headers,
    append_to_list,
    bearer,
    canonical,
    first,
    for_client,
    for_stranger,
    for_upstream,
    nominated,
    nominates_end_to_end,
    retry_after,
    without,
)

# RFC 9110 7.6.1, and the older names that every intermediary drops.
HOP_BY_HOP = [
    "Connection",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
]
CLAUDE_CODE: Headers = (
    ("Accept", "application/json"),
    ("Authorization", "Bearer sk-ant-oat01-FAKE"),
    ("anthropic-version", "2023-06-01"),
    ("anthropic-beta", "claude-code-20250219,oauth-2025-04-20"),
    ("User-Agent", "claude-cli/2.1.197 (external, cli)"),
    ("x-app", "cli"),
    ("X-Claude-Code-Session-Id", "s"),
    ("x-claude-code-agent-id", "a0123456789abcdef"),
    ("X-Stainless-Retry-Count", "0"),
    ("Content-Type", "application/json"),
    ("x-a-header-of-tomorrow", "  spaces, kept  "),
    ("x-a-header-of-tomorrow", "twice"),
)


@pytest.mark.parametrize("name", ["X-Api-Key", "x_api_key", "X_API-key"])
def test_spellings_of_one_header_are_one_name(name: str) -> None:
    assert canonical(name) == "x-api-key"


def test_the_first_of_several_values_is_found_by_any_case() -> None:
    assert first([("A", "0"), ("X-Thing", "1"), ("x-thing", "2")], "x-thing") == "1"
    assert first([("A", "0")], "x-thing") is None
    assert first([("X-Thing", "")], "x-thing") == ""


# --- towards Anthropic -------------------------------------------------------------------------------------


def test_everything_that_claude_code_says_reaches_anthropic_verbatim_and_in_order() -> None:
    assert for_upstream(CLAUDE_CODE) == CLAUDE_CODE


_names = st.from_regex(r"x-[a-z]{1,8}", fullmatch=True).filter(lambda name: name != "x-api-key")


@given(st.lists(st.tuples(_names, st.text(max_size=5)), max_size=8).map(tuple))
@settings(max_examples=100, deadline=None)
def test_unknown_headers_cross_in_both_directions_as_they_are(headers: Headers) -> None:
    assert for_upstream(headers) == headers
    assert for_client(headers) == headers


@pytest.mark.parametrize("spelt", [str.lower, str.upper, lambda name: name.replace("-", "_")])
@pytest.mark.parametrize("name", HOP_BY_HOP)
def test_hop_by_hop_headers_end_here_in_both_directions(name: str, spelt: Callable[[str], str]) -> None:
    headers = (("a", "1"), (spelt(name), "x"), ("b", "2"))
    assert for_upstream(headers) == (("a", "1"), ("b", "2"))
    assert for_client(headers) == (("a", "1"), ("b", "2"))


@pytest.mark.parametrize("name", ["Host", "Accept-Encoding", "Content-Length", "Expect"])
def test_what_is_ours_to_set_does_not_go_up(name: str) -> None:
    assert for_upstream(((name, "x"), ("a", "1"))) == (("a", "1"),)


@pytest.mark.parametrize("name", ["X-Claude-Proxy-Upstream", "x_claude_proxy_request_id"])
def test_our_own_headers_cross_in_neither_direction(name: str) -> None:
    assert for_upstream(((name, "x"), ("a", "1"))) == (("a", "1"),)
    assert for_client(((name, "x"), ("a", "1"))) == (("a", "1"),)


@pytest.mark.parametrize("carrier", ["x-proxy-token", "X-Proxy-Token", "x_proxy_token"])
def test_the_header_with_our_own_access_token_is_never_forwarded(carrier: str) -> None:
    headers = ((carrier, "FAKE-token"), ("Authorization", "Bearer FAKE"))
    assert for_upstream(headers, "X-Proxy-Token") == (("Authorization", "Bearer FAKE"),)


def test_what_connection_names_ends_here_in_both_directions() -> None:
    headers = (
        ("Connection", "keep-alive, X-Hop"),
        ("x_hop", "1"),
        ("x-stays", "2"),
        ("connection", "Other"),
        ("Other", "3"),
    )
    assert for_upstream(headers) == (("x-stays", "2"),)
    assert for_client(headers) == (("x-stays", "2"),)


def test_the_names_in_connection_are_found_whatever_their_case_and_spacing() -> None:
    assert nominated([("CONNECTION", " Close ,X_Hop"), ("x", "connection")]) == {"close", "x-hop"}
    assert nominated([("accept", "*/*")]) == frozenset()


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "x-api-key",
        "X_API_KEY",
        "host",
        "content-type",
        "content-length",
        "content-encoding",
        "anthropic-beta",
        "Anthropic-Version",
    ],
)
def test_naming_a_header_that_is_meant_for_the_upstream_is_seen(name: str) -> None:
    assert nominates_end_to_end([("Connection", f"close, {name}")])


@pytest.mark.parametrize("value", ["close", "keep-alive", "TE, x-hop", "", "x-anthropic-beta"])
def test_naming_any_other_header_is_allowed(value: str) -> None:
    assert not nominates_end_to_end([("Connection", value), ("authorization", "Bearer FAKE")])


# --- towards strangers -------------------------------------------------------------------------------------


def test_a_stranger_learns_how_to_read_the_request_and_nothing_else() -> None:
    told = (("Accept", "application/json"), ("Content-Type", "application/json"))
    cookies = (("Cookie", "FAKE"), ("x-api-key", "FAKE"), ("traceparent", "00-FAKE"), ("Accept-Language", "de"))
    assert for_stranger((*CLAUDE_CODE, *cookies)) == told


# --- towards the client ------------------------------------------------------------------------------------


def test_what_anthropic_says_of_the_answer_reaches_the_client_verbatim_and_in_order() -> None:
    headers = (
        ("Content-Type", "text/event-stream; charset=utf-8"),
        ("request-id", "req_1"),
        ("retry-after", "3"),
        ("x-should-retry", "false"),
        ("anthropic-ratelimit-unified-status", "allowed"),
        ("anthropic-organization-id", "org"),
        ("CF-Ray", "1-FRA"),
        ("Vary", "a"),
        ("vary", "b"),
    )
    assert for_client(headers) == headers


@pytest.mark.parametrize(
    "name",
    [
        "Set-Cookie",
        "set-cookie2",
        "Strict-Transport-Security",
        "Alt-Svc",
        "Access-Control-Allow-Origin",
        "access_control_allow_headers",
        "Proxy-Status",
        "Content-Length",
    ],
)
def test_an_upstream_does_not_speak_for_our_origin(name: str) -> None:
    assert for_client((("a", "1"), (name, "x"))) == (("a", "1"),)


# --- single headers ----------------------------------------------------------------------------------------


def test_headers_are_taken_away_by_name_however_they_are_spelt() -> None:
    headers = (("Authorization", "1"), ("x_api_key", "2"), ("X-Api-Key", "3"), ("x-other", "4"))
    assert without(headers, "x-api-key", "authorization") == (("x-other", "4"),)
    assert without(headers) == headers


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], [("anthropic-beta", "new")]),
        ([("a", "1")], [("a", "1"), ("anthropic-beta", "new")]),
        ([("Anthropic-Beta", "a,b"), ("z", "1")], [("Anthropic-Beta", "a,b,new"), ("z", "1")]),
        ([("anthropic-beta", "")], [("anthropic-beta", "new")]),
        ([("anthropic-beta", " ")], [("anthropic-beta", "new")]),
        ([("anthropic-beta", "a, new ,b")], [("anthropic-beta", "a, new ,b")]),
        ([("anthropic-beta", "newer")], [("anthropic-beta", "newer,new")]),
        ([("anthropic-beta", "a"), ("anthropic-beta", "new")], [("anthropic-beta", "a"), ("anthropic-beta", "new")]),
    ],
)
def test_a_member_is_appended_once_and_the_others_are_kept(
    before: list[tuple[str, str]], after: list[tuple[str, str]]
) -> None:
    assert append_to_list(before, "anthropic-beta", "new") == tuple(after)


@pytest.mark.parametrize(
    ("value", "token"),
    [
        ("Bearer sk-FAKE", "sk-FAKE"),
        ("bearer  sk-FAKE ", "sk-FAKE"),
        (" BEARER sk-FAKE", "sk-FAKE"),
        ("Bearer", ""),
        ("Basic sk-FAKE", None),
        ("Bearersk-FAKE", None),
        ("sk-FAKE", None),
        ("", None),
    ],
)
def test_the_token_of_a_bearer_is_read_and_of_no_other_scheme(value: str, token: str | None) -> None:
    assert bearer(value) == token


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("20", 20.0),
        ("1.5", 1.5),
        ("Sat, 21 Nov 2026 07:00:00 GMT", None),
        ("", None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("1e12", None),
        ("soon", None),
    ],
)
def test_the_wait_that_an_upstream_asks_for_is_read_in_seconds(value: str, seconds: float | None) -> None:
    assert retry_after([("Retry-After", value)]) == seconds


def test_an_upstream_that_asks_for_no_wait_is_not_waited_for() -> None:
    assert retry_after([("x-retry-after", "3")]) is None

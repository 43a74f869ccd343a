"""A failure as the client sees it: Anthropic's shape, who answered, and the upstream's own words where it had some."""

import json
import time
from typing import Any

import pytest
from aiohttp import web

from claude_proxy import __version__
from claude_proxy.exchange import Attempt, Exchange
from claude_proxy.failures import HANDLING, Failure, FailureKind, Said
from claude_proxy.web.errors import Refused, broken_stream, failed, refusal, who_answered
from tests.asking import sse_events
from tests.client_requests import message_request

SERVER = f"claude-proxy/{__version__}"


def exchange(attempts: int = 1) -> Exchange:
    made = Exchange(message_request())
    made.attempts = [Attempt("first", "m", time.monotonic()) for _ in range(attempts)]
    return made


def body_of(response: web.Response) -> Any:
    assert isinstance(response.body, bytes)
    return json.loads(response.body)


def test_a_refusal_has_anthropics_shape_and_says_which_kind_it_is() -> None:
    response = refusal(Refused(415, "media_type", "send JSON", headers=(("retry-after", "3"),)))
    error = body_of(response)
    assert response.status == 415
    assert (error["type"], error["error"]) == ("error", {"type": "invalid_request_error", "message": "send JSON"})
    assert error["request_id"] == response.headers["x-claude-proxy-request-id"]
    assert error["request_id"].startswith("req_cp_")
    assert {name: response.headers[name] for name in response.headers if name != "x-claude-proxy-request-id"} == {
        "Content-Type": "application/json",
        "Server": SERVER,
        "Cache-Control": "no-store",
        "x-should-retry": "false",
        "x-claude-proxy-error": "media_type",
        "x-claude-proxy-attempts": "0",
        "retry-after": "3",
    }


def test_a_refusal_may_say_that_it_is_worth_another_try() -> None:
    response = refusal(Refused(503, "draining", "soon", headers=(("x-should-retry", "true"),)))
    assert response.headers.getall("x-should-retry") == ["true"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
        (421, "invalid_request_error"),
        (500, "api_error"),
        (503, "api_error"),
    ],
)
def test_the_type_of_a_refusal_goes_with_its_status(status: int, kind: str) -> None:
    assert body_of(refusal(Refused(status, "x", "y")))["error"]["type"] == kind


def test_a_refusal_ends_the_connection_where_it_must() -> None:
    assert refusal(Refused(400, "x", "y", close=True)).keep_alive is False
    assert refusal(Refused(400, "x", "y")).keep_alive is None


def test_what_the_upstream_said_goes_to_the_client_as_it_was_said() -> None:
    said = Said(429, (("retry-after", "7"), ("x-note", "1"), ("x-note", "2"), ("Server", "cloudflare")), b'{"a" :1}\n')
    failure = Failure(FailureKind.RATE_LIMIT, "slow down", "first", said=said)
    made = exchange(2)
    response = failed(failure, made)
    assert (response.status, response.body) == (429, b'{"a" :1}\n')
    assert list(response.headers.items())[:4] == list(said.headers)
    assert response.headers["x-claude-proxy-upstream"] == "first"
    assert response.headers["x-claude-proxy-attempts"] == "2"
    assert response.headers["x-claude-proxy-request-id"] == made.id
    assert "x-claude-proxy-error" not in response.headers


def test_an_upstream_that_did_not_name_itself_does_not_pass_for_python() -> None:
    said = Said(400, (("Content-Type", "application/json"),), b"{}")
    assert (
        failed(Failure(FailureKind.INVALID_REQUEST, "no", "first", said=said), exchange()).headers["Server"] == SERVER
    )


OURS = [kind for kind in FailureKind if kind not in {FailureKind.CLIENT_GONE, FailureKind.BROKEN_STREAM}]


@pytest.mark.parametrize("kind", OURS)
def test_a_failure_without_words_of_the_upstream_is_told_in_ours(kind: FailureKind) -> None:
    made = exchange()
    response = failed(Failure(kind, "what went wrong", "first"), made)
    assert response.status == HANDLING[kind].status
    error = body_of(response)
    assert error["type"] == "error"
    assert error["error"]["message"] == "what went wrong"
    assert error["request_id"] == made.id == response.headers["x-claude-proxy-request-id"]
    assert response.headers["x-claude-proxy-error"] == kind.value
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Server"] == SERVER


def test_a_failure_may_know_its_type_better_than_its_status_does() -> None:
    failure = Failure(FailureKind.MALFORMED, "x", "first", error_type="overloaded_error")
    assert body_of(failed(failure, exchange()))["error"]["type"] == "overloaded_error"


def test_only_lasting_faults_tell_the_client_not_to_try_again() -> None:
    lasting = {FailureKind.NO_CREDENTIAL, FailureKind.AUTH, FailureKind.UNSUPPORTED}
    told = {kind for kind in OURS if failed(Failure(kind, "x"), exchange()).headers.get("x-should-retry") == "false"}
    assert told == lasting


@pytest.mark.parametrize(
    ("kind", "seconds", "told"),
    [
        (FailureKind.UNAVAILABLE, 3600.0, "5"),  # small, though the upstream may be left alone for longer
        (FailureKind.UNAVAILABLE, 2.0, "2"),
        (FailureKind.RATE_LIMIT, 60.0, "60"),
        (FailureKind.OVERLOADED, 0.0, "0"),
        (FailureKind.OVERLOADED, None, None),
        (FailureKind.AUTH, 60.0, None),
    ],
)
def test_when_to_come_again_is_told_where_it_is_known(
    kind: FailureKind, seconds: float | None, told: str | None
) -> None:
    assert failed(Failure(kind, "x", "first", retry_after=seconds), exchange()).headers.get("retry-after") == told


def test_a_failure_may_know_its_status_better_than_its_kind_does() -> None:
    failure = Failure(FailureKind.INVALID_REQUEST, "x", "first", status=413)
    response = failed(failure, exchange())
    assert (response.status, body_of(response)["error"]["type"]) == (413, "request_too_large")


def test_a_broken_stream_is_told_in_one_event() -> None:
    made = exchange()
    made.upstream = "first"
    event = broken_stream(Failure(FailureKind.BROKEN_STREAM, "it fell silent\n\nevent: x"), made)
    ((name, data),) = sse_events(event)
    assert name == "error"
    assert data == {
        "type": "error",
        "error": {"type": "api_error", "message": f"first: it fell silent\n\nevent: x (claude-proxy {made.id})"},
        "request_id": made.id,
    }


def test_nobody_is_named_where_nobody_answered() -> None:
    made = exchange(0)
    assert who_answered(made, "") == (("x-claude-proxy-attempts", "0"), ("x-claude-proxy-request-id", made.id))

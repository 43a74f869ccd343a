"""The official SDK and what goes wrong: its exceptions say what the upstream or the daemon said."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic import APIStatusError

from tests.closed_port import refusing_url
from tests.official_sdk import MODEL, official_sdk
from tests.running import running
from tests.stand_in import (
    StandIn,
    block,
    error_body,
    fails,
    hangs,
    message_start,
    raw,
    replies,
    resets,
    sse,
    streams,
)

HI: Any = {"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]}
SAID_ALONG = {
    "request-id": "req_of_the_upstream",
    "x-should-retry": "false",
    "anthropic-organization-id": "00000000-0000-4000-8000-000000000000",
    "retry-after": "77",
    "server": "cloudflare",
    "cf-ray": "0123456789abcdef-ZRH",
}
STATUSES: Sequence[tuple[int, str, type[APIStatusError]]] = [
    (400, "invalid_request_error", anthropic.BadRequestError),
    (401, "authentication_error", anthropic.AuthenticationError),
    (402, "billing_error", anthropic.PaymentRequiredError),
    (403, "permission_error", anthropic.PermissionDeniedError),
    (404, "not_found_error", anthropic.NotFoundError),
    (409, "conflict_error", anthropic.ConflictError),
    (413, "request_too_large", anthropic.ContentTooLargeError),
    (422, "invalid_request_error", anthropic.UnprocessableEntityError),
    (429, "rate_limit_error", anthropic.RateLimitError),
    (500, "api_error", anthropic.InternalServerError),
    (502, "api_error", anthropic.InternalServerError),
    (503, "api_error", anthropic.ServiceUnavailableError),
    (504, "timeout_error", anthropic.GatewayTimeoutError),
    (529, "overloaded_error", anthropic.OverloadedError),
]
BEGUN = [
    message_start(MODEL),
    *block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "So fa"})[:2],
]
OVERLOADED = sse(
    "error",
    {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "Overloaded"},
        "request_id": "req_of_the_upstream",
    },
)


def config(base_url: str, **more: Any) -> dict[str, Any]:
    """Retries would only cost time here."""
    return {"upstreams": {"claude": {"base_url": base_url}}, "retry": {"max_elapsed": "0s"}, **more}


async def refusal(base_url: str, **asked: Any) -> APIStatusError:
    """The exception that a message ends in."""
    async with official_sdk(base_url) as sdk:
        with pytest.raises(APIStatusError) as caught:
            await sdk.messages.create(**{**HI, **asked})
    return caught.value


async def broken_stream(base_url: str) -> tuple[str, APIStatusError]:
    """The text that a stream brought before it failed, and the exception."""
    text = ""
    async with official_sdk(base_url) as sdk:
        try:
            async with sdk.messages.stream(**HI) as stream:
                async for piece in stream.text_stream:
                    text += piece
        except APIStatusError as error:
            return text, error
    raise AssertionError(f"the stream ended as if it were whole, after {text!r}")


@pytest.mark.parametrize(("status", "kind", "exception"), STATUSES, ids=[str(s) for s, _, _ in STATUSES])
async def test_an_error_of_the_upstream_raises_what_it_raises_without_the_daemon(
    status: int, kind: str, exception: type[APIStatusError], tmp_path: Path
) -> None:
    answer = fails(status, kind, "in the upstream's own words", SAID_ALONG.items())
    async with StandIn(answer) as upstream, running(tmp_path, config(upstream.url)) as daemon:
        direct = await refusal(upstream.url)
        through = [await refusal(daemon.url, stream=stream) for stream in (False, True)]
    for error in through:
        assert type(error) is type(direct) is exception
        assert error.status_code == status
        assert error.type == kind
        assert error.request_id == "req_of_the_upstream"
        assert error.body == direct.body
        assert error.message == direct.message
        for name, value in SAID_ALONG.items():
            assert error.response.headers[name] == value


async def test_a_rate_limit_shows_the_quota_headers_untouched(tmp_path: Path) -> None:
    quota = {
        "retry-after": "1800",
        "anthropic-ratelimit-unified-status": "rejected",
        "anthropic-ratelimit-unified-reset": "1795300000",
        "anthropic-ratelimit-unified-5h-utilization": "1.0",
    }
    answer = fails(429, "rate_limit_error", "This request would exceed your limit.", quota.items())
    async with StandIn(answer) as upstream, running(tmp_path, config(upstream.url)) as daemon:
        through = await refusal(daemon.url)
    assert isinstance(through, anthropic.RateLimitError)
    for name, value in quota.items():
        assert through.response.headers[name] == value
    assert len(upstream.received) == 1


@pytest.mark.parametrize("begun", [True, False], ids=["mid-stream", "before-anything"])
async def test_an_error_event_keeps_its_type_and_words(begun: bool, tmp_path: Path) -> None:
    events = [*(BEGUN if begun else []), OVERLOADED]
    async with StandIn(streams(events)) as upstream, running(tmp_path, config(upstream.url)) as daemon:
        direct_text, direct = await broken_stream(upstream.url)
        text, through = await broken_stream(daemon.url)
    assert text == direct_text == ("So fa" if begun else "")
    assert through.body == direct.body
    assert through.type == "overloaded_error"
    assert through.status_code == direct.status_code == 200
    assert through.request_id == direct.request_id


async def test_an_error_event_is_told_although_the_upstream_does_not_hang_up(tmp_path: Path) -> None:
    async with (
        StandIn(hangs(after=[OVERLOADED])) as upstream,
        running(tmp_path, config(upstream.url)) as daemon,
        asyncio.timeout(20),  # the default wait for an answer is 300 s
    ):
        _, through = await broken_stream(daemon.url)
    assert through.type == "overloaded_error"


async def test_a_stream_that_is_cut_raises_instead_of_ending_quietly(tmp_path: Path) -> None:
    async with StandIn(resets(after=BEGUN)) as upstream, running(tmp_path, config(upstream.url)) as daemon:
        text, through = await broken_stream(daemon.url)
    assert text == "So fa"
    assert through.status_code == 200
    assert through.type == "api_error"
    assert "claude" in str(through.api_message)


async def test_a_stream_that_ends_too_early_raises_instead_of_ending_quietly(tmp_path: Path) -> None:
    async with StandIn(streams(BEGUN)) as upstream, running(tmp_path, config(upstream.url)) as daemon:
        text, through = await broken_stream(daemon.url)
    assert text == "So fa"
    assert through.type == "api_error"


async def test_an_upstream_that_refuses_connections_is_a_502_that_says_so(tmp_path: Path) -> None:
    with refusing_url() as url:
        async with running(tmp_path, config(url)) as daemon:
            through = await refusal(daemon.url)
    assert type(through) is anthropic.InternalServerError
    assert through.status_code == 502
    assert through.type == "api_error"
    assert "claude" in str(through.api_message)
    assert through.response.headers["x-claude-proxy-error"]
    assert isinstance(through.body, dict)
    assert through.body["request_id"] == through.response.headers["x-claude-proxy-request-id"]


@pytest.mark.parametrize(
    "answer",
    [
        replies(200, b"<html>login</html>", [("Content-Type", "text/html")]),
        replies(200, b""),
        raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    ],
    ids=["html", "empty", "not-http"],
)
async def test_an_answer_that_is_none_is_a_502_in_the_shape_that_the_sdk_reads(answer: Any, tmp_path: Path) -> None:
    async with StandIn(answer) as upstream, running(tmp_path, config(upstream.url)) as daemon:
        through = await refusal(daemon.url)
    assert through.status_code == 502
    assert through.type == "api_error"
    assert through.response.headers["x-claude-proxy-error"]


async def test_an_error_in_a_200_is_raised_and_not_taken_for_a_message(tmp_path: Path) -> None:
    answer = replies(200, error_body("overloaded_error", "Overloaded"))
    async with StandIn(answer) as upstream, running(tmp_path, config(upstream.url)) as daemon:
        through = await refusal(daemon.url)
    assert through.status_code == 529
    assert through.type == "overloaded_error"
    assert through.api_message == "Overloaded"


async def test_a_body_over_the_limit_of_the_daemon_never_leaves_it(tmp_path: Path) -> None:
    async with (
        StandIn() as upstream,
        running(tmp_path, config(upstream.url, limits={"max_body": "64KiB"})) as daemon,
    ):
        through = await refusal(daemon.url, messages=[{"role": "user", "content": "x" * 100_000}])
        async with official_sdk(daemon.url) as sdk:
            small = await sdk.messages.create(**HI)
    assert type(through) is anthropic.ContentTooLargeError
    assert through.status_code == 413
    assert isinstance(through.body, dict)
    assert through.body["error"]["type"] == "request_too_large"
    assert "max_body" in str(through.api_message)
    assert through.response.headers["x-claude-proxy-error"]
    assert small.stop_reason == "end_turn"
    assert [len(request.body) < 65536 for request in upstream.received] == [True]


async def test_the_openai_endpoint_says_where_to_go(tmp_path: Path) -> None:
    async with (
        StandIn() as upstream,
        running(tmp_path, config(upstream.url)) as daemon,
        official_sdk(daemon.url) as sdk,
    ):
        with pytest.raises(anthropic.BadRequestError) as caught:
            await sdk.post("/v1/chat/completions", body=HI, cast_to=object)
    assert "/v1/messages" in str(caught.value.api_message)
    assert upstream.received == []

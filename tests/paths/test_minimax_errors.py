"""MiniMax's errors, by their numbers: what the client hears where there is nobody else to ask."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.asking import Reply
from tests.minimax import (
    KEY,
    ONLY_MINIMAX,
    haiku,
    haiku_house,
    says_in_error_event,
    says_in_json,
    says_in_stream,
    says_with_status,
)
from tests.stand_in import Answer, replies

CONTEXT = "invalid params, context window exceeds limit"

# number, MiniMax's words, the HTTP status that it may come with, what the client hears
NUMBERS: list[tuple[int, str, int, int, str]] = [
    (1000, "unknown error", 500, 529, "overloaded_error"),
    (1001, "request timeout", 500, 529, "overloaded_error"),
    (1002, "rate limit exceeded(RPM)", 429, 429, "rate_limit_error"),
    (1004, "login fail: please carry the API secret key", 401, 403, "permission_error"),
    (1008, "insufficient balance", 500, 402, "billing_error"),
    (1024, "internal error", 500, 529, "overloaded_error"),
    (1028, "quota exhausted", 400, 429, "rate_limit_error"),
    (1030, "quota exhausted", 400, 429, "rate_limit_error"),
    (2013, CONTEXT, 400, 400, "invalid_request_error"),
    (2013, "invalid params, tool_choice is unknown", 400, 400, "invalid_request_error"),
    (2061, "your plan does not include this model", 400, 403, "permission_error"),
]


def assert_mapped(reply: Reply, status: int, kind: str, words: str) -> None:
    """The error is Anthropic's in every part, and no quota was invented."""
    assert reply.status == status
    error = reply.json()
    assert error["type"] == "error"
    assert error["error"]["type"] == kind
    message = error["error"]["message"]
    if words == CONTEXT:
        assert re.match(r"prompt is too long: \d+ tokens > \d+ maximum", message)
    elif kind == "permission_error":
        assert "minimax" in message.lower()  # whose key it is: the client's own login is fine
    else:
        assert words in message
    assert not [name for name in reply.headers if name.lower().startswith("anthropic-ratelimit")]
    assert reply.headers["Content-Type"].startswith("application/json")
    assert "base_resp" not in error
    assert "http_code" not in error["error"]


@pytest.mark.parametrize(
    ("number", "words", "http", "status", "kind"), NUMBERS, ids=[f"{n[0]}-{n[1][:28]}" for n in NUMBERS]
)
async def test_a_number_becomes_the_error_that_the_client_understands(
    number: int, words: str, http: int, status: int, kind: str, tmp_path: Path
) -> None:
    ways: list[tuple[Answer, bool]] = [
        (says_in_json(number, words), False),
        (says_in_json(number, words), True),
        (says_in_stream(number, words), True),
        (says_in_error_event(number, words), True),
        (says_with_status(number, words, http), False),
        (says_with_status(number, words, http), True),
    ]
    async with haiku_house(tmp_path, routes=ONLY_MINIMAX) as house:
        house.minimax.then(*(answer for answer, _ in ways))
        for _, stream in ways:
            assert_mapped(await house.ask(haiku(stream=stream)), status, kind, words)
            await house.daemon.reload()  # a refused key is tried again
    assert len(house.minimax.received) == len(ways)
    assert house.claude.received == []
    assert KEY not in house.daemon.log


@pytest.mark.parametrize("stream", [True, False], ids=["streaming", "not-streaming"])
async def test_a_number_that_nobody_knows_is_a_502(stream: bool, tmp_path: Path) -> None:
    answer = (says_in_stream if stream else says_in_json)(4711, "something new")
    async with haiku_house(tmp_path, answer, routes=ONLY_MINIMAX) as house:
        reply = await house.ask(haiku(stream=stream))
    assert_mapped(reply, 502, "api_error", "something new")
    assert "4711" in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    ("http", "status", "kind"),
    [
        (401, 403, "permission_error"),
        (403, 403, "permission_error"),
        (429, 429, "rate_limit_error"),
        (529, 529, "overloaded_error"),
    ],
)
async def test_an_error_without_a_number_goes_by_its_status(http: int, status: int, kind: str, tmp_path: Path) -> None:
    body: dict[str, Any] = {"type": "error", "error": {"type": "bad_request_error", "message": "no, not now"}}
    answer = replies(http, json.dumps(body).encode())
    async with haiku_house(tmp_path, answer, routes=ONLY_MINIMAX) as house:
        reply = await house.ask(haiku())
    assert_mapped(reply, status, kind, "no, not now")


async def test_without_a_key_and_without_another_target_the_error_says_how_to_give_one(
    tmp_path: Path,
) -> None:
    async with haiku_house(tmp_path, key=None, routes=ONLY_MINIMAX) as house:
        reply = await house.ask(haiku())
    assert reply.status == 403
    assert reply.json()["error"]["type"] == "permission_error"
    assert "HAIKU_PROVIDER_API_KEY" in reply.json()["error"]["message"]
    assert reply.headers["x-claude-proxy-error"]
    assert house.minimax.received == []
    assert house.claude.received == []

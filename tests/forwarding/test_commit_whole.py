"""The last look before the client sees a byte: which whole 200 is an answer, and what of a stranger's passes."""

import json
from pathlib import Path

import pytest

from claude_proxy.failures import FailureKind
from claude_proxy.wire.messages import ClientRequest
from tests.client_requests import count_request
from tests.forwarding.committing import ONCE, STREAM, WHOLE, ask, elsewhere
from tests.forwarding.forwarding_house import BRINGS_KEY, MINIMAX_KEY, forwarding
from tests.stand_in import (
    Received,
    StandIn,
    Wire,
    error_body,
    message_end,
    message_json,
    message_start,
    raw,
    replies,
    says,
    sse,
    streams,
    text_block,
    text_stream,
    two,
)

EVENTS = ("Content-Type", "text/event-stream; charset=utf-8")
JSON = ("Content-Type", "application/json")


# --- whole answers ---------------------------------------------------------------------------------------


async def test_a_whole_message_passes_byte_for_byte(tmp_path: Path) -> None:
    body = b" " + message_json().replace(b",", b" ,") + b"\n"
    told = await ask(tmp_path, replies(200, body), WHOLE)
    assert (told.status, told.body) == (200, body)
    assert told.exchange.usage.output_tokens == 7


async def test_half_a_surrogate_pair_is_no_reason_to_refuse_an_answer(tmp_path: Path) -> None:
    body = message_json().replace(b'"hello"', b'"\\ud83d"')
    told = await ask(tmp_path, replies(200, body), WHOLE)
    assert (told.status, told.body) == (200, body)


async def test_a_count_of_tokens_passes_byte_for_byte(tmp_path: Path) -> None:
    told = await ask(tmp_path, replies(200, b'{ "input_tokens": 42 }'), count_request(BRINGS_KEY))
    assert told.body == b'{ "input_tokens": 42 }'


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", FailureKind.MALFORMED),
        (b" \r\n", FailureKind.MALFORMED),
        (b"<html>sign in</html>", FailureKind.MALFORMED),
        (b'{"type":"message"', FailureKind.MALFORMED),
        (b'"message"', FailureKind.MALFORMED),
        (b"[]", FailureKind.MALFORMED),
        (b"{}", FailureKind.MALFORMED),
        (b'{"type":7}', FailureKind.MALFORMED),
        (b'{"choices":[]}', FailureKind.MALFORMED),
        (b"\xff\xfe", FailureKind.MALFORMED),
        (b"[" * 100_000, FailureKind.MALFORMED),
        (error_body("overloaded_error", "no"), FailureKind.OVERLOADED),
        (error_body("rate_limit_error", "no"), FailureKind.RATE_LIMIT),
        (b'{"error":"gateway"}', FailureKind.MALFORMED),
    ],
    ids=[
        "empty",
        "blank",
        "a page",
        "half",
        "a text",
        "a list",
        "an empty object",
        "a type that is no text",
        "another API's",
        "no UTF-8",
        "nested without end",
        "an overload",
        "a limit",
        "an error without a type",
    ],
)
async def test_a_200_that_is_no_message_is_answered_elsewhere(tmp_path: Path, body: bytes, kind: FailureKind) -> None:
    failed, told = await elsewhere(tmp_path, replies(200, body), WHOLE)
    assert failed is kind
    assert told.json()["content"][0]["text"] == "from the second"


async def test_a_200_that_is_no_message_is_a_502_when_nobody_else_is_left(tmp_path: Path) -> None:
    told = await ask(tmp_path, replies(200, b"<html>FAKE</html>", [("Content-Type", "text/html")]), WHOLE)
    assert (told.kind, told.client_status) == (FailureKind.MALFORMED, 502)
    assert told.failure is not None
    assert told.failure.message == "claude: the answer is no JSON object (content type text/html)"


async def test_an_answer_beyond_its_bound_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claude_proxy.forwarding.commit.MAX_WHOLE", 100_000)

    async def never_ends(_: Received, wire: Wire) -> None:
        await wire.head(200, [JSON, ("Transfer-Encoding", "chunked")])
        await wire.chunk(b" " * 100_001)
        await wire.reader.read(1)

    async with (
        StandIn(never_ends) as claude,
        forwarding(tmp_path, {"claude": claude}, retry=ONCE, transport={"header_timeout": "5s"}) as house,
    ):
        told = await house.ask(count_request(BRINGS_KEY))
        await claude.wait_for(lambda: claude.open_connections == 0)
    assert told.kind is FailureKind.MALFORMED
    assert told.failure is not None
    assert "longer than 100000 bytes" in told.failure.message


async def test_an_answer_without_a_body_is_called_so(tmp_path: Path) -> None:
    told = await ask(tmp_path, replies(200, b""), WHOLE)
    assert told.failure is not None
    assert told.failure.message == "claude: the answer has an empty body"


@pytest.mark.parametrize(
    ("data", "request_of"),
    [
        (b"HTTP/1.1 200 X\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{", WHOLE),
        (b"HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\nContent-Length: 99\r\n\r\nevent: mess", STREAM),
    ],
    ids=["whole", "stream"],
)
async def test_an_answer_that_breaks_off_before_it_is_known_to_be_good_is_none(
    tmp_path: Path, data: bytes, request_of: ClientRequest
) -> None:
    failed, _ = await elsewhere(tmp_path, raw(data), request_of)
    assert failed is FailureKind.MALFORMED


@pytest.mark.parametrize("coding", ["gzip", "br", "GZIP", "deflate, gzip", "x" * 500])
@pytest.mark.parametrize("request_of", [WHOLE, STREAM], ids=["whole", "stream"])
async def test_an_answer_that_came_compressed_is_none(tmp_path: Path, coding: str, request_of: ClientRequest) -> None:
    kind, body = (EVENTS, b"".join(text_stream())) if request_of.stream else (JSON, message_json())
    told = await ask(tmp_path, replies(200, body, [kind, ("Content-Encoding", coding)]), request_of)
    assert told.kind is FailureKind.MALFORMED
    assert told.failure is not None
    assert len(told.failure.message) < 200


async def test_an_answer_that_says_it_is_not_compressed_is_one(tmp_path: Path) -> None:
    told = await ask(tmp_path, replies(200, message_json(), [JSON, ("Content-Encoding", " Identity")]), WHOLE)
    assert told.status == 200


# --- a stranger's answers --------------------------------------------------------------------------------


async def test_a_strangers_answer_bears_the_name_of_the_model_that_was_asked_for(tmp_path: Path) -> None:
    told = await ask(tmp_path, replies(200, b"\n " + message_json(model="MiniMax-M2.5")), WHOLE, "minimax")
    assert told.json()["model"] == WHOLE.model
    told = await ask(tmp_path, streams(text_stream("hello", "MiniMax-M2.5")), STREAM, "minimax")
    assert b"MiniMax" not in told.body
    assert told.body.count(STREAM.model.encode()) == 1


async def test_an_answer_of_a_stranger_that_cannot_be_translated_is_none(tmp_path: Path) -> None:
    torn = message_json().replace(b'"text":', b'"\xff": 1, "text":', 1)  # no UTF-8, where a name is looked for
    told = await ask(tmp_path, replies(200, torn), WHOLE, "minimax")
    assert told.kind is FailureKind.MALFORMED


async def test_a_failure_that_minimax_hides_in_a_200_is_answered_elsewhere(tmp_path: Path) -> None:
    base = {"base_resp": {"status_code": 1002, "status_msg": "rate limit"}}
    for answer, request in (
        (replies(200, json.dumps(base).encode()), WHOLE),
        (streams([b"data: " + json.dumps(base).encode() + b"\n\n"]), STREAM),
        (streams([sse("message_start", base)]), STREAM),
    ):
        async with (
            two(answer, says("from the second")) as (minimax, claude),
            forwarding(tmp_path, {"minimax": minimax, "claude": claude}) as house,
        ):
            told = await house.ask(request)
            assert house.watcher.failed == [("minimax", FailureKind.RATE_LIMIT)]
        assert told.status == 200
        assert b"from the" in told.body


async def test_a_stranger_is_not_quoted_with_the_key_that_it_was_called_with(tmp_path: Path) -> None:
    repeated = f"I was called with {MINIMAX_KEY}"
    for answer, request in (
        (replies(200, message_json(repeated)), WHOLE),
        (streams([message_start(), *text_block(repeated, pieces=1), *message_end()]), STREAM),
    ):
        told = await ask(tmp_path, answer, request, "minimax")
        assert b"I was called with " in told.body
        assert MINIMAX_KEY.encode() not in told.body


async def test_the_headers_of_an_anthropic_answer_pass_and_a_strangers_stay_behind(tmp_path: Path) -> None:
    headers = [
        JSON,
        ("request-id", "req_1"),
        ("anthropic-ratelimit-unified-status", "allowed"),
        ("Set-Cookie", "a=b"),
        ("Strict-Transport-Security", "max-age=1"),
        ("Access-Control-Allow-Origin", "*"),
        ("X-Claude-Proxy-Error", "FAKE"),
    ]
    native = await ask(tmp_path, replies(200, message_json(), headers), WHOLE)
    assert {name.lower() for name, _ in native.headers} == {
        "content-type",
        "request-id",
        "anthropic-ratelimit-unified-status",
    }
    strange = await ask(tmp_path, replies(200, message_json(), headers), WHOLE, "minimax")
    assert {name.lower() for name, _ in strange.headers} == {"content-type"}

"""`/api/requests`: pages, filters, one by one, by the names that dashboards of this family know."""

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from msgspec.structs import replace

from claude_proxy.ledger.record import AttemptRecord, Bodies, Kept
from claude_proxy.ledger.store import Change
from claude_proxy.wire.usage import Usage
from tests.in_process import InProcess
from tests.ledger.made_records import NOON, begun, record, with_bodies
from tests.web.knocking import knock
from tests.web.recorded_before import all_pages, get, recorded_before, refused

pytestmark = pytest.mark.asyncio(loop_scope="module")

SESSION = "5e551011-0000-4000-8000-000000000001"
ASKED = b'{ "model":"claude-opus-4-8","x":1e400, "y":"\\ud83d","messages" : [] }'
SSE = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant",'
    b'"content":[],"model":"m","stop_reason":null,"usage":{"input_tokens":1,"output_tokens":1}}}\n\n'
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text",'
    b'"text":""}}\n\n'
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta",'
    b'"text":"hell\xc3\xb6"}}\n\n'
)
HEADERS = (("Content-Type", "application/json"), ("X-Two", "1"), ("X-Two", "2"))
LIMITS = {
    "unified-status": "allowed_warning",
    "unified-5h-utilization": "0.42",
    "unified-5h-reset": "1800000000",
    "unified-5h-status": "allowed",
    "unified-7d-utilization": "inf",
    "unified-7d-reset": "-1",
    "requests-limit": "50",
    "input-tokens-reset": "2026-11-26T12:00:00Z",
}
MINIMAX = AttemptRecord("minimax", "MiniMax-M2", "minimax", 0, 20, 529, "overloaded", "busy", Usage(1, 2))

RECORDS = [
    *(Change(record(number)) for number in range(1, 8)),
    Change(record(8, agent="agent-1", parent_agent="agent-0", session="other", conversation="other")),
    Change(record(9, model="MiniMax-M2", asked_model="claude-haiku-4-5", upstream="minimax", project="/other")),
    Change(record(10, end="broken", failure="broken_stream", cause="it died", status=200, rate_limit=LIMITS)),
    Change(begun(11)),
    Change(record(12, attempts=(MINIMAX, AttemptRecord("claude", "m", "client", 20, None, None)))),
    with_bodies(13, ASKED, SSE),
    with_bodies(14, b"no JSON \xff", b'{"type":"error"}', stream=True, status=529, end="failed"),
    Change(
        record(15, kept=Kept.WHOLE, method="GET", endpoint="/v1/files", asked_model="", model="", stream=False),
        Bodies(HEADERS, b"", HEADERS, b"<html>"),
    ),
    with_bodies(16, b'{"a":NaN}', b"event: nothing\n\n"),
]
IDS = [change.record.id for change in reversed(RECORDS)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemon(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[InProcess]:
    async with recorded_before(tmp_path_factory.mktemp("requests"), RECORDS) as daemon:
        yield daemon


def ids(page: dict[str, list[dict[str, str]]]) -> list[str]:
    return [request["requestId"] for request in page["requests"]]


async def test_the_newest_comes_first_and_pages_tell_each_once(daemon: InProcess) -> None:
    for door in ("/api/requests", "/api/requests/summary"):
        whole = await get(daemon, door)
        assert ids(whole) == IDS
        assert {name: whole[name] for name in ("total", "page", "limit", "hasMore", "next")} == {
            "total": 16,
            "page": 1,
            "limit": 50,
            "hasMore": False,
            "next": None,
        }
        by_number = [await get(daemon, f"{door}?limit=7&page={number}") for number in (1, 2, 3)]
        assert [ids(page) for page in by_number] == [IDS[:7], IDS[7:14], IDS[14:]]
        assert [page["hasMore"] for page in by_number] == [True, True, False]
        assert ids(await get(daemon, f"{door}?page=9")) == []
        assert [request["requestId"] for request in await all_pages(daemon, door, 5)] == IDS


async def test_a_page_goes_on_where_it_ended_though_more_has_come(tmp_path_factory: pytest.TempPathFactory) -> None:
    same_time = [Change(replace(record(number), accepted=NOON)) for number in range(9)]
    async with recorded_before(tmp_path_factory.mktemp("same"), same_time) as other:
        first = await get(other, "/api/requests?limit=4")
        rest = await get(other, f"/api/requests?cursor={first['next']}")
        assert len({*ids(first), *ids(rest)}) == 9
        assert len(ids(rest)) == 5


FILTERS = {
    "model=claude-haiku-4-5": [9],
    "model=MiniMax-M2": [9],
    "model=all&upstream=minimax": [9],
    "project=%2Fother": [9],
    "endpoint=/v1/files": [15],
    "session=other": [8],
    "conversation=other": [8],
    "agent=sub": [8],
    "organization=nobody": [],
    "outcome=broken": [10],
    "outcome=failed&agent=main": [14],
    "start=2027-01-15T08:00:04Z&end=2027-01-15T08:00:06Z": [5, 4],
    "end=2027-01-15&start=2027-01-15T08:00:15Z": [16, 15],
    "start=2027-01-16": [],
}


@pytest.mark.parametrize("query", FILTERS)
async def test_a_filter_finds_what_it_means(daemon: InProcess, query: str) -> None:
    page = await get(daemon, f"/api/requests?{query}")
    assert ids(page) == [record(number).id for number in FILTERS[query]]
    assert page["total"] == len(FILTERS[query])


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("limit=0", "limit: expected a whole number from 1 to 500, found '0'"),
        ("limit=501", "limit: expected"),
        ("page=0", "page: expected"),
        ("page=x", "page: expected"),
        ("start=soon", "start: expected a time"),
        ("end=2026-02-30", "end: expected a time"),
        ("agent=both", "agent: expected one of main, sub"),
        ("outcome=good", "outcome: expected one of complete"),
        ("cursor=x", "cursor: expected what `next` said"),
        ("cursor=1e9_1", "cursor: expected"),
        ("modle=x", "there is no parameter 'modle'; known here: model, start"),
        ("model=a&model=b", "a parameter stands there twice"),
    ],
)
async def test_a_bad_parameter_is_named(daemon: InProcess, query: str, told: str) -> None:
    assert (await refused(daemon, f"/api/requests?{query}")).startswith(told)
    assert (await refused(daemon, f"/api/requests/summary?{query}")).startswith(told)


async def test_a_request_has_the_names_that_dashboards_know(daemon: InProcess) -> None:
    (shown,) = (await get(daemon, "/api/requests?outcome=broken"))["requests"]
    response = shown.pop("response")
    assert {name: shown[name] for name in ("requestId", "timestamp", "method", "endpoint", "model")} == {
        "requestId": record(10).id,
        "timestamp": "2027-01-15T08:00:10.000Z",
        "method": "POST",
        "endpoint": "/v1/messages",
        "model": "claude-opus-4-8",
    }
    assert (shown["userAgent"], shown["contentType"]) == ("claude-cli/2.1.197 (external, cli)", "application/json")
    assert (shown["conversationHash"], shown["messageCount"], shown["organizationId"]) == (SESSION, 3, "org-1")
    assert shown["usage"]["cache_read_input_tokens"] == 4000
    assert shown["cost"] == {
        "listValue": "0.000005",
        "billed": "0.00",
        "covered": "0.000005",
        "unpricedTokens": 0,
        "priceSource": "a price list",
        "priceDated": "2026-11-20",
    }
    limits = {name: value for name, value in response.pop("rateLimit").items() if value is not None}
    assert limits == {
        "requestsLimit": 50.0,
        "inputTokensReset": "2026-11-26T12:00:00Z",
        "unifiedStatus": "allowed_warning",
        "unifiedStatus5h": "allowed",
        "unifiedUtilization5h": 0.42,
        "unifiedReset5h": "2027-01-15T08:00:00.000Z",
    }
    assert response == {
        "statusCode": 200,
        "responseTime": 1500,
        "isStreaming": True,
        "completedAt": "2027-01-15T08:00:11.500Z",
        "streamError": "it died",
    }


async def test_where_it_was_routed_stands_beside_what_was_asked(daemon: InProcess) -> None:
    (shown,) = (await get(daemon, "/api/requests/summary?upstream=minimax"))["requests"]
    assert (shown["model"], shown["originalModel"], shown["routedModel"]) == (
        "MiniMax-M2",
        "claude-haiku-4-5",
        "MiniMax-M2",
    )
    assert (shown["statusCode"], shown["responseTime"], shown["stopReason"]) == (200, 1500, "end_turn")


async def test_what_has_not_ended_has_no_response(daemon: InProcess) -> None:
    shown = await get(daemon, f"/api/requests/{record(11).id}")
    assert shown["response"] is None
    assert shown["outcome"] is None
    assert shown["cost"]["listValue"] is None


async def test_the_latest_date_is_that_of_the_newest(daemon: InProcess) -> None:
    assert await get(daemon, "/api/requests/latest-date") == {"latestDate": "2027-01-15T08:00:16.000Z"}


async def test_one_is_found_by_its_id_or_by_the_beginning_of_it(daemon: InProcess) -> None:
    for of in (record(12).id, record(12).id[:-1] + "c"):
        assert (await get(daemon, f"/api/requests/{of}"))["requestId"] == record(12).id
    assert "no request has this id" in await refused(daemon, "/api/requests/req_cp_nowhere", 404)
    assert "more than one" in await refused(daemon, "/api/requests/req_cp_", 404)


async def test_attempts_are_told_in_order(daemon: InProcess) -> None:
    shown = await get(daemon, f"/api/requests/{record(12).id}")
    first, second = shown["attempts"]
    usage = first.pop("usage")
    assert first == {
        "upstream": "minimax",
        "model": "MiniMax-M2",
        "credential": "minimax",
        "started": 0,
        "ended": 20,
        "statusCode": 529,
        "failure": "overloaded",
        "cause": "busy",
    }
    assert (usage["input_tokens"], usage["output_tokens"], usage["thinking_tokens"]) == (1, 2, None)
    assert (second["upstream"], second["ended"], second["usage"]) == ("claude", None, None)


async def test_a_body_keeps_its_bytes_and_a_stream_is_put_together(daemon: InProcess) -> None:
    answer = await knock(daemon, "GET", f"/api/requests/{record(13).id}")
    assert b'"body":' + ASKED in answer.body
    shown = await get(daemon, f"/api/requests/{record(13).id}")
    assert shown["bodyText"] is None
    assert shown["response"]["bodyText"] == SSE.decode()
    assert shown["response"]["body"]["content"] == [{"type": "text", "text": "hellö"}]
    assert shown["response"]["body"]["stop_reason"] is None
    assert shown["headers"] == {"Content-Type": ["application/json"]}


async def test_what_is_no_json_is_told_as_text(daemon: InProcess) -> None:
    failed = await get(daemon, f"/api/requests/{record(14).id}")
    assert (failed["body"], failed["bodyText"]) == (None, "no JSON \ufffd")
    assert (failed["response"]["body"], failed["response"]["bodyText"]) == ({"type": "error"}, None)
    other = await get(daemon, f"/api/requests/{record(15).id}")
    assert (other["body"], other["bodyText"]) == (None, "")
    assert (other["response"]["body"], other["response"]["bodyText"]) == (None, "<html>")
    assert other["headers"]["X-Two"] == ["1", "2"]
    assert other["model"] is None
    odd = await get(daemon, f"/api/requests/{record(16).id}")
    assert odd["bodyText"] == '{"a":NaN}'
    assert (odd["response"]["body"], odd["response"]["bodyText"]) == (None, "event: nothing\n\n")


async def test_parts_can_be_asked_for_apart(daemon: InProcess) -> None:
    of = f"/api/requests/{record(13).id}"
    attempts = await get(daemon, f"{of}?parts=attempts")
    assert attempts["attempts"]
    assert (attempts["headers"], attempts["body"], attempts["response"]["bodyText"]) == (None, None, None)
    message = await get(daemon, f"{of}?parts=message")
    assert message["response"]["body"]["content"]
    assert (message["attempts"], message["body"], message["response"]["bodyText"]) == (None, None, None)
    asked = await get(daemon, f"{of}?parts=headers,request")
    assert asked["headers"]
    assert asked["body"]["model"] == "claude-opus-4-8"
    assert (asked["response"]["body"], asked["response"]["bodyText"]) == (None, None)
    assert "parts: expected some of attempts" in await refused(daemon, f"{of}?parts=request,all")


async def test_everything_is_forgotten_at_once_and_nothing_less(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with recorded_before(tmp_path_factory.mktemp("forget"), RECORDS[:3]) as other:
        assert "X-Requested-With" in await refused(other, "/api/requests", 403, "DELETE")
        headers = [("X-Requested-With", "a test")]
        answer = await knock(other, "DELETE", "/api/requests?model=x", headers)
        assert answer.status == 400
        assert (await get(other, "/api/requests"))["total"] == 3
        answer = await knock(other, "DELETE", "/api/requests", headers)
        assert (answer.status, answer.json()["deleted"]) == (200, 3)
        assert json.loads(answer.body)["message"]
        assert (await get(other, "/api/requests"))["requests"] == []
        assert (await get(other, "/api/stats"))["total_requests"] == 0
        assert await get(other, "/api/requests/latest-date") == {"latestDate": None}

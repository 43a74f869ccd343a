"""`/api/conversations`: what belongs together, in order, main conversation and subagents told apart."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from claude_proxy.ledger.store import Change
from tests.in_process import InProcess
from tests.ledger.made_records import record
from tests.web.recorded_before import all_pages, get, recorded_before, refused

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIRST = "5e551011-0000-4000-8000-000000000001"
OTHERS = [f"5e551011-0000-4000-8000-0000000001{number:02}" for number in range(6)]

RECORDS = [
    Change(record(1)),
    Change(record(2, agent="a1", parent_agent="a0", model="claude-haiku-4-5", asked_model="claude-haiku-4-5")),
    Change(record(3, background="title")),
    Change(record(4, agent="a1", parent_agent="a0")),
    Change(record(5, end="client_gone")),
    *(
        Change(record(10 + number, session=one, conversation=one, project=f"/home/someone/p{number % 2}"))
        for number, one in enumerate(OTHERS)
    ),
    Change(record(30, session=None, conversation=None, project=None)),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemon(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[InProcess]:
    async with recorded_before(tmp_path_factory.mktemp("conversations"), RECORDS) as daemon:
        yield daemon


async def test_the_one_with_the_latest_request_comes_first(daemon: InProcess) -> None:
    page = await get(daemon, "/api/conversations")
    assert [one["id"] for one in page["conversations"]] == [*reversed(OTHERS), FIRST]
    assert (page["total"], page["hasMore"], page["next"], page["page"], page["limit"]) == (7, False, None, 1, 50)
    assert page["conversations"][-1] == {
        "id": FIRST,
        "sessionId": FIRST,
        "requestCount": 5,
        "startTime": "2027-01-15T08:00:01.000Z",
        "lastActivity": "2027-01-15T08:00:05.000Z",
        "duration": 4000,
        "firstMessage": "say hi",
        "projectPath": "/home/someone/work",
        "projectName": "work",
        "model": "claude-opus-4-8",
    }


async def test_pages_tell_each_once(daemon: InProcess) -> None:
    told = [one["id"] for one in await all_pages(daemon, "/api/conversations", 3)]
    assert told == [*reversed(OTHERS), FIRST]
    second = await get(daemon, "/api/conversations?limit=3&page=2")
    assert [one["id"] for one in second["conversations"]] == told[3:6]


async def test_those_of_a_project_are_told_apart(daemon: InProcess) -> None:
    page = await get(daemon, "/api/conversations/project?project=/home/someone/p1")
    assert [one["id"] for one in page["conversations"]] == [OTHERS[5], OTHERS[3], OTHERS[1]]
    assert page["total"] == 3
    assert (await get(daemon, "/api/conversations?project=/home/someone/p1"))["total"] == 3
    assert (await refused(daemon, "/api/conversations/project")).startswith("project: expected")


async def test_they_can_be_asked_for_by_time_and_session(daemon: InProcess) -> None:
    page = await get(daemon, "/api/conversations?start=2027-01-15T08:00:12Z&end=2027-01-15T08:00:14Z")
    assert [one["id"] for one in page["conversations"]] == [OTHERS[3], OTHERS[2]]
    assert (await get(daemon, f"/api/conversations?session={FIRST}"))["total"] == 1
    assert "no parameter 'model'" in await refused(daemon, "/api/conversations?model=x")


async def test_one_has_its_requests_in_order_and_says_who_asked(daemon: InProcess) -> None:
    one = await get(daemon, f"/api/conversations/{FIRST}")
    assert [exchange["requestId"] for exchange in one["exchanges"]] == [record(number).id for number in range(1, 6)]
    assert [exchange["agentId"] for exchange in one["exchanges"]] == [None, "a1", None, "a1", None]
    assert one["exchanges"][2]["background"] == "title"
    assert one["exchanges"][4]["outcome"] == "client_gone"
    main, sub = one["agents"]
    assert main == {"agentId": None, "parentAgentId": None, "requestIds": [record(n).id for n in (1, 3, 5)]}
    assert sub == {"agentId": "a1", "parentAgentId": "a0", "requestIds": [record(n).id for n in (2, 4)]}
    assert one["requestCount"] == 5
    assert one["complete"] is True
    assert one["usage"]["output_tokens"] == 100
    assert one["cost"]["covered"] == "0.000025"
    assert one["tokens"] == 5 * 4330


async def test_one_that_is_not_there_is_not_found(daemon: InProcess) -> None:
    assert await refused(daemon, "/api/conversations/nowhere", 404) == "no conversation has this id"
    assert "none is known here" in await refused(daemon, f"/api/conversations/{FIRST}?limit=1")

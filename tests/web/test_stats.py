"""`/api/stats`: sums equal what is recorded, in the days and hours of the zone that is meant."""

import itertools
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from claude_proxy.ledger.store import Change
from claude_proxy.wire.usage import Usage
from tests.in_process import InProcess
from tests.ledger.made_records import begun, record
from tests.web.recorded_before import get, recorded_before, refused

pytestmark = pytest.mark.asyncio(loop_scope="module")

DAY = 86400.0
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


def at(moment: float, number: int, **fields: Any) -> Change:
    values = {"accepted": moment, "usage": Usage(1, 2, 4, 8), "list_value": 10**9, "covered": 10**9, **fields}
    return Change(record(number, **values))


RECORDS = [
    at(NEW_YEAR - DAY, 1),
    at(NEW_YEAR - 60, 2, model="MiniMax-M2", organization=None),
    at(NEW_YEAR, 3, total_ms=500),
    at(NEW_YEAR + 3600 * 5, 4, end="failed", model="", asked_model="", agent="a1", total_ms=None),
    at(NEW_YEAR + DAY, 5, session="other", conversation="other"),
    Change(begun(6, accepted=NEW_YEAR)),
    at(time.time(), 7, billed=3 * 10**12, list_value=None, covered=None, unpriced_tokens=15),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemon(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[InProcess]:
    async with recorded_before(tmp_path_factory.mktemp("stats"), RECORDS) as daemon:
        yield daemon


async def test_all_that_has_ended_is_summed(daemon: InProcess) -> None:
    stats = await get(daemon, "/api/stats")
    cost = stats.pop("cost")
    assert stats == {
        "total_requests": 6,
        "total_failures": 1,
        "total_input_tokens": 6,
        "total_output_tokens": 12,
        "total_cache_tokens": 72,
        "requests_by_model": {"claude-opus-4-8": 4, "MiniMax-M2": 1, "none": 1},
        "start_date": "2025-12-31T00:00:00.000Z",
        "end_date": stats["end_date"],
    }
    assert cost == {
        "listValue": "0.005",
        "billed": "3.00",
        "covered": "0.005",
        "unpricedTokens": 15,
        "unpricedRequests": 1,
    }


async def test_sums_are_of_what_is_asked_for(daemon: InProcess) -> None:
    day = await get(daemon, "/api/stats?start=2026-01-01&end=2026-01-01")
    assert day["total_requests"] == 2
    assert (day["start_date"], day["end_date"]) == ("2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z")
    assert (await get(daemon, "/api/stats?model=MiniMax-M2"))["requests_by_model"] == {"MiniMax-M2": 1}
    assert (await get(daemon, "/api/stats?agent=sub"))["total_requests"] == 1
    assert (await get(daemon, "/api/stats?session=other"))["total_requests"] == 1
    nothing = await get(daemon, "/api/stats?model=nobody")
    assert (nothing["total_requests"], nothing["requests_by_model"]) == (0, {})
    assert "no parameter 'outcome'" in await refused(daemon, "/api/stats?outcome=failed")


async def test_today_is_told_to_the_status_line(daemon: InProcess) -> None:
    assert await get(daemon, "/api/stats/today") == {
        "requests": 1,
        "input_tokens": 1,
        "output_tokens": 2,
        "cache_read": 8,
        "cache_write": 4,
        "list_value": "0.00",
        "billed": "3.00",
        "covered": "0.00",
        "unpriced_tokens": 15,
    }
    assert (await get(daemon, "/api/stats/today?timezone=UTC"))["billed"] == "3.00"


async def test_days_are_those_of_the_zone_and_have_no_gaps(daemon: InProcess) -> None:
    asked = "/api/stats/dashboard?start=2025-12-31&end=2026-01-02&timezone="
    daily = (await get(daemon, f"{asked}UTC"))["dailyStats"]
    assert [(day["date"], day["requests"], day["tokens"]) for day in daily] == [
        ("2025-12-31", 2, 30),
        ("2026-01-01", 2, 30),
        ("2026-01-02", 1, 15),
    ]
    assert daily[0]["models"] == {
        "MiniMax-M2": {"tokens": 15, "requests": 1},
        "claude-opus-4-8": {"tokens": 15, "requests": 1},
    }
    assert daily[1]["failures"] == 1
    assert daily[1]["cost"]["listValue"] == "0.002"
    kathmandu = (await get(daemon, f"{asked}Asia/Kathmandu"))["dailyStats"]
    assert [(day["date"], day["requests"]) for day in kathmandu] == [
        ("2025-12-31", 1),
        ("2026-01-01", 3),
        ("2026-01-02", 1),
        ("2026-01-03", 0),
    ]
    assert sum(day["requests"] for day in kathmandu) == 5


async def test_of_the_first_and_the_last_day_only_what_is_meant_counts(daemon: InProcess) -> None:
    times = "start=2026-01-01T04:00:00Z&end=2026-01-01T04:45:00Z&timezone=UTC"
    (day,) = (await get(daemon, f"/api/stats/dashboard?{times}"))["dailyStats"]
    assert (day["date"], day["requests"]) == ("2026-01-01", 0)
    (day,) = (await get(daemon, f"/api/stats/dashboard?{times.replace('T04:45', 'T06:00')}"))["dailyStats"]
    assert day["requests"] == 1


async def test_thirty_days_are_shown_unless_it_is_said_which(daemon: InProcess) -> None:
    daily = (await get(daemon, "/api/stats/dashboard?timezone=UTC"))["dailyStats"]
    today = datetime.now(UTC).date()
    assert [day["date"] for day in daily] == [(today - timedelta(days=29 - number)).isoformat() for number in range(30)]
    assert sum(day["requests"] for day in daily) == 1
    until = (await get(daemon, "/api/stats/dashboard?end=2026-01-01&timezone=UTC"))["dailyStats"]
    assert (until[0]["date"], until[-1]["date"], len(until)) == ("2025-12-03", "2026-01-01", 30)


async def test_hours_are_those_of_the_zone_and_have_no_gaps(daemon: InProcess) -> None:
    asked = "/api/stats/hourly?start=2026-01-01&end=2026-01-01&timezone="
    hourly = await get(daemon, f"{asked}UTC")
    spans = hourly["hourlyStats"]
    assert [span["hour"] for span in spans] == list(range(24))
    assert {span["label"]: span["requests"] for span in spans if span["requests"]} == {
        "2026-01-01 00:00": 1,
        "2026-01-01 05:00": 1,
    }
    assert spans[5]["start"] == "2026-01-01T05:00:00.000Z"
    assert hourly["avgResponseTime"] == 250
    assert (hourly["todayTokens"], hourly["todayRequests"]) == (15, 1)
    kathmandu = (await get(daemon, f"{asked}Asia/Kathmandu"))["hourlyStats"]
    assert (kathmandu[0]["hour"], kathmandu[0]["label"]) == (5, "2026-01-01 05:45")


@pytest.mark.parametrize("bucket", [15, 30, 45, 120, 1440])
async def test_spans_are_as_long_as_is_said(daemon: InProcess, bucket: int) -> None:
    spans = (await get(daemon, f"/api/stats/hourly?start=2026-01-01&end=2026-01-01&bucket={bucket}"))["hourlyStats"]
    assert len(spans) == -(-1440 // bucket)
    assert sum(span["requests"] for span in spans) == 2
    begins = [datetime.fromisoformat(span["start"]) for span in spans]
    assert {second - first for first, second in itertools.pairwise(begins)} <= {timedelta(minutes=bucket)}


async def test_hours_are_those_of_today_unless_it_is_said_which(daemon: InProcess) -> None:
    hourly = await get(daemon, "/api/stats/hourly?timezone=UTC")
    assert hourly["hourlyStats"][0]["start"].endswith("T00:00:00.000Z")
    assert sum(span["requests"] for span in hourly["hourlyStats"]) == hourly["todayRequests"] == 1


async def test_models_and_organizations_are_told_by_what_they_used(daemon: InProcess) -> None:
    models = (await get(daemon, "/api/stats/models"))["modelStats"]
    assert [(model["model"], model["tokens"], model["requests"]) for model in models] == [
        ("claude-opus-4-8", 60, 4),
        ("none", 15, 1),
        ("MiniMax-M2", 15, 1),
    ]
    organizations = (await get(daemon, "/api/stats/organizations"))["organizationStats"]
    assert [(one["organizationId"], one["requests"]) for one in organizations] == [("org-1", 5), (None, 1)]


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("/api/stats?start=x", "start: expected a time"),
        ("/api/stats/today?start=2026-01-01", "there is no parameter 'start'; known here: timezone"),
        ("/api/stats/today?timezone=../../etc/passwd", "timezone: expected"),
        ("/api/stats/today?timezone=%00", "timezone: expected"),
        ("/api/stats/hourly?bucket=20", "bucket: expected a multiple of 15 minutes, found 20"),
        ("/api/stats/hourly?bucket=0", "bucket: expected a whole number from 15 to 1440"),
        ("/api/stats/today?timezone=-x", "timezone: expected"),
        ("/api/stats/models?limit=1", "there is no parameter 'limit'"),
        ("/api/stats/organizations?agent=x", "agent: expected"),
    ],
)
async def test_a_bad_parameter_is_named(daemon: InProcess, target: str, told: str) -> None:
    assert (await refused(daemon, target)).startswith(told)


async def test_a_zone_that_is_not_known_is_not_found(daemon: InProcess) -> None:
    for name in ("Mars/Base", "Europe", "zone.tab", "a" * 64):
        status = 400 if "." in name else 404
        assert (await refused(daemon, f"/api/stats/today?timezone={name}", status)).startswith("timezone: ")


async def test_of_too_many_spans_the_last_are_told(daemon: InProcess) -> None:
    daily = (await get(daemon, "/api/stats/dashboard?start=0001-01-01&end=2026-01-02&timezone=UTC"))["dailyStats"]
    assert (len(daily), daily[-1]["date"]) == (999, "2026-01-02")
    assert sum(day["requests"] for day in daily) == 5
    hourly = (await get(daemon, "/api/stats/hourly?start=2000-01-01&end=2026-01-01"))["hourlyStats"]
    assert (len(hourly), hourly[-1]["start"]) == (999, "2026-01-01T23:00:00.000Z")
    backwards = await get(daemon, "/api/stats/hourly?start=2026-01-01&end=2025-01-01")
    assert sum(span["requests"] for span in backwards["hourlyStats"]) == 0
    assert (await get(daemon, "/api/stats?end=9999-12-31T23:59:59-20:00"))["total_requests"] == 6


async def test_an_empty_ledger_has_sums_of_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with recorded_before(tmp_path_factory.mktemp("empty"), []) as empty:
        stats = await get(empty, "/api/stats")
        assert (stats["total_requests"], stats["start_date"]) == (0, None)
        assert (await get(empty, "/api/stats/today"))["list_value"] == "0.00"
        assert (await get(empty, "/api/stats/models")) == {"modelStats": []}
        assert (await get(empty, "/api/stats/hourly"))["avgResponseTime"] == 0

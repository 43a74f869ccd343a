"""`/api/stats`: sums over what has ended, which outlive the records themselves."""

import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from typing import Any

from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response
from msgspec.structs import replace

from claude_proxy.ledger.cost import dollars
from claude_proxy.ledger.days import added, beginning, day_of, slots
from claude_proxy.ledger.store import By, Filter, LedgerReader, Total
from claude_proxy.web import filters
from claude_proxy.web.errors import Refused
from claude_proxy.web.filters import WHICH
from claude_proxy.web.parameters import Parameters
from claude_proxy.web.reading import LedgerReads
from claude_proxy.web.recorded import moment, tokens_of, total_shown

_WHICH = tuple(name for name in WHICH if name != "outcome")
_MOST_POINTS = 1000
_ZONE = re.compile(r"(?=.{1,64}$)[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,2}")
_DAYS = 30  # that the dashboard shows unless it is told which
NO_MODEL = "none"


class StatsDoor:
    """`clock` gives Unix time. Days are those of this machine's time zone, or of the parameter `timezone`."""

    def __init__(self, reads: LedgerReads, clock: Callable[[], float] = time.time) -> None:
        self._reads = reads
        self._clock = clock

    async def all(self, request: BaseRequest) -> Response:
        """`GET /api/stats`."""
        where = filters.which(Parameters(request, _WHICH))
        return await self._reads.answer(lambda reader: _all(reader, where))

    async def today(self, request: BaseRequest) -> Response:
        """`GET /api/stats/today`."""
        zone = _zone(Parameters(request, ("timezone",)))
        where = Filter(since=self._midnight(zone))
        return await self._reads.answer(lambda reader: _today(reader.totals(where)[0]))

    async def dashboard(self, request: BaseRequest) -> Response:
        """`GET /api/stats/dashboard`: by day, days without requests too."""
        parameters = Parameters(request, (*_WHICH, "timezone"))
        where, zone = filters.which(parameters), _zone(parameters)
        if where.since is None:
            last = day_of(self._clock() if where.until is None else where.until - 1, zone)
            where = replace(where, since=beginning(last - timedelta(days=_DAYS - 1), zone))
        until = self._clock() if where.until is None else where.until
        where = _not_too_many(where, until, 86400)
        return await self._reads.answer(lambda reader: _daily(reader, where, until, zone))

    async def hourly(self, request: BaseRequest) -> Response:
        """`GET /api/stats/hourly`: by hour, or by so many minutes as `bucket` says."""
        parameters = Parameters(request, (*_WHICH, "bucket", "timezone"))
        where, zone = filters.which(parameters), _zone(parameters)
        minutes = parameters.integer("bucket", 60, 15, 1440)
        if minutes % 15:
            raise Refused(400, "bad_parameter", f"bucket: expected a multiple of 15 minutes, found {minutes}")
        today = self._midnight(zone)
        where = where if where.since is not None else replace(where, since=today)
        until = max(self._clock(), today) if where.until is None else where.until
        where = _not_too_many(where, until, minutes * 60)
        return await self._reads.answer(lambda reader: _hourly(reader, where, until, minutes * 60, today, zone))

    async def models(self, request: BaseRequest) -> Response:
        """`GET /api/stats/models`."""
        where = filters.which(Parameters(request, _WHICH))

        def question(reader: LedgerReader) -> dict[str, Any]:
            totals = sorted(reader.totals(where, (By.MODEL,)), key=tokens_of, reverse=True)
            return {"modelStats": [{"model": _model(total.key[0]), **total_shown(total)} for total in totals]}

        return await self._reads.answer(question)

    async def organizations(self, request: BaseRequest) -> Response:
        """`GET /api/stats/organizations`."""
        where = filters.which(Parameters(request, _WHICH))

        def question(reader: LedgerReader) -> dict[str, Any]:
            totals = sorted(reader.totals(where, (By.ORGANIZATION,)), key=tokens_of, reverse=True)
            shown = [{"organizationId": total.key[0] or None, **total_shown(total)} for total in totals]
            return {"organizationStats": shown}

        return await self._reads.answer(question)

    def _midnight(self, zone: tzinfo | None) -> float:
        return beginning(day_of(self._clock(), zone), zone)


def _all(reader: LedgerReader, where: Filter) -> dict[str, Any]:
    by_model = reader.totals(where, (By.MODEL,))
    whole = Total()
    for total in by_model:
        whole = added(whole, total)
    ends = [
        records[0].accepted if (records := reader.records(where, 1, oldest_first=way)) else None
        for way in (True, False)
    ]
    since, until = where.since or ends[0], where.until or ends[1]
    return {
        "total_requests": whole.requests,
        "total_failures": whole.failures,
        "total_input_tokens": whole.input_tokens,
        "total_output_tokens": whole.output_tokens,
        "total_cache_tokens": whole.cache_creation_input_tokens + whole.cache_read_input_tokens,
        "requests_by_model": {_model(total.key[0]): total.requests for total in by_model},
        "start_date": None if since is None else moment(since),
        "end_date": None if until is None else moment(until),
        "cost": total_shown(whole)["cost"],
    }


def _today(total: Total) -> dict[str, Any]:
    return {
        "requests": total.requests,
        "input_tokens": total.input_tokens,
        "output_tokens": total.output_tokens,
        "cache_read": total.cache_read_input_tokens,
        "cache_write": total.cache_creation_input_tokens,
        "list_value": dollars(total.list_value),
        "billed": dollars(total.billed),
        "covered": dollars(total.covered),
        "unpriced_tokens": total.unpriced_tokens,
    }


def _daily(reader: LedgerReader, where: Filter, until: float, zone: tzinfo | None) -> dict[str, Any]:
    since = where.since or 0
    day, last = day_of(since, zone), day_of(max(until - 1, since), zone)
    shown = []
    # One question for each day: the sums are then made by the database, which keeps nobody waiting for it.
    while day <= last:
        begin, end = beginning(day, zone), beginning(day + timedelta(days=1), zone)
        by_model = reader.totals(replace(where, since=max(begin, since), until=min(end, until)), (By.MODEL,))
        whole = Total()
        for total in by_model:
            whole = added(whole, total)
        models = {_model(total.key[0]): _counted(total) for total in by_model}
        shown.append({"date": day.isoformat(), **total_shown(whole), "models": models})
        day += timedelta(days=1)
    return {"dailyStats": shown}


def _hourly(
    reader: LedgerReader, where: Filter, until: float, seconds: int, today: float, zone: tzinfo | None
) -> dict[str, Any]:
    begins = slots(where.since or 0, until, seconds)
    spans = [
        reader.totals(replace(where, since=float(begin), until=min(float(begin + seconds), until)))[0]
        for begin in begins
    ]
    whole = Total()
    for total in spans:
        whole = added(whole, total)
    so_far = reader.totals(replace(where, since=today, until=None))[0]
    return {
        "hourlyStats": [_span(begin, total, zone) for begin, total in zip(begins, spans, strict=True)],
        "todayTokens": tokens_of(so_far),
        "todayRequests": so_far.requests,
        "avgResponseTime": round(whole.total_ms / whole.requests) if whole.requests else 0,
    }


def _span(begin: int, total: Total, zone: tzinfo | None) -> dict[str, Any]:
    local = datetime.fromtimestamp(begin, zone)
    return {"hour": local.hour, "label": f"{local:%Y-%m-%d %H:%M}", "start": moment(begin), **total_shown(total)}


def _counted(total: Total) -> dict[str, int]:
    return {"tokens": tokens_of(total), "requests": total.requests}


def _model(name: str | int | None) -> str:
    return str(name) if name else NO_MODEL


def _not_too_many(where: Filter, until: float, seconds: int) -> Filter:
    """The filter with a begin from which on there are so many spans of time as can be told."""
    return replace(where, since=max(where.since or 0.0, until - (_MOST_POINTS - 1) * seconds))


def _zone(parameters: Parameters) -> tzinfo | None:
    """The zone of that name; None, where there is none, is this machine's own."""
    name = parameters.text("timezone")
    if name is None:
        return None
    if not _ZONE.fullmatch(name):
        raise Refused(400, "bad_parameter", f"timezone: expected a name such as Europe/Berlin, found {name[:60]!r}")
    from zoneinfo import ZoneInfo  # a hundredth of the start, for a question that few ask

    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):  # a directory, or a ZoneInfoNotFoundError
        raise Refused(404, "not_found", f"timezone: {name} is not known on this machine") from None

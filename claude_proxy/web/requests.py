"""`/api/requests`: what was asked and answered, a page at a time, one by one, and forgotten."""

from collections.abc import Callable
from typing import Any

from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response

from claude_proxy.ledger.record import ExchangeRecord
from claude_proxy.ledger.store import Filter, LedgerReader, Place
from claude_proxy.web import filters
from claude_proxy.web.detail import PARTS, detail
from claude_proxy.web.errors import Refused
from claude_proxy.web.filters import PAGE, WHICH, Page
from claude_proxy.web.health import answer_json
from claude_proxy.web.parameters import Parameters
from claude_proxy.web.reading import LedgerReads, json_answer
from claude_proxy.web.recorded import moment, request_shown, summary_shown

Shown = Callable[[ExchangeRecord], dict[str, Any]]


class RequestsDoor:
    """Answers from what is still there as records."""

    def __init__(self, reads: LedgerReads) -> None:
        self._reads = reads

    async def list(self, request: BaseRequest) -> Response:
        """`GET /api/requests`."""
        return await self._page(request, request_shown)

    async def summary(self, request: BaseRequest) -> Response:
        """`GET /api/requests/summary`."""
        return await self._page(request, summary_shown)

    async def latest_date(self, request: BaseRequest) -> Response:
        """`GET /api/requests/latest-date`."""
        Parameters(request)

        def question(reader: LedgerReader) -> dict[str, Any]:
            newest = reader.records(Filter(), 1)
            return {"latestDate": moment(newest[0].accepted) if newest else None}

        return await self._reads.answer(question)

    async def one(self, request: BaseRequest) -> Response:
        """`GET /api/requests/{id}`. Raises Refused (404) where the id, or its beginning, names no single one."""
        path, _, _ = request.raw_path.partition("?")
        of = path.rpartition("/")[2]
        parts = self._parts(request)

        def question(reader: LedgerReader) -> bytes | None:
            record = reader.record(of)
            return None if record is None else detail(reader, record, parts)

        found = await self._reads.ask(question)
        if found is None:
            raise Refused(404, "not_found", "no request has this id, or more than one begin so")
        return json_answer(found)

    async def delete(self, request: BaseRequest) -> Response:
        """`DELETE /api/requests`: all of them. It takes no parameters, so that nobody means some of them."""
        Parameters(request)
        return answer_json(
            {"message": "everything that was recorded is forgotten", "deleted": await self._reads.clear()}
        )

    async def _page(self, request: BaseRequest, shown: Shown) -> Response:
        parameters = Parameters(request, (*WHICH, *PAGE))
        where, wanted = filters.which(parameters), filters.page(parameters)
        return await self._reads.answer(lambda reader: _listed(reader, where, wanted, shown))

    @staticmethod
    def _parts(request: BaseRequest) -> frozenset[str]:
        text = Parameters(request, ("parts",)).text("parts")
        named = frozenset(PARTS if text is None else text.split(","))
        if unknown := named - set(PARTS):
            message = f"parts: expected some of {', '.join(PARTS)}, found {min(unknown)[:60]!r}"
            raise Refused(400, "bad_parameter", message)
        return named


def _listed(reader: LedgerReader, where: Filter, wanted: Page, shown: Shown) -> dict[str, Any]:
    # One more than is shown, to know whether there are more.
    records = reader.records(where, wanted.limit + 1, after=wanted.after, offset=wanted.offset)
    more, records = len(records) > wanted.limit, records[: wanted.limit]
    last = records[-1] if more else None
    return {
        "requests": [shown(record) for record in records],
        "total": reader.count(where),
        "page": wanted.number,
        "limit": wanted.limit,
        "hasMore": more,
        "next": None if last is None else filters.cursor(Place(last.accepted, last.number)),
    }

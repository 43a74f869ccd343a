"""`/api/conversations`: what belongs together, main conversation and subagents told apart."""

from typing import Any

from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response

from claude_proxy.ledger.record import ExchangeRecord
from claude_proxy.ledger.store import Filter, LedgerReader, Place
from claude_proxy.web import filters
from claude_proxy.web.errors import Refused
from claude_proxy.web.filters import PAGE, Page
from claude_proxy.web.parameters import Parameters
from claude_proxy.web.reading import LedgerReads, json_answer
from claude_proxy.web.recorded import conversation_shown, summary_shown, total_shown
from claude_proxy.wire.json_parts import written

_WHICH = ("start", "end", "session", "project")
_MOST_EXCHANGES = 5000
_MOST_COUNTED = 10_000


class ConversationsDoor:
    """Answers from what is still there; the sums of a conversation outlive its exchanges."""

    def __init__(self, reads: LedgerReads) -> None:
        self._reads = reads

    async def list(self, request: BaseRequest) -> Response:
        """`GET /api/conversations`."""
        parameters = Parameters(request, (*_WHICH, *PAGE))
        where, wanted = filters.which(parameters), filters.page(parameters)
        return await self._reads.answer(lambda reader: _listed(reader, where, wanted))

    async def of_project(self, request: BaseRequest) -> Response:
        """`GET /api/conversations/project?project=…`."""
        parameters = Parameters(request, (*_WHICH, *PAGE))
        where, wanted = filters.which(parameters), filters.page(parameters)
        if where.project is None:
            raise Refused(400, "bad_parameter", "project: expected the path of a project, as `projectPath` says it")
        return await self._reads.answer(lambda reader: _listed(reader, where, wanted))

    async def one(self, request: BaseRequest) -> Response:
        """`GET /api/conversations/{id}`. Raises Refused (404) where there is none of this id."""
        path, _, _ = request.raw_path.partition("?")
        of = path.rpartition("/")[2]
        Parameters(request)

        def question(reader: LedgerReader) -> bytes | None:
            found = _one(reader, of)
            return None if found is None else written(found)

        shown = await self._reads.ask(question)
        if shown is None:
            raise Refused(404, "not_found", "no conversation has this id")
        return json_answer(shown)


def _listed(reader: LedgerReader, where: Filter, wanted: Page) -> dict[str, Any]:
    found = reader.conversations(where, wanted.limit + 1, after=wanted.after, offset=wanted.offset)
    more, found = len(found) > wanted.limit, found[: wanted.limit]
    last = found[-1] if more else None
    return {
        "conversations": [conversation_shown(conversation) for conversation in found],
        "total": len(reader.conversations(where, _MOST_COUNTED)),
        "page": wanted.number,
        "limit": wanted.limit,
        "hasMore": more,
        "next": None if last is None else filters.cursor(Place(last.last, last.number)),
    }


def _one(reader: LedgerReader, of: str) -> dict[str, Any] | None:
    found = reader.conversations(Filter(conversation=of), 1)
    if not found:
        return None
    records = reader.records(Filter(conversation=of), _MOST_EXCHANGES, oldest_first=True)
    total = reader.totals(Filter(conversation=of))[0]
    return {
        **conversation_shown(found[0]),
        **{name: value for name, value in total_shown(total).items() if name in {"tokens", "usage", "cost"}},
        "agents": _agents(records),
        "exchanges": [_exchange(record) for record in records],
        "complete": len(records) == found[0].requests,
    }


def _agents(records: list[ExchangeRecord]) -> list[dict[str, Any]]:
    """Who asked, in the order of first appearance; null is the main conversation."""
    agents: dict[str | None, dict[str, Any]] = {}
    for record in records:
        agent = agents.setdefault(
            record.agent, {"agentId": record.agent, "parentAgentId": record.parent_agent, "requestIds": []}
        )
        agent["requestIds"].append(record.id)
    return list(agents.values())


def _exchange(record: ExchangeRecord) -> dict[str, Any]:
    return {
        **summary_shown(record),
        "parentAgentId": record.parent_agent,
        "background": record.background,
        "messageCount": record.message_count,
    }

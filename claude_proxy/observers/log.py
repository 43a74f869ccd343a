"""One line for each exchange, and one for each attempt that failed.

Times are milliseconds: `elapsed_ms` of the attempt alone, `total_ms` since the request arrived.
"""

import logging

from claude_proxy.exchange import Attempt, End, Exchange, Observer
from claude_proxy.failures import Failure
from claude_proxy.ledger.cost import NO_COST, dollars
from claude_proxy.ledger.pricing import Pricing, billing_of
from claude_proxy.logline import say
from claude_proxy.wire.query import shown

_log = logging.getLogger(__name__)


def _milliseconds(start: float, end: float | None) -> int | None:
    return None if end is None else round((end - start) * 1000)


class ExchangeLog(Observer):
    """Writes what happened; bodies and headers are never logged. Money is in US dollars, `list_value` by the price
    list: whether that was billed or is covered by a plan, `billing` says."""

    def __init__(self, pricing: Pricing | None = None) -> None:
        self._pricing = pricing or Pricing()

    def skipped(self, exchange: Exchange, upstream: str, failure: Failure) -> None:
        say(_log, logging.INFO, "target_skipped", id=exchange.id, upstream=upstream, cause=failure.message)

    def attempt_failed(self, exchange: Exchange, attempt: Attempt) -> None:
        request, failure = exchange.request, attempt.failure
        say(
            _log,
            logging.WARNING,
            "attempt_failed",
            id=exchange.id,
            upstream=attempt.upstream,
            model=attempt.model,
            kind=failure.kind.value if failure else None,
            status=attempt.status,
            stream=request.stream,
            body_bytes=len(request.body),
            thinking=request.uses_thinking,
            betas=request.header("anthropic-beta"),
            query=shown(request.query) or None,
            elapsed_ms=_milliseconds(attempt.started, attempt.ended),
            total_ms=_milliseconds(exchange.started, attempt.ended),
            input_tokens=attempt.usage.input_tokens if attempt.usage else None,
            output_tokens=attempt.usage.output_tokens if attempt.usage else None,
            cause=failure.message if failure else None,
        )

    def closed(self, exchange: Exchange) -> None:
        request, usage, failure = exchange.request, exchange.usage, exchange.failure
        cost = self._pricing.of(exchange)
        level = logging.INFO if exchange.end in {End.COMPLETE, End.CLIENT_GONE} else logging.WARNING
        say(
            _log,
            level,
            "exchange",
            id=exchange.id,
            method=request.method,
            path=request.path,
            model=request.model or None,
            agent="sub" if request.agent_id else None,
            route=exchange.route or None,
            upstream=exchange.upstream or None,
            credential=exchange.attempts[-1].credential or None if exchange.attempts else None,
            status=exchange.status,
            end=exchange.end,
            attempts=len(exchange.attempts),
            first_byte_ms=_milliseconds(exchange.started, exchange.first_byte),
            total_ms=_milliseconds(exchange.started, exchange.ended),
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read=usage.cache_read_input_tokens,
            cache_write=usage.cache_creation_input_tokens,
            list_value=None if cost.list_value is None else dollars(cost.list_value, 6),
            unpriced_tokens=cost.unpriced_tokens or None,
            billing=billing_of(exchange, exchange.attempts[-1]) if cost != NO_COST else None,
            cause=failure.message if failure else None,
        )

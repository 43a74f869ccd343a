"""What is recorded as our own API tells it: the names are those that dashboards of this family know."""

from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from claude_proxy.ledger.cost import dollars
from claude_proxy.ledger.record import AttemptRecord, ExchangeRecord
from claude_proxy.ledger.store import Conversation, Total
from claude_proxy.wire.usage import COUNTS, Usage

_LIMITS = ("requests", "tokens", "input-tokens", "output-tokens")


def moment(seconds: float) -> str:
    """Unix time as ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def request_shown(record: ExchangeRecord) -> dict[str, Any]:
    """A record without headers and bodies; `response` is null as long as it has not ended."""
    return {
        **_named(record),
        "query": record.query or None,
        "userAgent": record.user_agent,
        "contentType": record.content_type,
        "conversationHash": record.conversation,
        "messageCount": record.message_count,
        "organizationId": record.organization,
        "parentAgentId": record.parent_agent,
        "background": record.background,
        "projectPath": record.project,
        "route": record.route or None,
        "credential": record.credential or None,
        "failure": record.failure,
        "cause": record.cause,
        "attemptCount": len(record.attempts),
        "requestBytes": record.request_bytes,
        "responseBytes": record.answer_bytes,
        "bodies": str(record.kept),
        "redacted": record.altered,
        "upstreamRequestId": record.upstream_request_id,
        "usage": usage_shown(record.usage),
        "cost": cost_shown(record),
        "stopReason": record.stop_reason,
        "response": None if record.end is None else _response(record),
    }


def summary_shown(record: ExchangeRecord) -> dict[str, Any]:
    """What a row of a list needs."""
    return {
        **_named(record),
        "statusCode": record.status,
        "responseTime": record.total_ms,
        "usage": usage_shown(record.usage),
        "cost": cost_shown(record),
        "stopReason": record.stop_reason,
        "attemptCount": len(record.attempts),
    }


def attempt_shown(attempt: AttemptRecord) -> dict[str, Any]:
    """Times in milliseconds since the request came."""
    return {
        "upstream": attempt.upstream,
        "model": attempt.model or None,
        "credential": attempt.credential or None,
        "started": attempt.started_ms,
        "ended": attempt.ended_ms,
        "statusCode": attempt.status,
        "failure": attempt.failure,
        "cause": attempt.cause,
        "usage": None if attempt.usage is None else usage_shown(attempt.usage),
    }


def usage_shown(usage: Usage) -> dict[str, Any]:
    """By the names of Anthropic's API, the nested ones flat; null is what was not said."""
    counts: dict[str, Any] = {name: getattr(usage, name) for name in COUNTS}
    return counts | {"service_tier": usage.service_tier, "speed": usage.speed, "inference_geo": usage.inference_geo}


def cost_shown(record: ExchangeRecord) -> dict[str, Any]:
    """Four numbers that are never added to each other; money in US dollars, null where there is no price."""
    return {
        "listValue": _money(record.list_value),
        "billed": _money(record.billed),
        "covered": _money(record.covered),
        "unpricedTokens": record.unpriced_tokens,
        "priceSource": record.price_source,
        "priceDated": record.price_dated,
    }


def total_shown(total: Total) -> dict[str, Any]:
    """Sums over exchanges that have ended; `tokens` counts every token once, cached ones too."""
    return {
        "requests": total.requests,
        "failures": total.failures,
        "tokens": tokens_of(total),
        "usage": {name: getattr(total, name) for name in COUNTS},
        "cost": {
            "listValue": dollars(total.list_value),
            "billed": dollars(total.billed),
            "covered": dollars(total.covered),
            "unpricedTokens": total.unpriced_tokens,
            "unpricedRequests": total.unpriced_requests,
        },
    }


def tokens_of(total: Total) -> int:
    """Every token once: read, written to the cache, read from it, and said."""
    cached = total.cache_creation_input_tokens + total.cache_read_input_tokens
    return total.input_tokens + cached + total.output_tokens


def conversation_shown(conversation: Conversation) -> dict[str, Any]:
    """`duration` is in milliseconds, from the first request to the last."""
    return {
        "id": conversation.id,
        "sessionId": conversation.session,
        "requestCount": conversation.requests,
        "startTime": moment(conversation.began),
        "lastActivity": moment(conversation.last),
        "duration": round((conversation.last - conversation.began) * 1000),
        "firstMessage": conversation.first_message,
        "projectPath": conversation.project,
        "projectName": PurePosixPath(conversation.project).name if conversation.project else None,
        "model": conversation.model or None,
    }


def _named(record: ExchangeRecord) -> dict[str, Any]:
    return {
        "requestId": record.id,
        "timestamp": moment(record.accepted),
        "method": record.method,
        "endpoint": record.endpoint,
        "model": record.model or record.asked_model or None,
        "originalModel": record.asked_model or None,
        "routedModel": record.model or None,
        "sessionId": record.session,
        "agentId": record.agent,
        "upstream": record.upstream or None,
        "outcome": record.end,
        "firstByteTime": record.first_byte_ms,
    }


def _response(record: ExchangeRecord) -> dict[str, Any]:
    took = record.total_ms
    return {
        "statusCode": record.status,
        "responseTime": took,
        "isStreaming": record.stream,
        "completedAt": None if took is None else moment(record.accepted + took / 1000),
        "streamError": record.cause or record.failure if record.end == "broken" else None,
        "rateLimit": _rate_limit(record.rate_limit) if record.rate_limit else None,
    }


def _rate_limit(said: Any) -> dict[str, Any]:
    """The limits that the answer's headers told; a field is null where they did not."""
    shown: dict[str, Any] = {}
    for name in _LIMITS:
        camel = "".join(part.capitalize() if at else part for at, part in enumerate(name.split("-")))
        shown[f"{camel}Limit"] = _number(said.get(f"{name}-limit"))
        shown[f"{camel}Remaining"] = _number(said.get(f"{name}-remaining"))
        shown[f"{camel}Reset"] = said.get(f"{name}-reset")
    shown["unifiedStatus"] = said.get("unified-status")
    shown["unifiedReset"] = _reset(said.get("unified-reset"))
    for window in ("5h", "7d"):
        shown[f"unifiedStatus{window}"] = said.get(f"unified-{window}-status")
        shown[f"unifiedUtilization{window}"] = _number(said.get(f"unified-{window}-utilization"))
        shown[f"unifiedReset{window}"] = _reset(said.get(f"unified-{window}-reset"))
    return shown


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if abs(number) < 1e15 else None  # neither infinite nor no number


def _reset(text: str | None) -> str | None:
    """Unix time as headers tell it, as ISO 8601."""
    number = _number(text)
    return None if number is None or not 0 <= number < 1e11 else moment(number)


def _money(amount: int | None) -> str | None:
    return None if amount is None else dollars(amount)

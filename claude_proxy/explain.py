"""Where a request would go, or went, and why, without sending anything anywhere but to the daemon's own /health."""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from claude_proxy.assembly import build_routes
from claude_proxy.config.settings import Settings
from claude_proxy.credentials.credential import SupplyState
from claude_proxy.health_report import HealthReport, NotAnswering, ask_health
from claude_proxy.ledger.record import AttemptRecord, ExchangeRecord
from claude_proxy.ledger.sqlite_reader import SqliteReader
from claude_proxy.upstreams.route import Target
from claude_proxy.wire.messages import AGENT_ID, MESSAGES, ClientRequest


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a model's name or a whole body, of the main conversation or a subagent."""

    model: str | None
    subagent: bool
    body: bytes | None


def explain_lines(settings: Settings, environment: Mapping[str, str], question: Question) -> Iterator[str]:
    """The answer, line by line. Raises ValueError where the body is no Messages request."""
    headers = ((AGENT_ID, "explain"),) if question.subagent else ()
    body = question.body or json.dumps({"model": question.model, "stream": True, "messages": []}).encode()
    request = ClientRequest.read("POST", MESSAGES, headers, body)
    decision = build_routes(settings, environment, _discard).decide(request)
    running = _running(settings)
    yield f"model      {request.model}"
    yield f"route      {decision.route}  ({decision.reason})"
    for number, target in enumerate(decision.targets, 1):
        yield from _target(number, target, request.model, running)
    if running is None:
        yield f"daemon     does not answer on {settings.listen.host}:{settings.listen.port}; breakers are not known"


def recorded(settings: Settings, of: str) -> tuple[list[str], Question]:
    """What became of a request that was recorded, line by line, and the question where it would go now.

    `of` is its id, or the beginning of it. Raises ValueError where there is no single one, LedgerError where the
    ledger cannot be read.
    """
    with closing(SqliteReader(settings.ledger.path)) as reader:
        record = reader.record(of)
        if record is None:
            raise ValueError(
                f"no request with this id is recorded in {settings.ledger.path}, or more than one begin so"
            )
        bodies = reader.bodies(record.id)
    if record.endpoint != MESSAGES:
        raise ValueError(f"that was no request for a message, but {record.method} {record.endpoint}")
    body = bodies.request if bodies is not None else None
    # An upstream's words are among it, and they are meant for no terminal.
    lines = ["".join(char if char.isprintable() else "?" for char in line) for line in _became(record)]
    return lines, Question(record.asked_model, record.agent is not None, body)


def _became(record: ExchangeRecord) -> Iterator[str]:
    came = datetime.fromtimestamp(record.accepted).astimezone()
    yield f"recorded   {record.id}  {came:%Y-%m-%d %H:%M:%S}"
    yield f"took route {record.route or '(none)'}"
    for number, attempt in enumerate(record.attempts, 1):
        yield f"{number}. attempt {_tried(attempt)}"
    cause = f": {record.cause}" if record.cause else ""
    end = record.end or "has not ended, or its end was lost"
    yield f"ended      {end}{f', {record.status}' if record.status else ''}{cause}"
    yield ""
    yield "and now it would go so:"


def _tried(attempt: AttemptRecord) -> str:
    took = f" after {attempt.ended_ms - attempt.started_ms} ms" if attempt.ended_ms is not None else ""
    verdict = f"{attempt.failure}: {attempt.cause}" if attempt.failure else "answered"
    credential = f", credential from {attempt.credential}" if attempt.credential else ""
    return f"{attempt.upstream} as {attempt.model}{credential}: {attempt.status or '-'} {verdict}{took}"


def _target(number: int, target: Target, model: str, running: HealthReport | None) -> Iterator[str]:
    upstream = target.upstream
    name = f" as {target.model}" if target.model else ""
    yield f"{number}. target  {upstream.name}{name}  {upstream.base_url}"
    if upstream.transport.egress is not None:
        yield f"   {upstream.transport.egress}"
    known = running.upstreams.get(upstream.name) if running else None
    if known is not None:
        concerning = [part for part in known.breaker.parts if part.model in {None, target.model or model}]
        for part in concerning:
            of = "the API" if part.of == "api" else f"a {part.of}"
            wait = f", next try in {part.retry_in_seconds:.0f} s" if part.retry_in_seconds else ""
            yield f"   breaker {part.state} for {of}: {part.reason}{wait}"
        if not concerning:
            yield "   breaker closed"
    told = running.credentials.get(upstream.credential) if running else None
    state = SupplyState(told.state, told.source, told.detail or "") if told else upstream.supply.state()
    source = f" from {state.source}" if state.source else ""
    detail = f" ({state.detail})" if state.detail else ""
    yield f"   credential {upstream.credential}: {state.state}{source}{detail}"


def _running(settings: Settings) -> HealthReport | None:
    try:
        return ask_health(settings.listen.host, settings.listen.port)
    except NotAnswering:
        return None


def _discard(_: str) -> None:
    """Explaining reads no credential, so there is nothing to keep out of a log."""

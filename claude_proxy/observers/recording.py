"""An exchange as the ledger remembers it: without its credentials, in the words of a record."""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from claude_proxy.credentials.brought import brought_secrets, is_harmless
from claude_proxy.exchange import Attempt, Exchange
from claude_proxy.ledger.cost import Cost
from claude_proxy.ledger.facts import Facts, few_facts, read_facts
from claude_proxy.ledger.record import AttemptRecord, Bodies, ExchangeRecord, Kept
from claude_proxy.ledger.store import Change
from claude_proxy.logline import REDACTED, SHORTEST_SECRET
from claude_proxy.wire.headers import Headers, canonical, first
from claude_proxy.wire.query import shown

_RATE_LIMIT = "anthropic-ratelimit-"
_NEVER_KEPT = frozenset({"cookie", "set-cookie", "set-cookie2"})
_LONGEST = 300  # characters of what a peer may make as long as it likes
_STOP_REASON = b'"stop_reason":'
_TAIL = 8 << 10  # bytes at the end of an answer in which its stop reason stands


class Begun(msgspec.Struct, frozen=True):
    """What is known of an exchange from its beginning on: read once, and needed again for its end."""

    facts: Facts
    secrets: frozenset[str]
    with_bodies: bool

    def __repr__(self) -> str:
        return f"Begun({self.facts})"


class Recording:
    """Makes changes of exchanges, in the writer's thread.

    `known_secrets` gives those that are known to the daemon at the moment; `cost` prices what an answer used.
    """

    def __init__(self, known_secrets: Callable[[], Iterable[str]], cost: Callable[[Exchange], Cost]) -> None:
        self._known_secrets = known_secrets
        self._cost = cost

    def begun(self, exchange: Exchange, *, bodies: bool, max_request: int) -> Begun:
        """What its beginning tells. Whether bodies are kept is decided here, for its end too."""
        request = exchange.request
        small = len(request.text) <= max_request
        secrets = frozenset({*self._known(), *brought_secrets(request)})
        return Begun(read_facts(request) if small else few_facts(request), secrets, bodies and small)

    def beginning(self, exchange: Exchange, begun: Begun) -> Change:
        """Of what does not change any more: the exchange is under way, in another thread."""
        values = self._of_request(exchange, begun)
        if not begun.with_bodies:
            return Change(ExchangeRecord(**values), None, begun.secrets)
        request = exchange.request
        bodies = Bodies(_kept_headers(request.headers), request.text, members=request.members)
        return Change(ExchangeRecord(**values, kept=Kept.WHOLE), bodies, begun.secrets)

    def whole(self, exchange: Exchange, begun: Begun, *, was_written: bool) -> Change:
        """Of an exchange that is closed; `was_written` says that its beginning is in the ledger."""
        # Keys of our own may have been read since it began.
        secrets = begun.secrets | frozenset(self._known())
        clean = _Cleaning(secrets)
        answer_headers, answer, cut = _answer(exchange)
        values = self._of_request(exchange, begun)
        values.update(self._of_end(exchange, answer_headers, clean))
        if not begun.with_bodies:
            return Change(ExchangeRecord(**values), None, secrets)
        values["stop_reason"] = _stop_reason(answer)
        values["kept"] = Kept.CUT if cut else Kept.WHOLE
        request = exchange.request
        bodies = Bodies(
            None if was_written else _kept_headers(request.headers),
            None if was_written else request.text,
            _kept_headers(answer_headers, of_answer=True),
            answer,
            request.members,
        )
        return Change(ExchangeRecord(**values), bodies, secrets)

    def _known(self) -> list[str]:
        """Those that can be told from a word: a shorter one would be found all over a conversation."""
        return [secret for secret in self._known_secrets() if len(secret) >= SHORTEST_SECRET]

    def _of_request(self, exchange: Exchange, begun: Begun) -> dict[str, Any]:
        request, facts, clean = exchange.request, begun.facts, _Cleaning(begun.secrets)
        return {
            "id": exchange.id,
            "accepted": exchange.accepted,
            "method": request.method[:_LONGEST],
            "endpoint": clean(request.path)[:_LONGEST],
            "query": clean(shown(request.query))[:_LONGEST],
            "asked_model": clean(request.model),
            "model": clean(request.model),
            "stream": request.stream,
            "background": facts.background.value if facts.background else None,
            "session": clean.maybe(facts.session),
            "conversation": clean.maybe(facts.conversation),
            "agent": clean.maybe(request.agent_id),
            "parent_agent": clean.maybe(request.header("x-claude-code-parent-agent-id")),
            "message_count": facts.message_count,
            "first_message": clean.maybe(facts.first_message) if begun.with_bodies else None,
            "project": clean.maybe(facts.project),
            "user_agent": clean.maybe(request.header("user-agent")),
            "content_type": clean.maybe(request.header("content-type")),
            "route": exchange.route,
            "request_bytes": len(request.text),
        }

    def _of_end(self, exchange: Exchange, headers: Headers, clean: "_Cleaning") -> dict[str, Any]:
        last = exchange.attempts[-1] if exchange.attempts else None
        cost = self._cost(exchange)
        failure = exchange.failure or (last.failure if last else None)
        return {
            "model": clean(last.model if last else exchange.request.model),
            "organization": clean.maybe(first(headers, "anthropic-organization-id")),
            "upstream_request_id": clean.maybe(first(headers, "request-id")),
            "upstream": exchange.upstream or (last.upstream if last else ""),
            "credential": last.credential if last else "",
            "status": exchange.status,
            "end": exchange.end.value if exchange.end else "failed",
            "failure": failure.kind.value if failure else None,
            "cause": clean.maybe(failure.message if failure else None),
            "first_byte_ms": _milliseconds(exchange, exchange.first_byte),
            "total_ms": _milliseconds(exchange, exchange.ended),
            "attempts": tuple(_attempt(exchange, attempt, clean) for attempt in exchange.attempts),
            "usage": exchange.usage,
            "list_value": cost.list_value,
            "billed": cost.billed,
            "covered": cost.covered,
            "unpriced_tokens": cost.unpriced_tokens,
            "price_source": cost.source,
            "price_dated": cost.dated,
            "rate_limit": _rate_limit(headers, clean),
            "answer_bytes": exchange.transcript.size if exchange.transcript is not None else None,
        }


class _Cleaning:
    """Takes known secrets out of a text."""

    def __init__(self, secrets: frozenset[str]) -> None:
        self._secrets = sorted(secrets, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, REDACTED)
        return text

    def maybe(self, text: str | None) -> str | None:
        return None if text is None else self(text)[: _LONGEST * 4]


def _attempt(exchange: Exchange, attempt: Attempt, clean: _Cleaning) -> AttemptRecord:
    started = _milliseconds(exchange, attempt.started)
    return AttemptRecord(
        upstream=attempt.upstream,
        model=clean(attempt.model),
        credential=attempt.credential,
        started_ms=started or 0,
        ended_ms=_milliseconds(exchange, attempt.ended),
        status=attempt.status,
        failure=attempt.failure.kind.value if attempt.failure else None,
        cause=clean.maybe(attempt.failure.message) if attempt.failure else None,
        usage=attempt.usage if attempt.failure else None,
    )


def _milliseconds(exchange: Exchange, at: float | None) -> int | None:
    return None if at is None else round((at - exchange.started) * 1000)


def _answer(exchange: Exchange) -> tuple[Headers, bytes | None, bool]:
    """Headers and body as the client got them, and whether there was more of it than is kept."""
    said = exchange.failure.said if exchange.failure is not None else None
    if exchange.transcript is not None:
        return exchange.answer_headers, b"".join(exchange.transcript.blocks), exchange.transcript.cut
    if said is not None:
        return said.headers, said.body, False
    return exchange.answer_headers, None, False


def _kept_headers(headers: Headers, *, of_answer: bool = False) -> Headers:
    """Names as they came. Of a request only what Claude Code sends by itself keeps its value: any other header may be
    a key; of an answer every header does that the client got."""
    kept = _kept_of_answers if of_answer else _kept_of_requests
    # aiohttp's names are of a kind of text of its own.
    return tuple([(str(key), value if kept(key) else REDACTED) for key, value in headers if key])


@lru_cache(maxsize=512)
def _kept_of_requests(key: str) -> bool:
    name = canonical(key)
    return is_harmless(name) and name not in _NEVER_KEPT


@lru_cache(maxsize=512)
def _kept_of_answers(key: str) -> bool:
    return canonical(key) not in _NEVER_KEPT


def _rate_limit(headers: Headers, clean: _Cleaning) -> Mapping[str, str]:
    found = {
        name.removeprefix(_RATE_LIMIT): clean(value)[:_LONGEST]
        for key, value in headers
        if (name := key.lower()).startswith(_RATE_LIMIT)
    }
    return {clean(name)[:_LONGEST]: value for name, value in list(found.items())[:100]}


def _stop_reason(answer: bytes | None) -> str | None:
    """The last that an answer states, of a stream or of a whole message."""
    if answer is None:
        return None
    at = answer.rfind(_STOP_REASON, max(0, len(answer) - _TAIL))
    if at < 0:
        return None
    word = answer[at + len(_STOP_REASON) : at + 100].lstrip()
    if not word.startswith(b'"'):
        return None
    return word[1:].partition(b'"')[0].decode("ascii", "replace")[:60]

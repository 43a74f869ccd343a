"""An exchange as the ledger remembers it: without its credentials, in the words of a record."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter

import msgspec
from msgspec.structs import replace

from claude_proxy.credentials.brought import brought_secrets, telling
from claude_proxy.exchange import Attempt, Exchange
from claude_proxy.ledger.cost import Cost
from claude_proxy.ledger.facts import few_facts, read_facts
from claude_proxy.ledger.record import AttemptRecord, Bodies, ExchangeRecord, Kept
from claude_proxy.ledger.store import Change
from claude_proxy.logline import REDACTED, SHORTEST_SECRET
from claude_proxy.wire.headers import Headers, canonical
from claude_proxy.wire.query import shown

_RATE_LIMIT = "anthropic-ratelimit-"
_NEVER_KEPT = frozenset({"cookie", "set-cookie", "set-cookie2"})
_LONGEST = 300  # characters of what a peer may make as long as it likes
_LONGEST_WORD = 1200  # characters of what is told of more than one line
_MOST_LIMITS = 100
_NAME, _VALUE = itemgetter(0), itemgetter(1)  # of a header
_STOP_REASON = b'"stop_reason":'
_TAIL = 8 << 10  # bytes at the end of an answer in which its stop reason stands


class Begun(msgspec.Struct, frozen=True):
    """What is known of an exchange from its beginning on: read once, and needed again for its end."""

    record: ExchangeRecord
    secrets: frozenset[str]
    with_bodies: bool

    def __repr__(self) -> str:
        return f"Begun({self.record})"


class Recording:
    """Makes changes of exchanges, in the writer's thread.

    `known_secrets` gives those that are known to the daemon at the moment. `cost` prices what an answer used; it is
    asked on the event loop, where the log line and the metrics of that exchange have just asked for the same.
    """

    def __init__(self, known_secrets: Callable[[], Iterable[str]], cost: Callable[[Exchange], Cost]) -> None:
        self._known_secrets = known_secrets
        self.cost = cost

    def begun(self, exchange: Exchange, *, bodies: bool, max_request: int) -> Begun:
        """What its beginning tells: what does not change any more, the exchange is under way in another thread.
        Whether bodies are kept is decided here, for its end too."""
        request = exchange.request
        small = len(request.text) <= max_request
        facts = read_facts(request) if small else few_facts(request)
        kept = bodies and small
        secrets = self._known() | brought_secrets(request)
        path, query, model, session, conversation, agent, parent, words, project, user_agent, kind = _cleaned(
            (
                request.path,
                shown(request.query),
                request.model,
                facts.session,
                facts.conversation,
                request.agent_id,
                request.header("x-claude-code-parent-agent-id"),
                facts.first_message if kept else None,
                facts.project,
                request.header("user-agent"),
                request.header("content-type"),
            ),
            secrets,
        )
        record = ExchangeRecord(
            id=exchange.id,
            accepted=exchange.accepted,
            method=request.method[:_LONGEST],
            endpoint=(path or "")[:_LONGEST],
            query=(query or "")[:_LONGEST],
            asked_model=model or "",
            model=model or "",
            stream=request.stream,
            background=str(facts.background) if facts.background else None,
            session=session,
            conversation=conversation,
            agent=agent,
            parent_agent=parent,
            message_count=facts.message_count,
            first_message=words,
            project=project,
            user_agent=user_agent,
            content_type=kind,
            route=exchange.route,
            request_bytes=len(request.text),
            kept=Kept.WHOLE if kept else Kept.NONE,
        )
        return Begun(record, secrets, kept)

    def beginning(self, exchange: Exchange, begun: Begun) -> Change:
        if not begun.with_bodies:
            return Change(begun.record, None, begun.secrets)
        request = exchange.request
        bodies = Bodies(_kept_headers(request.headers), request.text, members=request.members)
        return Change(begun.record, bodies, begun.secrets)

    def whole(self, exchange: Exchange, begun: Begun, cost: Cost, *, was_written: bool) -> Change:
        """Of an exchange that is closed; `was_written` says that its beginning is in the ledger."""
        # Keys of our own may have been read since it began.
        secrets = begun.secrets | self._known()
        headers, answer, cut = _answer(exchange)
        if not begun.with_bodies:
            return Change(_ended(exchange, begun.record, cost, headers, None, secrets), None, secrets)
        record = _ended(exchange, begun.record, cost, headers, answer, secrets)
        if cut:
            record = replace(record, kept=Kept.CUT)
        request = exchange.request
        bodies = Bodies(
            None if was_written else _kept_headers(request.headers),
            None if was_written else request.text,
            _kept_headers(headers, of_answer=True),
            answer,
            request.members,
        )
        return Change(record, bodies, secrets)

    def _known(self) -> frozenset[str]:
        """Those that can be told from a word: a shorter one would be found all over a conversation."""
        return frozenset([secret for secret in self._known_secrets() if len(secret) >= SHORTEST_SECRET])


def _ended(
    exchange: Exchange,
    record: ExchangeRecord,
    cost: Cost,
    headers: Headers,
    answer: bytes | None,
    secrets: frozenset[str],
) -> ExchangeRecord:
    """The record of an exchange that has ended, of that of its beginning. `answer` is None where it is not kept."""
    last = exchange.attempts[-1] if exchange.attempts else None
    failure = exchange.failure or (last.failure if last else None)
    named = {key.lower(): value for key, value in reversed(headers)}  # the first of a name counts
    model, organization, request_id, cause = _cleaned(
        (
            last.model if last else exchange.request.model,
            named.get("anthropic-organization-id"),
            named.get("request-id"),
            failure.message if failure else None,
        ),
        secrets,
    )
    return replace(
        record,
        model=model or "",
        organization=organization,
        upstream_request_id=request_id,
        upstream=exchange.upstream or (last.upstream if last else ""),
        credential=last.credential if last else "",
        status=exchange.status,
        end=str(exchange.end) if exchange.end else "failed",
        failure=failure.kind.value if failure else None,
        cause=cause,
        first_byte_ms=_milliseconds(exchange, exchange.first_byte),
        total_ms=_milliseconds(exchange, exchange.ended),
        attempts=tuple([_attempt(exchange, attempt, secrets) for attempt in exchange.attempts]),
        usage=exchange.usage,
        stop_reason=_stop_reason(answer),
        list_value=cost.list_value,
        billed=cost.billed,
        covered=cost.covered,
        unpriced_tokens=cost.unpriced_tokens,
        price_source=cost.source,
        price_dated=cost.dated,
        rate_limit=_rate_limit(named, secrets),
        answer_bytes=exchange.transcript.size if exchange.transcript is not None else None,
    )


def _cleaned(texts: Sequence[str | None], secrets: frozenset[str]) -> Sequence[str | None]:
    """The texts without known secrets, each within the length that is kept. One look at all of them together tells
    that they are so already, as nearly always: what finds nothing in them all finds nothing in one."""
    together = "\n".join(filter(None, texts))
    if len(together) <= _LONGEST_WORD and not any(map(together.__contains__, secrets)):
        return texts
    return [text and _without(text, secrets)[:_LONGEST_WORD] for text in texts]


def _without(text: str, secrets: frozenset[str]) -> str:
    # The longest first: one may be a part of another.
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    return text


def _attempt(exchange: Exchange, attempt: Attempt, secrets: frozenset[str]) -> AttemptRecord:
    model, cause = _cleaned((attempt.model, attempt.failure.message if attempt.failure else None), secrets)
    return AttemptRecord(
        upstream=attempt.upstream,
        model=model or "",
        credential=attempt.credential,
        started_ms=_milliseconds(exchange, attempt.started) or 0,
        ended_ms=_milliseconds(exchange, attempt.ended),
        status=attempt.status,
        failure=attempt.failure.kind.value if attempt.failure else None,
        cause=cause,
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
    names, hidden = _names(tuple(map(_NAME, headers)), of_answer)
    values = [*map(_VALUE, headers)]
    for place in hidden:
        values[place] = REDACTED
    return tuple(zip(names, values, strict=True))


@lru_cache(maxsize=256)
def _names(names: tuple[str, ...], of_answer: bool) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The names as plain text, for aiohttp's are of a kind of text of its own, and where those stand whose values are
    not kept. Requests and answers have the same names each time, in the same order."""
    never = {place for place, name in enumerate(names) if canonical(name) in _NEVER_KEPT}
    hidden = never if of_answer else never.union(telling(names))
    return tuple(map(str, names)), tuple(hidden)


def _rate_limit(named: Mapping[str, str], secrets: frozenset[str]) -> Mapping[str, str]:
    """Of an answer's headers, by their names in small letters."""
    limits = [(name[len(_RATE_LIMIT) :], value) for name, value in named.items() if name.startswith(_RATE_LIMIT)]
    limits = limits[: -_MOST_LIMITS - 1 : -1]
    names, values = _cleaned([*map(_NAME, limits)], secrets), _cleaned([*map(_VALUE, limits)], secrets)
    return {(name or "")[:_LONGEST]: (value or "")[:_LONGEST] for name, value in zip(names, values, strict=True)}


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

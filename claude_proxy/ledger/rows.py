"""Records as rows: what has a column of its own, and what lies packed beside it."""

import json
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from claude_proxy.ledger.packing import pack, unpack
from claude_proxy.ledger.record import AttemptRecord, ExchangeRecord, Kept
from claude_proxy.ledger.store import BUCKET, By, Total
from claude_proxy.wire.usage import COUNTS, Iteration, Usage

_PLAIN_COLUMNS = (
    "id",
    "accepted",
    "endpoint",
    "asked_model",
    "model",
    "upstream",
    "session",
    "conversation",
    "agent",
    "project",
    "organization",
    "status",
    "end",
    "total_ms",
    "list_value",
    "billed",
    "covered",
    "unpriced_tokens",
    "kept",
    "altered",
)
COLUMNS = (*_PLAIN_COLUMNS, *COUNTS, "more")
"""Of the table `exchange`, in the order of `row`; `number` and `epoch` are the ledger's own."""

SUMS = tuple(name for name in Total.__struct_fields__ if name != "key")
KEY = tuple(str(by) for by in By)

_BESIDE = {*_PLAIN_COLUMNS, "number", "usage", "first_message"}
_MORE_FIELDS = tuple(name for name in ExchangeRecord.__struct_fields__ if name not in _BESIDE)
_MORE_OF_USAGE = ("service_tier", "speed", "inference_geo", "iterations")
_OF_ATTEMPT = AttemptRecord.__struct_fields__
_DEFAULTS = ExchangeRecord("", 0.0, "", "")

_plain = attrgetter(*_PLAIN_COLUMNS)
_counts = attrgetter(*COUNTS)
_more_fields = attrgetter(*_MORE_FIELDS)
_more_of_usage = attrgetter(*_MORE_OF_USAGE)
_MoreOfUsage = msgspec.defstruct("_MoreOfUsage", [(name, Any, None) for name in _MORE_OF_USAGE], omit_defaults=True)
_More = msgspec.defstruct(
    "_More",
    # The method is always said: the one field that a record cannot be without.
    [("method", Any), *((name, Any, getattr(_DEFAULTS, name)) for name in _MORE_FIELDS[1:]), ("usage", Any, None)],
    omit_defaults=True,
)
assert _MORE_FIELDS[0] == "method"


def row(record: ExchangeRecord) -> tuple[Any, ...]:
    """The values of COLUMNS."""
    more = _More(*_more_fields(record), usage=_MoreOfUsage(*_more_of_usage(record.usage)))
    return (*_plain(record), *_counts(record.usage), pack(encoded(more)))


def key(record: ExchangeRecord) -> tuple[Any, ...]:
    """The values of KEY."""
    return (
        int(record.accepted // BUCKET) * BUCKET,
        record.asked_model,
        record.model,
        record.upstream,
        record.session or "",
        record.conversation or "",
        record.project or "",
        record.organization or "",
        int(record.agent is not None),
        record.endpoint,
    )


def sums(record: ExchangeRecord) -> tuple[int, ...]:
    """The values of SUMS, of one record that has ended."""
    return (
        1,
        int(record.end != "complete"),
        record.total_ms or 0,
        *[count or 0 for count in _counts(record.usage)],
        record.list_value or 0,
        record.billed or 0,
        record.covered or 0,
        record.unpriced_tokens,
        int(record.unpriced_tokens > 0),
    )


def encoded(what: object) -> bytes:
    """As JSON; half a surrogate pair, as a header may hold it for a byte that is no UTF-8, is kept. The slower way
    writes kinds of text too that the other does not know."""
    try:
        return msgspec.json.encode(what)
    except (UnicodeEncodeError, TypeError):
        return json.dumps(what, separators=(",", ":"), default=msgspec.to_builtins).encode()


def record(number: int, values: Sequence[Any]) -> ExchangeRecord:
    """The record of such a row. Raises ValueError where it is damaged."""
    named = dict(zip(COLUMNS, values, strict=True))
    more = json.loads(unpack(named.pop("more")).decode("utf-8", "surrogatepass"))
    usage = {name: named.pop(name) for name in COUNTS}
    try:
        named["kept"], named["altered"] = Kept(named["kept"]), bool(named["altered"])
        return ExchangeRecord(
            number=number,
            usage=usage_of({**usage, **more.pop("usage", {})}),
            attempts=tuple(_attempt(attempt) for attempt in more.pop("attempts", ())),
            **named,
            **more,
        )
    except (TypeError, KeyError) as error:
        raise ValueError(f"a record is damaged: {type(error).__name__}") from None


def usage_shown(usage: Usage) -> dict[str, Any]:
    """What is said of it, as JSON can write it."""
    shown = {name: value for name in (*COUNTS, *_MORE_OF_USAGE) if (value := getattr(usage, name)) is not None}
    if usage.iterations is not None:
        shown["iterations"] = [
            {"kind": one.kind, "model": one.model, "usage": usage_shown(one.usage)} for one in usage.iterations
        ]
    return shown


def usage_of(shown: Mapping[str, Any]) -> Usage:
    """The other way."""
    values = dict(shown)
    if (iterations := values.get("iterations")) is not None:
        values["iterations"] = tuple(Iteration(one["kind"], one["model"], usage_of(one["usage"])) for one in iterations)
    return Usage(**values)


def attempt_shown(attempt: AttemptRecord) -> dict[str, Any]:
    """An attempt as JSON can write it, without what is not said of it."""
    shown = {name: value for name in _OF_ATTEMPT if (value := getattr(attempt, name)) not in (None, "")}
    if attempt.usage is not None:
        shown["usage"] = usage_shown(attempt.usage)
    return shown


def _attempt(shown: Mapping[str, Any]) -> AttemptRecord:
    values = {"upstream": "", "model": "", "credential": "", "ended_ms": None, "status": None, **shown}
    if "usage" in values:
        values["usage"] = usage_of(values["usage"])
    return AttemptRecord(**values)


def record_shown(of: ExchangeRecord) -> dict[str, Any]:
    """A record as JSON can write it, without what is not said of it; its number is its ledger's affair."""
    shown = {
        name: value
        for name in ExchangeRecord.__struct_fields__
        if name not in {"number", "usage", "attempts", "rate_limit"}
        and (value := getattr(of, name)) != getattr(_DEFAULTS, name)
    }
    if of.attempts:
        shown["attempts"] = [attempt_shown(attempt) for attempt in of.attempts]
    if usage := usage_shown(of.usage):
        shown["usage"] = usage
    if of.rate_limit:
        shown["rate_limit"] = dict(of.rate_limit)
    return shown


def record_of(shown: Mapping[str, Any]) -> ExchangeRecord:
    """The other way. Raises ValueError where it is no record."""
    values = {"id": "", "accepted": 0.0, "method": "", "endpoint": "", **shown}
    try:
        values["usage"] = usage_of(values.get("usage", {}))
        values["attempts"] = tuple(_attempt(attempt) for attempt in values.get("attempts", ()))
        values["kept"] = Kept(values.get("kept", Kept.NONE))
        made = ExchangeRecord(**values)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"no record: {error}") from None
    if not (isinstance(made.id, str) and made.id and isinstance(made.accepted, (int, float))):
        raise ValueError("no record: it has no id, or no time")
    return made

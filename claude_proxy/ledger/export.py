"""A ledger as JSON Lines, and back: each line a record with its bodies, or the sums of records that are gone.

A body stands as text where it is UTF-8, else as base64. What is read back gives an equal ledger, and reading the same
lines twice changes nothing.
"""

import base64
import json
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from claude_proxy.ledger.record import BODIES, Bodies
from claude_proxy.ledger.rows import KEY, SUMS, record_of, record_shown
from claude_proxy.ledger.store import Change, Filter, LedgerReader, LedgerStore, Place, Total
from claude_proxy.wire.headers import Headers

_PAGE = 200
_BATCH_BYTES = 4 << 20
_MOST_FIRST_MESSAGES = 10_000


class NoExport(ValueError):
    """A line that no export has; the message names it by its number and quotes nothing of it."""


class Imported(msgspec.Struct, frozen=True):
    """How many lines there were, and of those the records that were new."""

    records: int
    new: int
    totals: int


def export_lines(reader: LedgerReader) -> Iterator[str]:
    """The oldest record first. What is written meanwhile may be among them or not."""
    first_messages: dict[str, str | None] = {}
    after: Place | None = None
    while page := reader.records(Filter(), _PAGE, after=after, oldest_first=True):
        for record in page:
            if record.conversation is not None and record.conversation not in first_messages:
                if len(first_messages) >= _MOST_FIRST_MESSAGES:
                    first_messages.clear()
                found = reader.conversations(Filter(conversation=record.conversation), 1)
                first_messages[record.conversation] = found[0].first_message if found else None
            said = first_messages.get(record.conversation or "")
            line: dict[str, Any] = {"record": record_shown(replace(record, first_message=said))}
            bodies = reader.bodies(record.id)
            if bodies is not None:
                shown = {name: value for name in BODIES if (value := getattr(bodies, name)) is not None}
                line.update((name, _shown(value)) for name, value in shown.items())
            yield json.dumps(line, separators=(",", ":"))
        after = Place(page[-1].accepted, page[-1].number)
    for total in reader.remainders():
        sums = {name: value for name in SUMS if (value := getattr(total, name))}
        yield json.dumps({"total": {**dict(zip(KEY, total.key, strict=True)), **sums}}, separators=(",", ":"))


def import_lines(lines: Iterable[str | bytes], store: LedgerStore) -> Imported:
    """Writes what the lines hold. Raises NoExport at the first that is none, LedgerError."""
    reader = store.reader()
    try:
        before = reader.count(Filter())
        changes: list[Change] = []
        totals: list[Total] = []
        records = size = 0
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                found = _read(json.loads(line))
            except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
                raise NoExport(f"line {number} is of no export: {type(error).__name__}") from None
            if isinstance(found, Total):
                totals.append(found)
                continue
            changes.append(found)
            records += 1
            size += len(line)
            if size > _BATCH_BYTES or len(changes) >= _PAGE:
                store.write(changes)
                changes, size = [], 0
        store.write(changes)
        taken = store.add_totals(totals)
        return Imported(records, reader.count(Filter()) - before, taken)
    finally:
        reader.close()


def _read(line: dict[str, Any]) -> Change | Total:
    if "total" in line:
        total = dict(line["total"])
        key = tuple(total.pop(name) for name in KEY)
        return Total(key, **{name: int(value) for name, value in total.items()})
    bodies: dict[str, Any] = {
        name: _headers(value) if name.endswith("headers") else _bytes(value)
        for name in BODIES
        if (value := line.get(name)) is not None
    }
    return Change(record_of(line["record"]), Bodies(**bodies), as_it_is=True)


def _shown(value: bytes | Headers) -> object:
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def _bytes(value: object) -> bytes:
    if isinstance(value, dict):
        return base64.b64decode(value["base64"], validate=True)
    if not isinstance(value, str):
        raise TypeError
    return value.encode()


def _headers(value: list[list[str]]) -> Headers:
    return tuple((str(name), str(text)) for name, text in value)

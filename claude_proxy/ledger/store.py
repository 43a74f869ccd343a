"""What a ledger must do, whatever keeps it: one writes, many read, and neither waits for the event loop.

A `LedgerStore` belongs to one thread, the writer's. A `LedgerReader` belongs to the thread that opened it, never to
the event loop's: its answers come from the disk. tests/ledger/contract.py holds every store to all of this.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from claude_proxy.ledger.record import Bodies, ExchangeRecord

BUCKET = 900
"""Seconds in which usage is rolled up: every time zone's days and hours begin with one of them."""


class LedgerError(Exception):
    """The ledger cannot do what was asked; the message names the file, the cause and the remedy."""


class LedgerBusy(LedgerError):
    """For now: the disk is full or slow, or another process holds the ledger locked. Ask again."""


class LedgerCorrupt(LedgerError):
    """The file is no ledger, or a damaged one."""


class LedgerNewer(LedgerError):
    """The ledger was written by a newer version, which alone can read it."""


class Change(msgspec.Struct, frozen=True):
    """Something to be written: a record, whether it has ended or not, and those of its bodies that are there now.

    A record of an id that is known replaces what was written of it, unless that has ended; but what an exchange begins
    with, such as its time, its endpoint and its conversation, stays as it was written first. `secrets` are replaced
    wherever a body or a header holds one of them. `as_it_is`: a project that it does not name stays unknown, although
    its conversation may know one.
    """

    record: ExchangeRecord
    bodies: Bodies | None = None
    secrets: frozenset[str] = frozenset()
    as_it_is: bool = False

    def __repr__(self) -> str:
        return f"Change({self.record}, {self.bodies})"


class Filter(msgspec.Struct, frozen=True):
    """Which exchanges are meant; None: all. Times are Unix seconds, `since` included and `until` not.

    `model` is either the model that was asked for or the one that was routed to. `agents` False: main
    conversations alone; True: subagents alone.
    """

    since: float | None = None
    until: float | None = None
    model: str | None = None
    upstream: str | None = None
    endpoint: str | None = None
    session: str | None = None
    conversation: str | None = None
    project: str | None = None
    organization: str | None = None
    agents: bool | None = None
    end: str | None = None


class Place(msgspec.Struct, frozen=True):
    """Where a list goes on: behind the record that has these."""

    accepted: float
    number: int


class By(StrEnum):
    """What totals are given by. BUCKET: the beginning of each quarter of an hour, in Unix seconds."""

    BUCKET = "bucket"
    ASKED_MODEL = "asked_model"
    MODEL = "model"
    UPSTREAM = "upstream"
    SESSION = "session"
    CONVERSATION = "conversation"
    PROJECT = "project"
    ORGANIZATION = "organization"
    AGENT = "agent"
    ENDPOINT = "endpoint"


WHOLE_KEY = tuple(By)
"""All by which usage is kept apart."""


class Total(msgspec.Struct, frozen=True):
    """Sums over exchanges that have ended. `key` are the values that they share, in the order asked for: an int for
    BUCKET, 0 or 1 for AGENT, else text or None.

    They outlive the records: what was pruned still counts. `failures` are those that did not end `complete`.
    """

    key: tuple[str | int | None, ...] = ()
    requests: int = 0
    failures: int = 0
    total_ms: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_5m_input_tokens: int = 0
    cache_creation_1h_input_tokens: int = 0
    thinking_tokens: int = 0
    web_search_requests: int = 0
    web_fetch_requests: int = 0
    code_execution_requests: int = 0
    list_value: int = 0
    billed: int = 0
    covered: int = 0
    unpriced_tokens: int = 0
    unpriced_requests: int = 0


class Conversation(msgspec.Struct, frozen=True):
    """The exchanges of one conversation that are still there, main and subagents together."""

    id: str
    session: str | None
    began: float
    last: float
    requests: int
    first_message: str | None
    project: str | None
    model: str
    number: int = 0


class Condition(msgspec.Struct, frozen=True):
    """How the ledger stands. Sizes are bytes: of all that lies on the disk, and of what of it is in use."""

    place: str
    schema: int
    records: int
    unfinished: int
    blocks: int
    size: int
    used: int
    oldest: float | None
    newest: float | None


class Retention(msgspec.Struct, frozen=True):
    """What is kept: records for so many seconds, and all in all so many bytes. 0: without end."""

    keep: float
    max_size: int


class LedgerReader(Protocol):
    """Reads. Every method raises LedgerError; a ledger that is not there yet is empty."""

    def records(
        self,
        where: Filter,
        limit: int,
        *,
        after: Place | None = None,
        offset: int = 0,
        oldest_first: bool = False,
    ) -> list[ExchangeRecord]:
        """The newest first, or the oldest, behind that place. A list goes on by `after`; an `offset` is dearer."""
        ...

    def count(self, where: Filter) -> int: ...

    def record(self, of: str) -> ExchangeRecord | None:
        """By its whole id or the beginning of it; None where there is none, or more than one begin so."""
        ...

    def bodies(self, of: str) -> Bodies | None:
        """By the whole id. None where there is no such record; a Bodies of nothing where none are kept."""
        ...

    def totals(self, where: Filter, by: Sequence[By] = ()) -> list[Total]:
        """Sorted by key; one of all without `by`. Times of the filter count in whole buckets: those that begin before
        `until` and end after `since`. `end` does not count, and None of `conversation` and the others means all."""
        ...

    def remainders(self) -> Iterator[Total]:
        """Totals by WHOLE_KEY of records that are gone."""
        ...

    def conversations(
        self, where: Filter, limit: int, *, after: Place | None = None, offset: int = 0
    ) -> list[Conversation]:
        """The one with the latest exchange first. The filter's times are those of its last exchange; its project,
        session and conversation count, and nothing else. `Place.accepted` is `last`."""
        ...

    def condition(self) -> Condition: ...

    def close(self) -> None: ...


class LedgerStore(Protocol):
    """Writes. Every method raises LedgerError, and then nothing of what it was given is written."""

    def write(self, changes: Sequence[Change]) -> None:
        """All of it, or nothing."""
        ...

    def add_totals(self, totals: Sequence[Total]) -> int:
        """Totals by WHOLE_KEY of records that are gone, as another ledger has them; the number of those taken. One
        whose key has such totals already is left out, so that the same export can be read twice."""
        ...

    def prune(self, retention: Retention, now: float) -> bool:
        """One small step; whether there is more to do."""
        ...

    def clear(self) -> int:
        """Forgets everything, totals too; the number of records that there were."""
        ...

    def reader(self) -> LedgerReader:
        """For the thread that calls this."""
        ...

    def close(self) -> None: ...

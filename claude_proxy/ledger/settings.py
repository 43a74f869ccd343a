"""The settings of the ledger."""

from pathlib import Path

import msgspec

from claude_proxy.ledger.store import Retention


class LedgerSettings(msgspec.Struct, frozen=True):
    """`path` is the database; sizes in bytes, times in seconds. `bodies` False: no headers or bodies are kept.

    The queue is bounded by a number of records and by what they hold; `max_answer` is what is kept of one answer,
    `max_request` the largest request whose body is kept.
    """

    enabled: bool
    path: Path
    retention: Retention
    bodies: bool
    max_answer: int
    max_request: int
    flush_interval: float
    queue_records: int
    queue_size: int

"""A row of the ledger: what is remembered of one exchange, and its bodies."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from claude_proxy.wire.headers import Headers
from claude_proxy.wire.members import Members
from claude_proxy.wire.usage import Usage


class Kept(StrEnum):
    """What there is of an exchange's bodies. CUT: the answer was longer than what is kept of one."""

    WHOLE = "whole"
    CUT = "cut"
    NONE = "none"
    PRUNED = "pruned"


class AttemptRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One try at one upstream. Times are milliseconds since the request arrived.

    `failure` is the kind of failure, `cause` its words without any secret. `usage` is what a message that was being
    put together had used when the try failed; what the client's answer used stands in the record.
    """

    upstream: str
    model: str
    credential: str
    started_ms: int
    ended_ms: int | None
    status: int | None
    failure: str | None = None
    cause: str | None = None
    usage: Usage | None = None


class ExchangeRecord(msgspec.Struct, frozen=True):
    """What is remembered of an exchange. One that has begun and not ended, or whose end was lost, has no `end`.

    `accepted` is Unix time in seconds, `first_byte_ms` and `total_ms` are milliseconds from there. `model` is what
    the upstream was asked for, `asked_model` what the client asked for; "" for requests that name none. `session`
    is Claude Code's, `conversation` that or, for other clients, a hash of how the conversation begins. `agent` is
    the subagent that asked, None for the main conversation. `project` is the directory that Claude Code works in.
    `rate_limit` are the answer's headers `anthropic-ratelimit-…`, by the rest of their names.

    Money is in picodollars (1e-12 USD), None where there is no price; `unpriced_tokens` have none. `list_value` is
    what the price list says, `billed` what somebody is billed for, `covered` what the plan covers.

    `altered` says that a known secret stood in a body and was replaced there. `number` is the record's place among
    those that were accepted at the same time, given by the ledger.
    """

    id: str
    accepted: float
    method: str
    endpoint: str
    query: str = ""
    asked_model: str = ""
    model: str = ""
    stream: bool = False
    background: str | None = None
    session: str | None = None
    conversation: str | None = None
    agent: str | None = None
    parent_agent: str | None = None
    message_count: int | None = None
    first_message: str | None = None
    """The first words that the user said in the conversation, shortened; given with its first exchange, and kept
    once for each conversation."""
    project: str | None = None
    organization: str | None = None
    user_agent: str | None = None
    content_type: str | None = None
    upstream_request_id: str | None = None
    route: str = ""
    upstream: str = ""
    credential: str = ""
    status: int | None = None
    end: str | None = None
    failure: str | None = None
    cause: str | None = None
    first_byte_ms: int | None = None
    total_ms: int | None = None
    attempts: tuple[AttemptRecord, ...] = ()
    usage: Usage = msgspec.field(default_factory=Usage)
    stop_reason: str | None = None
    list_value: int | None = None
    billed: int | None = None
    covered: int | None = None
    unpriced_tokens: int = 0
    price_source: str | None = None
    price_dated: str | None = None
    rate_limit: Mapping[str, str] = msgspec.field(default_factory=dict)
    request_bytes: int = 0
    answer_bytes: int | None = None
    kept: Kept = Kept.NONE
    altered: bool = False
    number: int = 0


BODIES = ("request_headers", "request", "answer_headers", "answer")
"""What is kept of `Bodies`."""


class Bodies(msgspec.Struct, frozen=True):
    """Headers and bodies of an exchange, credentials removed. None: not kept, or not yet there.

    `request` is the JSON text of the client's body (decoded, where it came compressed). `answer` is the body as the
    client got it: a stream of events for a request that streams. `members` are those of `request`, where somebody has
    read them already.
    """

    request_headers: Headers | None = None
    request: bytes | None = None
    answer_headers: Headers | None = None
    answer: bytes | None = None
    members: Members | None = None

    def __repr__(self) -> str:
        return "Bodies(…)"

"""The noun: one request of the client, the attempts to answer it, and its fate."""

import secrets
import time
from enum import StrEnum
from typing import Protocol

import msgspec

from claude_proxy.failures import Failure
from claude_proxy.wire.headers import Headers
from claude_proxy.wire.messages import ClientRequest
from claude_proxy.wire.quota import Quota
from claude_proxy.wire.usage import Usage


class End(StrEnum):
    """How an exchange ended, as the client experienced it."""

    COMPLETE = "complete"
    FAILED = "failed"
    BROKEN = "broken"
    CLIENT_GONE = "client_gone"


def new_id() -> str:
    """An id for a request, told apart at sight from Anthropic's `req_…`."""
    return f"req_cp_{secrets.token_hex(12)}"


class Attempt(msgspec.Struct):
    """One try at one upstream. Times are of the monotonic clock, in seconds.

    `usage` is what an answer that is put together here has told of itself so far. None before it has begun, and
    for all other answers, of which the reply knows. `on_plan` says whether the credential that was sent is that of a
    subscription; None where none was sent.
    """

    upstream: str
    model: str
    started: float
    credential: str = ""
    ended: float | None = None
    status: int | None = None
    failure: Failure | None = None
    quota: Quota | None = None
    usage: Usage | None = None
    on_plan: bool | None = None


class Transcript:
    """What went to the client of an answer's body, kept by reference: nothing is copied while it passes.

    `size` counts all of it in bytes. `cut` says that it was more than `limit` bytes: what came first is kept.
    """

    __slots__ = ("blocks", "cut", "limit", "size")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.blocks: list[bytes] = []
        self.size = 0
        self.cut = False

    def add(self, block: bytes) -> None:
        """A block, as it is handed to the client's connection."""
        room = self.limit - self.size
        self.size += len(block)
        if len(block) <= room:
            self.blocks.append(block)
        else:
            self.cut = True
            if room > 0:
                self.blocks.append(block[:room])


class Exchange(msgspec.Struct):
    """A request on its way. Only the forwarder closes one; observers look and never change it.

    `answer_headers` are those of the answer that the client got, `transcript` its body, or None where answers are
    not kept.

    `accepted` is Unix time, `started`, `first_byte` and `ended` are of the monotonic clock, all in seconds.
    """

    request: ClientRequest
    id: str = msgspec.field(default_factory=new_id)
    accepted: float = msgspec.field(default_factory=time.time)
    started: float = msgspec.field(default_factory=time.monotonic)
    first_byte: float | None = None
    ended: float | None = None
    attempts: list[Attempt] = msgspec.field(default_factory=list)
    route: str = ""
    upstream: str = ""
    status: int | None = None
    answer_headers: Headers = ()
    transcript: Transcript | None = None
    usage: Usage = msgspec.field(default_factory=Usage)
    failure: Failure | None = None
    end: End | None = None


class Observer(Protocol):
    """Who watches: told of each exchange once when its route is known, before anybody is asked, and once when it is
    closed; between the two of each target that was passed over, each answer that stated a quota and each attempt
    that failed, as it happens. Who inherits this writes only what it watches, and is not told of the rest."""

    def began(self, exchange: Exchange) -> None:
        return

    def skipped(self, exchange: Exchange, upstream: str, failure: Failure) -> None:
        return

    def quota_read(self, exchange: Exchange, attempt: Attempt) -> None:
        return

    def attempt_failed(self, exchange: Exchange, attempt: Attempt) -> None:
        return

    def closed(self, exchange: Exchange) -> None:
        return

"""What can go wrong, and what is then done.

ProxyError
 ├── AttemptFailed     one try at one upstream failed; nothing has reached the client
 ├── ForwardingError   all targets failed; the client gets the failure that it carries
 └── StreamBroken      the answer broke after its first byte went to the client
"""

from collections.abc import Mapping
from enum import Enum, auto

import msgspec


class FailureKind(Enum):
    """Each way to fail, classified once; the consequences stand in `HANDLING`."""

    CONNECT = "connect"
    OVERLOADED = "overloaded"
    SERVER_ERROR = "server_error"
    RATE_LIMIT = "rate_limit"
    CLIENT_AUTH = "client_auth"
    STALE_TOKEN = "stale_token"  # noqa: S105 - the name of a failure
    AUTH = "auth"
    FORBIDDEN = "forbidden"
    NO_CREDENTIAL = "no_credential"
    TIMEOUT = "timeout"
    MALFORMED = "malformed"
    CONTEXT_WINDOW = "context_window"
    INVALID_REQUEST = "invalid_request"
    UNSUPPORTED = "unsupported"
    UNAVAILABLE = "unavailable"
    QUEUE_FULL = "queue_full"
    BROKEN_STREAM = "broken_stream"
    CLIENT_GONE = "client_gone"


class BreakerEffect(Enum):
    """What a failure means for its upstream's circuit breaker."""

    IGNORE = auto()
    COUNT = auto()
    OPEN = auto()


class Handling(msgspec.Struct, frozen=True):
    """The consequences of a kind of failure.

    `again`: the same upstream may be asked once more. `elsewhere`: the route's next target may be asked.
    `status`: what the client sees where the upstream gave no answer of its own that could be passed on.
    """

    again: bool
    elsewhere: bool
    breaker: BreakerEffect
    status: int


_IGNORE, _COUNT, _OPEN = BreakerEffect.IGNORE, BreakerEffect.COUNT, BreakerEffect.OPEN

HANDLING: Mapping[FailureKind, Handling] = {
    # kind                                again  elsewhere breaker status
    FailureKind.CONNECT: Handling(True, True, _COUNT, 502),
    FailureKind.OVERLOADED: Handling(True, True, _COUNT, 529),
    FailureKind.SERVER_ERROR: Handling(True, True, _COUNT, 500),
    # Again only where `retry-after` fits the retry budget, which `Failure.again` decides.
    FailureKind.RATE_LIMIT: Handling(False, True, _OPEN, 429),
    # The client refreshes its own login when a 401 comes back, and comes again.
    FailureKind.CLIENT_AUTH: Handling(False, False, _IGNORE, 401),
    FailureKind.STALE_TOKEN: Handling(True, True, _IGNORE, 403),
    # Never 401 for a key of ours: the client would refresh its login for nothing.
    FailureKind.AUTH: Handling(False, True, _OPEN, 403),
    # The credential is good, but not for this: another model may be answered.
    FailureKind.FORBIDDEN: Handling(False, True, _OPEN, 403),
    FailureKind.NO_CREDENTIAL: Handling(False, True, _IGNORE, 403),
    # Not again: the upstream may be generating already, and billing.
    FailureKind.TIMEOUT: Handling(False, True, _COUNT, 504),
    FailureKind.MALFORMED: Handling(False, True, _COUNT, 502),
    FailureKind.CONTEXT_WINDOW: Handling(False, False, _IGNORE, 400),
    FailureKind.INVALID_REQUEST: Handling(False, False, _IGNORE, 400),
    FailureKind.UNSUPPORTED: Handling(False, True, _IGNORE, 501),
    FailureKind.UNAVAILABLE: Handling(False, True, _IGNORE, 503),
    FailureKind.QUEUE_FULL: Handling(False, True, _IGNORE, 529),
    FailureKind.BROKEN_STREAM: Handling(False, False, _COUNT, 502),
    # 499 is nginx's number for it; no client ever sees it.
    FailureKind.CLIENT_GONE: Handling(False, False, _IGNORE, 499),
}


class Said(msgspec.Struct, frozen=True):
    """An upstream's own answer, passed on as it is: Claude Code's recovery matches on its words."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def __repr__(self) -> str:
        return f"Said({self.status})"


class Failure(msgspec.Struct, frozen=True):
    """One failure: of which kind, at which upstream, in words, and the upstream's own answer where it gave one.

    `retry_after` is in seconds, as the upstream asked. `spent_until` is the Unix time at which a spent quota
    window resets, `of_one_model` says that it is the window of the model asked for alone. `status` and `error_type`
    are what the client is told where there is no `said`, "" and 0 for those of the kind. `may_retry` is False where
    the upstream said `x-should-retry: false`.

    An upstream may repeat what it was called with: its words are in no repr, and are shown to nobody before
    forwarding/verdict.py has taken the secrets out of them.
    """

    kind: FailureKind
    message: str
    upstream: str = ""
    said: Said | None = None
    retry_after: float | None = None
    spent_until: float | None = None
    of_one_model: bool = False
    may_retry: bool = True
    error_type: str = ""
    status: int = 0

    def __repr__(self) -> str:
        return f"Failure({self.kind} at {self.upstream})"

    @property
    def handling(self) -> Handling:
        return HANDLING[self.kind]

    @property
    def again(self) -> bool:
        """Whether the same upstream may be asked once more: nothing can have been billed."""
        if not self.may_retry:
            return False
        if self.kind is FailureKind.RATE_LIMIT:
            return self.retry_after is not None and self.spent_until is None
        return self.handling.again

    @property
    def is_moments_limit(self) -> bool:
        """Whether it is a limit of rate, which a moment mends, and no spent window or balance."""
        limit = self.client_status == 429 or self.error_type == "rate_limit_error"
        return self.kind is FailureKind.RATE_LIMIT and limit and self.spent_until is None

    @property
    def client_status(self) -> int:
        """The status that the client sees."""
        if self.said is not None:
            return self.said.status
        return self.status or self.handling.status


class ProxyError(Exception):
    """The root of what this package raises about traffic; always carries a `Failure`, and does not quote its words."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.kind.value} at {failure.upstream}" if failure.upstream else failure.kind.value)
        self.failure = failure


class AttemptFailed(ProxyError):
    """One try at one upstream failed before anything reached the client."""


class ForwardingError(ProxyError):
    """Every target failed."""


class StreamBroken(ProxyError):
    """An answer broke after its first byte had gone to the client."""

"""What can go wrong, and what is then done: the table at the heart, written a second time."""

import pytest

from claude_proxy.failures import (
    HANDLING,
    AttemptFailed,
    BreakerEffect,
    Failure,
    FailureKind,
    ForwardingError,
    ProxyError,
    Said,
    StreamBroken,
)

# The table of the plan: kind, again, elsewhere, breaker, the client sees. "as said" is the upstream's own status
# where it gave one; the number beside it is told where it gave none. 499 stands in the records alone.
TABLE = """
    CONNECT          yes  yes  count   502
    OVERLOADED       yes  yes  count   as said, or 529
    SERVER_ERROR     yes  yes  count   as said, or 500
    RATE_LIMIT       no   yes  open    as said, or 429
    CLIENT_AUTH      no   no   ignore  as said, or 401
    STALE_TOKEN      yes  yes  ignore  403
    AUTH             no   yes  open    403
    FORBIDDEN        no   yes  open    as said, or 403
    NO_CREDENTIAL    no   yes  ignore  403
    TIMEOUT          no   yes  count   504
    MALFORMED        no   yes  count   502
    CONTEXT_WINDOW   no   no   ignore  as said, or 400
    INVALID_REQUEST  no   no   ignore  as said, or 400
    UNSUPPORTED      no   yes  ignore  501
    UNAVAILABLE      no   yes  ignore  503
    QUEUE_FULL       no   yes  ignore  529
    BROKEN_STREAM    no   no   count   502
    CLIENT_GONE      no   no   ignore  499
"""
ROWS = [line.split() for line in TABLE.splitlines() if line.strip()]
EFFECTS = {"ignore": BreakerEffect.IGNORE, "count": BreakerEffect.COUNT, "open": BreakerEffect.OPEN}

each_kind = pytest.mark.parametrize("kind", FailureKind, ids=lambda kind: kind.name)


def test_every_kind_has_its_row_and_every_row_its_kind() -> None:
    assert [row[0] for row in ROWS] == [kind.name for kind in FailureKind]
    assert set(HANDLING) == set(FailureKind)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_the_consequences_are_those_of_the_table(row: list[str]) -> None:
    name, again, elsewhere, breaker, *_, status = row
    handling = HANDLING[FailureKind[name]]
    assert (handling.again, handling.elsewhere) == (again == "yes", elsewhere == "yes")
    assert handling.breaker is EFFECTS[breaker]
    assert handling.status == int(status)
    assert Failure(FailureKind[name], "no").handling is handling


@each_kind
def test_a_kind_is_logged_under_its_own_name(kind: FailureKind) -> None:
    assert kind.value == kind.name.lower()


@each_kind
def test_the_upstreams_own_answer_is_what_the_client_sees(kind: FailureKind) -> None:
    assert Failure(kind, "no", said=Said(418, (), b""), status=400).client_status == 418


@each_kind
def test_without_such_an_answer_the_client_sees_the_status_of_the_failure_or_of_its_kind(kind: FailureKind) -> None:
    assert Failure(kind, "no", status=402).client_status == 402
    assert Failure(kind, "no").client_status == HANDLING[kind].status


@each_kind
def test_the_same_upstream_is_asked_again_where_its_row_allows_it_and_it_does_not_forbid_it(kind: FailureKind) -> None:
    assert Failure(kind, "no").again is HANDLING[kind].again
    assert not Failure(kind, "no", retry_after=1, may_retry=False).again


@pytest.mark.parametrize(
    ("retry_after", "spent_until", "again"),
    [
        (3.0, None, True),
        (0.0, None, True),
        (None, None, False),
        (3.0, 1790000000.0, False),
        (None, 1790000000.0, False),
    ],
)
def test_a_rate_limit_is_tried_again_only_where_it_says_when_and_no_window_is_spent(
    retry_after: float | None, spent_until: float | None, again: bool
) -> None:
    failure = Failure(FailureKind.RATE_LIMIT, "no", retry_after=retry_after, spent_until=spent_until)
    assert failure.again is again


def test_no_fault_of_our_own_keys_is_ever_a_401() -> None:
    assert [kind for kind in FailureKind if HANDLING[kind].status == 401] == [FailureKind.CLIENT_AUTH]


@pytest.mark.parametrize("exception", [AttemptFailed, ForwardingError, StreamBroken])
def test_what_is_raised_carries_its_failure_and_quotes_no_words_of_an_upstream(exception: type[ProxyError]) -> None:
    """Those may repeat a secret, which is taken out of them later; a traceback would show them as they came."""
    failure = Failure(FailureKind.CONNECT, "FAKE words", "claude", Said(500, (("x", "FAKE"),), b"FAKE"))
    with pytest.raises(ProxyError, match=r"^connect at claude$") as raised:
        raise exception(failure)
    assert raised.value.failure is failure
    assert "FAKE" not in f"{raised.value!r} {failure!r} {failure.said!r}"
    assert str(exception(Failure(FailureKind.TIMEOUT, "FAKE words"))) == "timeout"


def test_the_three_ends_are_told_apart() -> None:
    kinds = (AttemptFailed, ForwardingError, StreamBroken)
    assert not any(issubclass(one, other) for one in kinds for other in kinds if one is not other)

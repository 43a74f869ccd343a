"""A row of the ledger: what it is of an exchange of which nothing is known yet, and what it does not show."""

from claude_proxy.ledger.record import Bodies, ExchangeRecord, Kept
from claude_proxy.wire.usage import Usage


def test_a_record_of_a_beginning_has_no_fate() -> None:
    record = ExchangeRecord("req_cp_1", 1_800_000_000.5, "POST", "/v1/messages")
    assert (record.end, record.status, record.failure, record.total_ms, record.list_value) == (None,) * 5
    assert (record.attempts, record.usage, record.kept, record.altered) == ((), Usage(), Kept.NONE, False)


def test_bodies_do_not_show_themselves() -> None:
    bodies = Bodies((("x", "FAKE header"),), b"FAKE request", (("y", "FAKE header"),), b"FAKE answer")
    assert "FAKE" not in repr(bodies)

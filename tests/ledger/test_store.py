"""The words of a ledger: its buckets fit every time zone, and no change shows a secret."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, available_timezones

from claude_proxy.ledger.record import ExchangeRecord
from claude_proxy.ledger.store import BUCKET, WHOLE_KEY, By, Change, LedgerBusy, LedgerCorrupt, LedgerError, LedgerNewer


def test_days_and_hours_of_every_time_zone_begin_with_a_bucket() -> None:
    noon = datetime(2026, 11, 26, 12, tzinfo=UTC)
    offsets = {noon.astimezone(ZoneInfo(name)).utcoffset() for name in available_timezones()}
    assert len(offsets) > 20
    assert all(offset is not None and offset.total_seconds() % BUCKET == 0 for offset in offsets)


def test_a_change_does_not_show_the_secrets_that_it_must_not_hold() -> None:
    change = Change(ExchangeRecord("req_cp_1", 0.0, "POST", "/v1/messages"), secrets=frozenset({"FAKE-secret"}))
    assert "FAKE" not in repr(change)


def test_totals_are_kept_by_everything_that_they_can_be_given_by() -> None:
    assert set(WHOLE_KEY) == set(By)


def test_every_fault_of_a_ledger_is_one() -> None:
    assert {LedgerBusy, LedgerCorrupt, LedgerNewer} <= set(LedgerError.__subclasses__())

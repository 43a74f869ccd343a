"""The ledger's parts belong together: what is recorded can be read, and forgotten; where nothing is, it is said."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from claude_proxy.bookkeeping import answers_kept, reading, recording
from claude_proxy.ledger.pricing import Pricing
from claude_proxy.ledger.record import Kept
from claude_proxy.ledger.settings import LedgerSettings
from claude_proxy.ledger.store import Filter, Retention
from claude_proxy.observers.recording import Recording
from claude_proxy.web.errors import Refused
from tests.observers.closed_exchanges import exchange


@pytest.fixture
def settings(tmp_path: Path) -> LedgerSettings:
    return LedgerSettings(True, tmp_path / "ledger.db", Retention(0, 0), True, 1000, 1 << 20, 0.01, 100, 1 << 20)


async def test_what_was_recorded_can_be_read_and_forgotten(settings: LedgerSettings) -> None:
    async with recording(settings, Recording(tuple, Pricing().of)) as recorder:
        assert recorder is not None
        recorder.closed(exchange())
    reads = reading(settings)
    (record,) = await reads.ask(lambda reader: reader.records(Filter(), 10))
    assert (record.id, record.kept) == ("req_cp_1", Kept.WHOLE)
    assert await reads.clear() == 1
    assert await reads.ask(lambda reader: reader.count(Filter())) == 0


async def test_where_nothing_is_recorded_nobody_writes_and_it_is_said(settings: LedgerSettings) -> None:
    off = replace(settings, enabled=False)
    async with recording(off, Recording(tuple, Pricing().of)) as recorder:
        assert recorder is None
    with pytest.raises(Refused, match=r"ledger\.enabled is false"):
        await reading(off).clear()
    assert not settings.path.exists()


def test_of_answers_nothing_is_kept_where_only_their_length_is_wanted(settings: LedgerSettings) -> None:
    assert answers_kept(settings) == 1000
    assert answers_kept(replace(settings, bodies=False)) == 0

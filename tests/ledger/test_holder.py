"""One daemon records into a ledger; the second is told who does, and relatives may share it."""

import os
from pathlib import Path

import pytest

from claude_proxy.ledger.holder import Hold, LedgerHeld


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "share" / "ledger.db"


def test_the_second_is_told_who_has_it_and_what_to_do(ledger: Path) -> None:
    first, second = Hold(ledger), Hold(ledger)
    first.take(shared=False)
    with pytest.raises(LedgerHeld, match=rf"{ledger} is held by claude-proxy \(pid {os.getpid()}\); .*ledger\.url"):
        second.take(shared=False)
    second.take(shared=True)
    first.close()
    second.take(shared=False)
    with pytest.raises(LedgerHeld):
        first.take(shared=False)
    second.close()


def test_its_file_is_the_user_s_alone_and_no_link_is_followed(ledger: Path, tmp_path: Path) -> None:
    hold = Hold(ledger)
    hold.take(shared=False)
    lock = ledger.with_name("ledger.db.lock")
    assert lock.stat().st_mode & 0o777 == 0o600
    hold.close()
    lock.unlink()
    precious = tmp_path / "precious"
    precious.write_text("as it was")
    lock.symlink_to(precious)
    hold.take(shared=False)  # without the lock, then
    assert precious.read_text() == "as it was"


def test_a_place_that_cannot_be_written_keeps_nobody_from_starting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    Hold(tmp_path / "file" / "ledger.db").take(shared=False)


def test_what_was_never_taken_can_be_closed(ledger: Path) -> None:
    Hold(ledger).close()

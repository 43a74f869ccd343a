"""The lock of a Claude Code that renews its login: seen while it is touched, and not when its holder died."""

import os
from pathlib import Path

from claude_proxy.credentials.renewal_lock import RenewalLock
from tests.frozen_clock import FrozenClock


def lock_of(home: Path, clock: FrozenClock, **environment: str) -> RenewalLock:
    return RenewalLock({"HOME": str(home), **environment}, clock)


def touched(directory: Path, at: float) -> Path:
    lock = directory / ".oauth_refresh.lock"
    lock.mkdir(parents=True)
    os.utime(lock, (at, at))
    return lock


def test_it_is_held_from_its_making_to_its_removal(tmp_path: Path) -> None:
    clock = FrozenClock()
    lock = lock_of(tmp_path, clock)
    assert not lock.held()
    made = touched(tmp_path / ".claude", clock())
    assert lock.held()
    made.rmdir()
    assert not lock.held()


def test_one_that_is_not_touched_for_ten_seconds_is_a_dead_clients(tmp_path: Path) -> None:
    clock = FrozenClock()
    lock = lock_of(tmp_path, clock)
    made = touched(tmp_path / ".claude", clock())
    clock.advance(9.9)
    assert lock.held()
    clock.advance(0.2)
    assert not lock.held()
    os.utime(made, (clock(), clock()))
    assert lock.held()


def test_the_second_that_claude_code_rounds_up_to_is_no_fault(tmp_path: Path) -> None:
    clock = FrozenClock()
    touched(tmp_path / ".claude", clock() + 1)
    assert lock_of(tmp_path, clock).held()


def test_one_from_the_far_future_is_not_believed(tmp_path: Path) -> None:
    clock = FrozenClock()
    touched(tmp_path / ".claude", clock() + 3600)
    assert not lock_of(tmp_path, clock).held()


def test_it_lies_where_the_login_does(tmp_path: Path) -> None:
    clock = FrozenClock()
    touched(tmp_path / "elsewhere", clock())
    assert lock_of(tmp_path, clock, CLAUDE_CONFIG_DIR=str(tmp_path / "elsewhere")).held()
    assert not lock_of(tmp_path, clock).held()


def test_a_directory_that_cannot_be_looked_into_holds_no_lock(tmp_path: Path) -> None:
    (tmp_path / ".claude").write_text("no directory")
    assert not lock_of(tmp_path, FrozenClock()).held()

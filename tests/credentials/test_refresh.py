"""When the user's own `claude` is asked to renew its login, and when it is not."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from claude_proxy.credentials.refresh import LOOKS_APART, RUNS_APART, Refresher, RefreshSettings
from tests.frozen_clock import FrozenClock
from tests.running import eventually
from tests.scripted_claude import RENEWED, ScriptedClaude, expired_login, is_running

SETTINGS = RefreshSettings(command=("claude", "-p"), timeout=20.0)


class Household:
    """A home with an expired login, a scripted `claude` and a refresher with clocks that stand still."""

    def __init__(self, home: Path) -> None:
        self.claude = ScriptedClaude(home / "bin")
        self.file = home / ".claude" / ".credentials.json"
        self.file.parent.mkdir()
        self.file.write_text(expired_login())
        self.lock = home / ".claude" / ".oauth_refresh.lock"
        self.clock = FrozenClock()
        self.monotonic = FrozenClock(5000.0)
        environment = {"HOME": str(home), "PATH": self.claude.path}
        self.refresher = Refresher(environment, clock=self.clock, monotonic=self.monotonic)
        self.looks = 0

    async def is_renewed(self) -> bool:
        self.looks += 1
        return RENEWED in self.file.read_text()

    async def renew(self, settings: RefreshSettings = SETTINGS, *, just_read: bool = True) -> str:
        return await self.refresher.renew(settings, self.is_renewed, just_read=just_read)


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[Household]:
    household = Household(tmp_path)
    async with household.refresher:
        yield household


async def test_claude_is_run_and_the_store_looked_into(house: Household) -> None:
    house.claude.renews(house.file)
    assert await house.renew() == ""
    assert len(house.claude.runs) == 1
    assert house.claude.arguments == ["-p"]
    assert house.looks == 1
    last = house.refresher.last
    assert last is not None
    assert (last.at, last.outcome) == (house.clock(), "renewed")


@pytest.mark.parametrize(
    ("script", "words"),
    [("exit 0", "it ended without having renewed it"), ("exit 1", "it ended with exit code 1")],
    ids=["does nothing", "fails"],
)
async def test_what_came_of_it_is_told_logged_and_remembered(
    house: Household, caplog: pytest.LogCaptureFixture, script: str, words: str
) -> None:
    house.claude.does(script)
    assert await house.renew() == words
    assert house.refresher.last is not None
    assert house.refresher.last.outcome == words
    (record,) = [record for record in caplog.records if record.getMessage() == "login_refresh"]
    assert record.levelname == "WARNING"
    assert record.fields["outcome"] == words  # type: ignore[attr-defined]  # as `say` adds it


async def test_a_login_that_was_renewed_all_the_same_is_renewed(house: Household) -> None:
    """What counts is what lies in the store, not how the program ended."""
    house.claude.renews(house.file, after="exit 3")
    assert await house.renew() == ""


async def test_it_is_asked_at_most_once_in_five_minutes(house: Household) -> None:
    await house.renew()
    house.monotonic.advance(RUNS_APART - 1)
    words = await house.renew(just_read=False)
    assert "it was asked 299 s ago (it ended without having renewed it)" in words
    assert "not asked again for 1 s" in words
    assert len(house.claude.runs) == 1
    assert house.looks == 1, "the store itself says when it is looked into again"
    house.monotonic.advance(1)
    house.claude.renews(house.file)
    assert await house.renew() == ""
    assert len(house.claude.runs) == 2


async def test_a_claude_that_is_installed_or_named_meanwhile_is_found_at_once(house: Household) -> None:
    """Nothing was run, so that nothing need be kept apart: but for a moment, lest every request look for it."""
    elsewhere = RefreshSettings(command=("no-claude-of-this-name",), timeout=20.0)
    assert "was not found on PATH" in await house.renew(elsewhere)
    assert "is not asked again for 5 s" in await house.renew(elsewhere)
    house.monotonic.advance(LOOKS_APART)
    house.claude.renews(house.file)
    assert await house.renew() == ""
    house.file.write_text(expired_login())
    assert "is not asked again for 300 s" in await house.renew(), "this one was run"


async def test_a_store_that_was_not_just_read_is_looked_into_before(house: Household) -> None:
    house.file.write_text(RENEWED)
    assert await house.renew(just_read=False) == ""
    assert house.claude.runs == []
    assert house.refresher.last is None
    house.file.write_text(expired_login())
    house.claude.renews(house.file)
    assert await house.renew() == "", "what was no run does not count as one"


async def test_it_is_not_asked_while_another_client_renews_the_login(house: Household) -> None:
    house.lock.mkdir()
    waiting = asyncio.create_task(house.renew())
    done, _ = await asyncio.wait({waiting}, timeout=0.3)
    assert not done
    house.file.write_text(RENEWED)
    house.lock.rmdir()
    assert await waiting == ""
    assert house.claude.runs == []


async def test_it_is_asked_when_the_other_client_had_no_luck(house: Household) -> None:
    house.claude.renews(house.file)
    house.lock.mkdir()
    waiting = asyncio.create_task(house.renew())
    done, _ = await asyncio.wait({waiting}, timeout=0.3)
    assert not done
    house.lock.rmdir()
    assert await waiting == ""
    assert len(house.claude.runs) == 1


async def test_a_lock_that_a_dead_client_has_left_keeps_nobody_waiting(house: Household) -> None:
    house.claude.renews(house.file)
    house.lock.mkdir()
    os.utime(house.lock, (1_000_000_000, 1_000_000_000))
    assert await house.renew() == ""
    assert len(house.claude.runs) == 1


async def test_two_stores_at_once_cause_one_run(house: Household) -> None:
    house.claude.renews(house.file)
    assert await asyncio.gather(*(house.renew() for _ in range(5))) == [""] * 5
    assert len(house.claude.runs) == 1


async def test_the_end_of_the_house_ends_the_run_and_no_other_begins(tmp_path: Path) -> None:
    house = Household(tmp_path)
    async with house.refresher:
        house.claude.does("cat > /dev/null")
        asking = asyncio.create_task(house.renew())
        await eventually(lambda: house.claude.runs != [])
    assert await asking == "the daemon was stopped"
    assert not is_running(house.claude.runs[0])
    house.monotonic.advance(RUNS_APART)
    assert await house.renew() == "the daemon is stopping"
    assert len(house.claude.runs) == 1


async def test_a_house_that_ends_does_not_wait_for_another_client(tmp_path: Path) -> None:
    house = Household(tmp_path)
    async with house.refresher:
        house.lock.mkdir()
        asking = asyncio.create_task(house.renew())
        done, _ = await asyncio.wait({asking}, timeout=0.3)
        assert not done
    assert await asking == "the daemon is stopping"
    assert house.claude.runs == []

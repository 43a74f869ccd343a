"""The background check: again and again while the house stands, and never the end of it."""

import asyncio

import pytest

from claude_proxy.credentials.upkeep import upkeep
from tests.credentials.fakes import FakeSupply
from tests.running import eventually

LONG = 3600.0


async def test_every_supply_is_checked_at_once_and_then_after_the_interval() -> None:
    supplies = [FakeSupply(), FakeSupply()]
    async with upkeep(lambda: supplies, every=0.01):
        await eventually(lambda: all(supply.kept_fresh >= 3 for supply in supplies))


async def test_between_two_checks_it_rests() -> None:
    supply = FakeSupply()
    async with upkeep(lambda: [supply], every=LONG):
        await eventually(lambda: supply.kept_fresh == 1)
        await asyncio.sleep(0.05)
    assert supply.kept_fresh == 1


async def test_a_supply_may_ask_to_be_checked_sooner() -> None:
    patient, urgent = FakeSupply(), FakeSupply()
    urgent.again_in = 0.01
    async with upkeep(lambda: [patient, urgent], every=LONG):
        await eventually(lambda: patient.kept_fresh >= 3)


async def test_after_a_reload_the_supplies_in_force_are_checked() -> None:
    before, after = FakeSupply(), FakeSupply()
    in_force = [before]
    async with upkeep(lambda: in_force, every=0.01):
        await eventually(lambda: before.kept_fresh >= 1)
        in_force[:] = [after]
        await eventually(lambda: after.kept_fresh >= 1)
        count = before.kept_fresh
        await eventually(lambda: after.kept_fresh >= 5)
        assert before.kept_fresh == count


async def test_a_fault_of_ours_is_logged_and_the_next_check_comes(caplog: pytest.LogCaptureFixture) -> None:
    supply = FakeSupply()
    faults = [RuntimeError("a fault of the test")]

    def supplies() -> list[FakeSupply]:
        if faults:
            raise faults.pop()
        return [supply]

    async with upkeep(supplies, every=0.01):
        await eventually(lambda: supply.kept_fresh >= 1)
    (record,) = caplog.records
    assert "the background check of the stored login failed" in record.getMessage()
    assert record.exc_info is not None


async def test_it_ends_with_its_block() -> None:
    async with upkeep(lambda: [FakeSupply()], every=LONG):
        assert "login upkeep" in {task.get_name() for task in asyncio.all_tasks()}
    assert "login upkeep" not in {task.get_name() for task in asyncio.all_tasks()}

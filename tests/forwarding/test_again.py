"""The waits between tries. When and how often something is tried again: test_retry.py."""

from pathlib import Path

import pytest

from tests.client_requests import message_request
from tests.forwarding.forwarding_house import BRINGS_KEY, forwarding
from tests.stand_in import (
    StandIn,
    fails,
    says,
)

ASKS = message_request(BRINGS_KEY)


async def test_waits_are_doubled_up_to_their_bound_and_spread_a_little(tmp_path: Path, waits: list[float]) -> None:
    retry = {"first_wait": "1s", "max_wait": "3s", "max_elapsed": "1h", "max_retries": 4}
    async with (
        StandIn(fails(529, "overloaded_error")) as claude,
        forwarding(tmp_path, {"claude": claude}, retry=retry) as house,
    ):
        await house.ask(ASKS)
    assert waits == [pytest.approx(seconds, rel=0.2) for seconds in (1, 2, 3, 3)]
    assert len(set(waits)) == 4


async def test_a_wait_that_the_upstream_names_is_waited_exactly(tmp_path: Path, waits: list[float]) -> None:
    async with StandIn(says("hello")) as claude, forwarding(tmp_path, {"claude": claude}) as house:
        claude.then(fails(429, "rate_limit_error", headers=[("retry-after", "7")]))
        assert (await house.ask(ASKS)).status == 200
    assert waits == [7.0]

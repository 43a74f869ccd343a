"""Requests whose upstream answers in a certain way: what becomes of them alone, and where another can answer."""

from pathlib import Path

from claude_proxy.failures import FailureKind
from claude_proxy.wire.messages import ClientRequest
from tests.client_requests import message_request
from tests.forwarding.forwarding_house import BRINGS_KEY, QUICK, Told, forwarding
from tests.stand_in import Answer, StandIn, says, two

STREAM = message_request(BRINGS_KEY, stream=True)
WHOLE = message_request(BRINGS_KEY)
ONCE = {**QUICK, "max_retries": 0}


async def ask(home: Path, answer: Answer, request: ClientRequest, upstream: str = "claude") -> Told:
    """What becomes of a request at an upstream that answers so, and is the only one."""
    async with StandIn(answer) as stand_in, forwarding(home, {upstream: stand_in}, retry=ONCE) as house:
        told = await house.ask(request)
        assert len(stand_in.received) == 1
    return told


async def elsewhere(home: Path, answer: Answer, request: ClientRequest) -> tuple[FailureKind, Told]:
    """Why the first upstream was given up, and what the second one answered in its place."""
    async with two(answer, says("from the second")) as (claude, gateway):
        async with forwarding(home, {"claude": claude, "gateway": gateway}, retry=ONCE) as house:
            told = await house.ask(request)
            [(upstream, kind)] = house.watcher.failed
        assert upstream == "claude"
        assert (len(claude.received), len(gateway.received)) == (1, 1)
    return kind, told

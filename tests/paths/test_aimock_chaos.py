"""aimock's chaos before a healthy second target: whoever asks gets a whole answer or an error in Anthropic's shape.

What aimock does to a request is drawn by chance, so nothing here rests on luck: every request that the healthy
target can answer must be answered, whatever befell it at the first. `pytest -s` shows the shares.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from anthropic import APIStatusError, AsyncAnthropic
from anthropic.types import Message, MessageParam

from tests.aimock import KEY, Aimock, running_aimock
from tests.official_sdk import MODEL, official_sdk
from tests.running import running

REQUESTS = 200
AT_ONCE = 20
SECONDS = 30.0  # after which a request counts as hung

DROP, MALFORMED, RATE_LIMIT, DISCONNECT = "dropRate", "malformedRate", "rateLimitRate", "disconnectRate"
# Each befalls a fifth of all requests: what is drawn later needs a higher rate of those that are left.
ALL = {DROP: 1 / 5, MALFORMED: 1 / 4, RATE_LIMIT: 1 / 3, DISCONNECT: 1 / 2}
ACTIONS = {DROP: "drop", MALFORMED: "malformed", RATE_LIMIT: "rateLimit", DISCONNECT: "disconnect"}

PATIENT = {"failures": 1000, "cooldown": "1ms", "max_cooldown": "1ms"}  # never keeps a request from the chaos
AS_SHIPPED: Mapping[str, Any] = {}

Question = tuple[str, bool]
# Some streams break off after they have begun, at whichever target: then nothing can be asked elsewhere.
QUESTIONS: list[Question] = [
    ("break off", True) if number % 20 == 19 else (text, stream)
    for number, (text, stream) in zip(
        range(REQUESTS), itertools.cycle(itertools.product(("greet me", "think first"), (True, False))), strict=False
    )
]
BREAKING = [text for text, _ in QUESTIONS].count("break off")


async def asked(sdk: AsyncAnthropic, question: Question) -> dict[str, object]:
    """The message that answers a question; raises what the SDK raises."""
    text, stream = question
    messages: list[MessageParam] = [{"role": "user", "content": text}]
    body: dict[str, Any] = {"model": MODEL, "max_tokens": 1000, "messages": messages}
    async with asyncio.timeout(SECONDS):
        if not stream:
            message: Message = await sdk.messages.create(**body)
            return message.to_dict()
        async with sdk.messages.stream(**body) as events:
            return (await events.get_final_message()).to_dict()


def shape_of(error: APIStatusError) -> str:
    """`error` for one in Anthropic's shape."""
    match error.body:
        case {"type": "error", "error": {"type": str(), "message": str(message)}} if message:
            return "error"
    return f"an error in no shape: {error.body!r}"


async def outcomes(base_url: str, right: Mapping[Question, dict[str, object]]) -> Counter[str]:
    """What became of all questions: answered, error, and whatever else the SDK came to."""
    places = asyncio.Semaphore(AT_ONCE)

    async with official_sdk(base_url, api_key=KEY) as sdk:

        async def outcome(question: Question) -> str:
            async with places:
                try:
                    answer = await asked(sdk, question)
                except APIStatusError as error:
                    return shape_of(error)
                except TimeoutError:
                    return "hung"
                except Exception as error:  # counted by its name, which no test lets pass
                    return type(error).__name__
                return "answered" if answer == right.get(question) else f"wrong: {answer}"

        return Counter(await asyncio.gather(*(outcome(question) for question in QUESTIONS)))


async def right_answers(healthy: Aimock) -> dict[Question, dict[str, object]]:
    async with official_sdk(healthy.url, api_key=KEY) as sdk:
        return {question: await asked(sdk, question) for question in set(QUESTIONS) if question[0] != "break off"}


async def faults(chaotic: Aimock) -> Counter[str]:
    """How often it has done which fault so far."""
    entries = await chaotic.journal()
    return Counter(entry["response"]["chaosAction"] for entry in entries if entry["response"].get("chaosAction"))


@pytest.mark.parametrize(
    ("chaos", "breaker"),
    [
        *(pytest.param({rate: 1 / 5}, PATIENT, id=rate) for rate in ALL),
        pytest.param(ALL, PATIENT, id="all"),
        pytest.param(ALL, AS_SHIPPED, id="all, with the breaker as shipped"),
    ],
)
async def test_whatever_befalls_the_first_target_the_second_answers(
    chaos: Mapping[str, float],
    breaker: Mapping[str, Any],
    aimock_program: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    record_property: Any,
) -> None:
    async with (
        running_aimock(aimock_program, tmp_path / "chaotic", chaos) as chaotic,
        running_aimock(aimock_program, tmp_path / "healthy") as healthy,
    ):
        config = {
            "upstreams": {
                name: {"base_url": aimock.url, "dialect": "anthropic", "credential": "claude"}
                for name, aimock in (("chaotic", chaotic), ("healthy", healthy))
            },
            "routes": [{"to": [{"upstream": "chaotic"}, {"upstream": "healthy"}]}],
            "retry": {"first_wait": "1ms", "max_wait": "1ms"},
            "breaker": breaker,
        }
        right = await right_answers(healthy)
        direct = await outcomes(chaotic.url, right)
        before = await faults(chaotic)
        async with running(tmp_path / "daemon", config) as daemon:
            through = await outcomes(daemon.url, right)
        after = await faults(chaotic) - before

    shares = {"without": f"{direct['answered'] / REQUESTS:.1%}", "through": f"{through['answered'] / REQUESTS:.1%}"}
    for name, share in shares.items():
        record_property(f"answered {name} the daemon", share)
    print(f"\n{request.node.name}: answered {shares}; without: {dict(direct)}, through: {dict(through)}, {dict(after)}")

    assert through == {"answered": REQUESTS - BREAKING, "error": BREAKING}
    assert through["answered"] >= direct["answered"]
    assert set(before) == {ACTIONS[rate] for rate in chaos}
    if breaker:
        assert set(after) == set(before)
    assert after

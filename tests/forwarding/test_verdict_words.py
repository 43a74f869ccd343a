"""What is never told in our words: secrets that an upstream repeats. Which credential is used: test_verdict.py."""

from pathlib import Path

import pytest

from tests.client_requests import message_request
from tests.forwarding.forwarding_house import (
    BRINGS_KEY,
    BRINGS_SENTINEL,
    CLIENT_KEY,
    MINIMAX_KEY,
    OUR_KEY,
    QUICK,
    Told,
    forwarding,
)
from tests.stand_in import Answer, Received, StandIn, Wire, fails

NEEDS_OURS = message_request(BRINGS_SENTINEL)
WITH_OUR_KEY = {"OUR_KEY": OUR_KEY}


def words_of(told: Told) -> str:
    assert told.failure is not None
    return told.failure.message


def repeats(status: int) -> Answer:
    """An error that repeats every header that the request carried."""

    async def answer(received: Received, wire: Wire) -> None:
        heard = " ".join(value for _, value in received.headers)
        await fails(status, "invalid_request_error", f"cannot read: {heard}")(received, wire)

    return answer


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
async def test_an_upstream_that_repeats_our_key_is_not_quoted_with_it(tmp_path: Path, status: int) -> None:
    retry = {**QUICK, "max_retries": 0}
    async with (
        StandIn(repeats(status)) as claude,
        forwarding(tmp_path, {"claude": claude}, environment=WITH_OUR_KEY, retry=retry) as house,
    ):
        told = await house.ask(NEEDS_OURS)
    assert told.failure is not None
    assert OUR_KEY not in words_of(told)
    assert told.failure.said is None or OUR_KEY.encode() not in told.failure.said.body
    assert OUR_KEY not in repr(told.exchange)


async def test_a_stranger_that_repeats_its_key_is_not_quoted_with_it(tmp_path: Path) -> None:
    async with StandIn(repeats(400)) as minimax, forwarding(tmp_path, {"minimax": minimax}) as house:
        told = await house.ask(message_request(BRINGS_KEY))
    assert told.failure is not None
    assert "cannot read" in words_of(told)
    assert MINIMAX_KEY not in words_of(told)
    assert told.failure.said is None or MINIMAX_KEY.encode() not in told.failure.said.body


async def test_what_the_client_brought_is_in_its_answer_but_not_in_our_words(tmp_path: Path) -> None:
    cookie = ("cookie", "theme=dark; session=FAKE-session-cookie")
    second = ("Authorization", "Bearer FAKE-second-credential")
    async with StandIn(repeats(400)) as claude, forwarding(tmp_path, {"claude": claude}) as house:
        told = await house.ask(message_request(BRINGS_KEY, second, cookie))
    assert "FAKE-second-credential" not in words_of(told)
    assert CLIENT_KEY not in words_of(told)
    assert "FAKE-session-cookie" not in words_of(told)
    assert told.failure is not None
    assert told.failure.said is not None
    assert CLIENT_KEY.encode() in told.failure.said.body


async def test_one_value_of_a_cookie_is_not_in_our_words_either(tmp_path: Path) -> None:
    answer = fails(400, "invalid_request_error", "who is FAKE-session-cookie?")
    async with StandIn(answer) as claude, forwarding(tmp_path, {"claude": claude}) as house:
        told = await house.ask(message_request(BRINGS_KEY, ("Cookie", "theme=dark; session=FAKE-session-cookie")))
    assert words_of(told) == "who is [redacted]?"


async def test_what_a_custom_header_or_the_query_brings_is_not_in_our_words_either(tmp_path: Path) -> None:
    headers = (("X-Gateway-Key", "FAKE-gateway-key"), ("X-Auth", "Basic FAKE-second-word"))
    query = "beta=true&key=FAKE%2Fof-the-query"
    heard = "FAKE-gateway-key, FAKE-second-word, FAKE%2Fof-the-query, FAKE/of-the-query, true"
    async with (
        StandIn(fails(400, "invalid_request_error", heard)) as claude,
        forwarding(tmp_path, {"claude": claude}) as house,
    ):
        told = await house.ask(message_request(BRINGS_KEY, *headers, query=query))
    assert words_of(told) == "[redacted], [redacted], [redacted], [redacted], true"


async def test_a_cookie_that_is_repeated_whole_is_taken_out_whole(tmp_path: Path) -> None:
    cookie = "theme=FAKE-dark; session=FAKE-session-cookie"
    answer = fails(400, "invalid_request_error", f"who is {cookie}?")
    async with StandIn(answer) as claude, forwarding(tmp_path, {"claude": claude}) as house:
        told = await house.ask(message_request(BRINGS_KEY, ("Cookie", cookie)))
    assert words_of(told) == "who is [redacted]?"


async def test_a_secret_too_short_to_be_one_does_not_spoil_the_words(tmp_path: Path) -> None:
    answer = fails(400, "invalid_request_error", "all of a plain answer")
    async with StandIn(answer) as claude, forwarding(tmp_path, {"claude": claude}) as house:
        told = await house.ask(message_request(("x-api-key", "a")))
    assert words_of(told) == "all of a plain answer"

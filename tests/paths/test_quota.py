"""What is left of the plan: read from every answer that says it, the newest shown, and untouched on its way."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from tests.asking import Reply, ask
from tests.claude_request import claude_body, claude_headers, stored_login
from tests.in_process import LOGIN, InProcess, in_process
from tests.paths.quota_headers import ALLOWED, ONE_MODEL_SPENT, PREFIX, RESET, SPENT, WARNING, Pairs, headers
from tests.raw_client import connected, request
from tests.stand_in import Answer, Received, StandIn, Wire, fails, message_json, replies, resets, says, text_stream
from tests.web.described import assert_as_described

JSON = ("Content-Type", "application/json")
STORED = "canary-of-a-stored-login"
CLIENTS = "canary-of-the-client"


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[StandIn]:
    async with StandIn() as running:
        yield running


@pytest_asyncio.fixture
async def daemon(tmp_path: Path, upstream: StandIn) -> AsyncIterator[InProcess]:
    config = {"upstreams": {"claude": {"base_url": upstream.url}}, "retry": {"max_retries": 0}}
    async with in_process(tmp_path, config) as running:
        yield running


async def say_hi(daemon: InProcess, path: str = "/v1/messages", **fields: Any) -> Reply:
    return await ask(daemon.url + path, claude_body(**fields), LOGIN)


async def quota_of(daemon: InProcess, upstream: str = "claude") -> Any:
    """What /health, which is as described, says of this upstream; None where it says nothing."""
    reply = await ask(f"{daemon.url}/health", method="GET")
    assert_as_described(reply.json(), "/health", 200)
    return reply.json()["quota"].get(upstream)


async def metrics_of(daemon: InProcess) -> dict[tuple[str, ...], float]:
    """The metrics of the plan: name, window and status; the upstream is always claude."""
    text = (await ask(f"{daemon.url}/metrics", method="GET")).body.decode()
    return {
        (
            sample.name.removeprefix("claude_proxy_ratelimit_"),
            *(sample.labels[label] for label in ("window", "status") if label in sample.labels),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if "ratelimit" in sample.name and sample.labels["upstream"] == "claude"
    }


def told(daemon: InProcess) -> list[tuple[str, str]]:
    return [(line["window"], line["status"]) for line in daemon.logged("quota")]


# --- which answers are read ------------------------------------------------------------------------------


async def test_before_any_answer_has_said_it_nothing_is_known(daemon: InProcess) -> None:
    await say_hi(daemon)
    assert await quota_of(daemon) is None
    assert await metrics_of(daemon) == {}


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/v1/messages", says("hello", headers(ALLOWED))),
        ("/v1/messages/count_tokens", says("hello", headers(ALLOWED))),
        ("/v1/files", says("hello", headers(ALLOWED))),
        ("/v1/messages", fails(429, "rate_limit_error", "slow down", headers(ALLOWED))),
        ("/v1/messages", fails(400, "invalid_request_error", "no", headers(ALLOWED))),
        ("/v1/messages", fails(529, "overloaded_error", "no", headers(ALLOWED))),
        ("/v1/files", fails(404, "not_found_error", "no", headers(ALLOWED))),
    ],
    ids=["an answer", "a count", "another path", "429", "400", "529", "another path's 404"],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_it_is_read_from_every_answer_that_says_it(
    daemon: InProcess, upstream: StandIn, path: str, answer: Answer, stream: bool
) -> None:
    upstream.answer = answer
    await say_hi(daemon, path, stream=stream)
    quota = await quota_of(daemon)
    assert (quota["status"], quota["representative_claim"], quota["resets_at"]) == ("allowed", "five_hour", RESET)
    assert quota["fallback_percentage"] == 0.5
    assert quota["age_seconds"] >= 0
    assert {name: (its["status"], its["utilization"], its["resets_at"]) for name, its in quota["windows"].items()} == {
        "5h": ("allowed", 0.25, RESET),
        "7d": ("allowed", 0.125, RESET + 3600),
    }
    assert (quota["overage"]["status"], quota["overage"]["disabled_reason"]) == ("rejected", "org_level_disabled")


async def test_it_is_in_the_metrics(daemon: InProcess, upstream: StandIn) -> None:
    upstream.answer = fails(429, "rate_limit_error", "spent", headers(SPENT))
    await say_hi(daemon)
    metrics = await metrics_of(daemon)
    assert metrics["utilization_ratio", "5h"] == 1.0
    assert metrics["utilization_ratio", "7d"] == 0.125
    assert metrics["reset_timestamp_seconds", "all"] == RESET
    assert metrics["status", "all", "rejected"] == metrics["status", "5h", "rejected"] == 1
    assert metrics["status", "7d", "rejected"] == 0
    assert metrics[("read_timestamp_seconds",)] == pytest.approx((await quota_of(daemon))["read_at"], abs=0.01)


async def test_an_answer_that_does_not_say_it_and_one_that_never_came_change_nothing(
    daemon: InProcess, upstream: StandIn
) -> None:
    upstream.then(says("hello", headers(WARNING)), says("hello"), fails(500, "api_error"), resets())
    for _ in range(4):
        await say_hi(daemon)
    assert (await quota_of(daemon))["status"] == "allowed_warning"
    assert len(upstream.received) == 4


async def test_what_another_provider_says_is_no_quota(tmp_path: Path) -> None:
    async with StandIn(replies(200, message_json(), [JSON, *headers(ALLOWED)])) as minimax:
        config = {
            "upstreams": {"minimax": {"base_url": minimax.url}},
            "routes": [{"to": [{"upstream": "minimax"}]}],
        }
        async with in_process(tmp_path, config, {"FAKE_MINIMAX_KEY": "FAKE-key-of-minimax"}) as daemon:
            assert (await say_hi(daemon)).status == 200
            assert await quota_of(daemon, "minimax") is None


async def test_a_count_that_was_estimated_says_nothing(tmp_path: Path, upstream: StandIn) -> None:
    config = {"upstreams": {"claude": {"base_url": upstream.url, "count_tokens": "estimate"}}}
    upstream.answer = says("hello", headers(ALLOWED))
    async with in_process(tmp_path, config) as daemon:
        assert (await say_hi(daemon, "/v1/messages/count_tokens")).status == 200
        assert await quota_of(daemon) is None
    assert upstream.received == []


# --- what is odd -----------------------------------------------------------------------------------------


async def test_windows_and_fields_that_are_not_known_are_shown(daemon: InProcess, upstream: StandIn) -> None:
    odd = {**ONE_MODEL_SPENT, "7d_sonnet-utilization": "0.1", "upgrade-paths": "upgrade_plan,overage", "remaining": "7"}
    upstream.answer = says("hello", headers(odd))
    await say_hi(daemon)
    quota = await quota_of(daemon)
    assert list(quota["windows"]) == ["5h", "7d", "7d_oi", "7d_sonnet"]
    assert quota["windows"]["7d_oi"]["utilization"] == 1.02
    assert quota["other"] == {"upgrade-paths": "upgrade_plan,overage", "remaining": "7"}
    assert (await metrics_of(daemon))["utilization_ratio", "7d_sonnet"] == 0.1
    assert told(daemon) == [("7d_oi", "rejected")]


async def test_what_cannot_be_read_is_null_and_one_line_for_those_who_look_for_it(
    daemon: InProcess, upstream: StandIn
) -> None:
    odd = {"status": "allowed", "reset": "soon", "5h-utilization": "nan", "5h-reset": "1", "7d-status": "x" * 5000}
    upstream.answer = says("hello", headers(odd))
    assert (await say_hi(daemon)).status == 200
    quota = await quota_of(daemon)
    assert (quota["status"], quota["resets_at"], quota["overage"]) == ("allowed", None, None)
    assert quota["windows"]["5h"]["utilization"] is None
    [line] = daemon.logged("quota_malformed")
    assert (line["level"], line["fields"]) == ("debug", "reset,5h-utilization,7d-status")


async def test_an_answer_of_nothing_but_such_fields_is_answered_and_shown_as_ever(
    daemon: InProcess, upstream: StandIn
) -> None:
    flood = [(f"{PREFIX}{number}x{'y' * 100}", "z" * 400) for number in range(100)]
    upstream.then(says("hello", headers(ALLOWED)), says("hello", flood))
    for _ in range(2):
        assert (await say_hi(daemon)).status == 200
    assert (await quota_of(daemon))["status"] == "allowed"


# --- newest wins -----------------------------------------------------------------------------------------


class Held:
    """Answers whose heads and ends the test lets go, one by one, by the number in their question."""

    def __init__(self) -> None:
        self._heads = [asyncio.Event() for _ in range(2)]
        self._ends = [asyncio.Event() for _ in range(2)]
        self._said = [ALLOWED, WARNING]

    async def answer(self, received: Received, wire: Wire) -> None:
        number = int(received.json()["messages"][0]["content"][0]["text"])
        await self._heads[number].wait()
        await wire.start_stream(headers(self._said[number]))
        first, *events = text_stream()
        await wire.chunk(first)
        await self._ends[number].wait()
        for event in events:
            await wire.chunk(event)
        await wire.end()

    @contextlib.asynccontextmanager
    async def begun(self, daemon: InProcess, number: int) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer of this number, whose first event has come."""
        self._heads[number].set()
        body = claude_body(str(number), stream=True)
        sent = {**LOGIN, "Content-Type": "application/json"}
        async with (
            asyncio.timeout(20),
            aiohttp.ClientSession() as session,
            session.post(f"{daemon.url}/v1/messages", data=body, headers=sent) as reply,
        ):
            await reply.content.readany()
            yield reply

    def let_end(self, number: int) -> None:
        self._ends[number].set()


@pytest.mark.parametrize("first_to_end", [0, 1])
async def test_of_answers_that_overlap_the_one_that_began_last_counts_whichever_ends_last(
    daemon: InProcess, upstream: StandIn, first_to_end: int
) -> None:
    held = Held()
    upstream.answer = held.answer
    async with held.begun(daemon, 0) as older:
        assert (await quota_of(daemon))["status"] == "allowed", "while it runs"
        async with held.begun(daemon, 1) as newer:
            assert (await quota_of(daemon))["status"] == "allowed_warning"
            for number in (first_to_end, 1 - first_to_end):
                held.let_end(number)
                await (newer if number else older).content.read()
                assert (await quota_of(daemon))["status"] == "allowed_warning"


async def test_a_question_asked_first_whose_answer_comes_last_is_the_newest(
    daemon: InProcess, upstream: StandIn
) -> None:
    held = Held()
    upstream.answer = held.answer
    asked_first = asyncio.create_task(say_hi(daemon, text="0", stream=True))
    await upstream.wait_for(lambda: len(upstream.received) == 1)
    async with held.begun(daemon, 1):
        assert (await quota_of(daemon))["status"] == "allowed_warning"
        held.let_end(0)
        async with held.begun(daemon, 0):
            assert (await quota_of(daemon))["status"] == "allowed"
        await asked_first


async def test_one_models_week_is_shown_on_while_other_models_are_asked(daemon: InProcess, upstream: StandIn) -> None:
    upstream.then(fails(429, "rate_limit_error", "spent", headers(ONE_MODEL_SPENT)), says("hello", headers(ALLOWED)))
    await say_hi(daemon, model="claude-fable-5-1")
    await say_hi(daemon)
    quota = await quota_of(daemon)
    assert quota["status"] == "allowed"
    assert quota["windows"]["7d_oi"]["status"] == "rejected"
    assert quota["windows"]["7d_oi"]["read_at"] < quota["read_at"]


async def test_each_change_is_told_once_whoever_asks(daemon: InProcess, upstream: StandIn) -> None:
    for said in (ALLOWED, WARNING, SPENT, ALLOWED):
        upstream.answer = says("hello", headers(said))
        await asyncio.gather(*(say_hi(daemon, stream=stream) for stream in (False, True) for _ in range(4)))
        await say_hi(daemon, "/v1/messages/count_tokens")
    assert sorted(told(daemon)) == sorted(
        (window, status) for window in ("5h", "all") for status in ("allowed_warning", "rejected", "allowed")
    )
    levels = [(line["status"], line["level"]) for line in daemon.logged("quota")]
    assert set(levels) == {("allowed_warning", "warning"), ("rejected", "warning"), ("allowed", "info")}


async def test_a_reload_keeps_what_was_read_but_of_another_address(daemon: InProcess, upstream: StandIn) -> None:
    upstream.answer = says("hello", headers(ALLOWED))
    await say_hi(daemon)
    house = daemon.house
    house.reload(replace(house.settings, drain_timeout=1.0))
    assert await quota_of(daemon) is not None
    elsewhere = replace(house.settings.upstreams["claude"], base_url="http://127.0.0.1:9")
    house.reload(replace(house.settings, upstreams={**house.settings.upstreams, "claude": elsewhere}))
    assert await quota_of(daemon) is None
    assert await metrics_of(daemon) == {}


# --- what the client gets, and what nobody gets ----------------------------------------------------------

ODD_HEADERS: Pairs = [
    ("request-id", "req_1"),
    *headers({**WARNING, "upgrade-paths": "a, b", "5h-odd": "  x  y  ", "reset-again": "nan", "note": "y" * 5000}),
    ("Anthropic-RateLimit-Unified-STATUS", "rejected"),
    (PREFIX + "5h-reset", "soon"),
]


@pytest.mark.parametrize(
    "answer",
    [
        replies(200, message_json(), [JSON, *ODD_HEADERS]),
        fails(429, "rate_limit_error", "slow down", ODD_HEADERS),
        fails(529, "overloaded_error", "no", ODD_HEADERS),
    ],
    ids=["200", "429", "529"],
)
async def test_the_client_gets_every_one_of_these_headers_as_it_came(
    daemon: InProcess, upstream: StandIn, answer: Answer
) -> None:
    upstream.answer = answer
    sent = [*LOGIN.items(), JSON, ("Connection", "close")]
    async with connected(daemon.port) as connection:
        host = f"127.0.0.1:{daemon.port}"
        await connection.send(request("POST", "/v1/messages", host=host, headers=sent, body=claude_body()))
        outcome = await connection.end()
    got = [(key, value) for key, value in outcome.final.headers if key.lower().startswith(PREFIX)]
    assert got == [(key, value.strip()) for key, value in ODD_HEADERS if key != "request-id"]
    assert await quota_of(daemon) is not None


@pytest.mark.parametrize("place", ["status", "a window", "another field", "a name"])
@pytest.mark.parametrize("whose", ["the client's", "a stored one"])
async def test_a_credential_that_an_upstream_repeats_there_is_shown_nowhere(
    tmp_path: Path, upstream: StandIn, place: str, whose: str
) -> None:
    secret = CLIENTS if whose == "the client's" else STORED
    said = {
        "status": {"status": secret},
        "a window": {"status": "rejected", "5h-status": f"for {secret}"},
        "another field": {"status": "rejected", "note": f"Bearer {secret}"},
        "a name": {"status": "rejected", f"{secret}": "x"},
    }[place]
    upstream.answer = says("hello", headers(said))
    login = tmp_path / ".claude" / ".credentials.json"
    login.parent.mkdir()
    login.write_text(stored_login(STORED))
    config = {
        "upstreams": {"claude": {"base_url": upstream.url}},
        "credentials": {"claude": {"sources": ["client", "file"]}},
    }
    brought = {"Authorization": f"Bearer {CLIENTS}"} if whose == "the client's" else {"x-api-key": "proxy-managed"}
    async with in_process(tmp_path, config) as daemon:
        reply = await ask(f"{daemon.url}/v1/messages", claude_body(), claude_headers(brought))
        assert reply.status == 200
        pages = [(await ask(daemon.url + path, method="GET")).body.decode() for path in ("/health", "/metrics")]
        assert secret in str(upstream.received[0].headers)
        assert secret not in "".join(pages) + str(daemon.records)

"""What is metered is kept however a stream ends, and what it cost is told with who pays for it."""

import json
import re
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from claude_proxy.exchange import Attempt, Exchange
from claude_proxy.failures import Failure
from claude_proxy.ledger.price_table import rates
from claude_proxy.ledger.prices import PriceSettings
from tests.asking import ask
from tests.claude_request import claude_body
from tests.in_process import LOGIN, InProcess, in_process
from tests.paths.held_streams import ASKED
from tests.raw_client import connected, request
from tests.running import eventually, running
from tests.stand_in import (
    Answer,
    StandIn,
    hangs,
    message_end,
    replies,
    resets,
    sse,
    streams,
    text_block,
)

OPUS = "claude-opus-5-5"
USAGE = {
    "input_tokens": 1000,
    "cache_creation_input_tokens": 3000,
    "cache_read_input_tokens": 10_000,
    "cache_creation": {"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 2000},
    "output_tokens": 1,
    "service_tier": "standard",
}
# 1000 x 4 + 1000 x 5 + 2000 x 8 + 10000 x 0.2, and 20 for each token of output, in millionths of a dollar.
PROMPT = 27_000
KINDS = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
KEY = {"x-api-key": "sk-ant-api03-FAKE-key-of-the-client"}


def started(model: str = OPUS, **more: Any) -> bytes:
    message = {"type": "message", "role": "assistant", "model": model, "content": [], "usage": {**USAGE, **more}}
    return sse("message_start", {"type": "message_start", "message": message})


def whole(output: int = 100, **more: Any) -> list[bytes]:
    return [started(**more), *text_block("one two three"), *message_end(output_tokens=output)]


def asked(model: str = OPUS) -> dict[str, Any]:
    return {**ASKED, "model": model}


def dollars(output: int, factor: float = 1) -> str:
    return f"{(PROMPT + 20 * output) * factor / 1e6:.6f}".rstrip("0")


def house_of(upstream: StandIn, **more: Any) -> dict[str, Any]:
    return {"upstreams": {"claude": {"base_url": upstream.url}}, **more}


def posted(port: int, body: dict[str, Any]) -> bytes:
    headers = [*LOGIN.items(), ("Content-Type", "application/json")]
    return request("POST", "/v1/messages", host=f"127.0.0.1:{port}", headers=headers, body=json.dumps(body).encode())


class Watching:
    """Looks at the newest exchange while it runs."""

    def __init__(self) -> None:
        self._exchange: Exchange | None = None

    def output_tokens(self) -> int | None:
        attempts = self._exchange.attempts if self._exchange is not None else []
        return attempts[-1].usage.output_tokens if attempts and attempts[-1].usage is not None else None

    def began(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def skipped(self, exchange: Exchange, upstream: str, failure: Failure) -> None: ...

    def quota_read(self, exchange: Exchange, attempt: Attempt) -> None: ...

    def attempt_failed(self, exchange: Exchange, attempt: Attempt) -> None: ...

    def closed(self, exchange: Exchange) -> None: ...


async def line_of(daemon: InProcess, number: int = 1) -> dict[str, Any]:
    await eventually(lambda: len(daemon.logged("exchange")) == number)
    return daemon.logged("exchange")[-1]


async def metrics_of(daemon: InProcess) -> dict[str, float]:
    text = (await ask(f"{daemon.url}/metrics", method="GET")).body.decode()
    found = re.findall(r"^claude_proxy_(\w+_total\{.*\}) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in found}


async def _leaves(daemon: InProcess) -> None:
    async with connected(daemon.port) as client:
        await client.send(posted(daemon.port, asked()))
        assert await client.read_until(lambda so_far: b"message_delta" in so_far.raw)


async def _reads(daemon: InProcess) -> None:
    await ask(f"{daemon.url}/v1/messages", asked(), LOGIN)


CUT: dict[str, tuple[Callable[[list[bytes]], Answer], Callable[[InProcess], Awaitable[None]], str]] = {
    "by the client": (hangs, _leaves, "client_gone"),
    "by a stall": (hangs, _reads, "broken"),
    "by a reset": (resets, _reads, "broken"),
    "by nobody": (streams, _reads, "complete"),
}


@pytest.mark.parametrize("how", CUT)
async def test_a_stream_keeps_what_was_metered_however_it_is_cut(tmp_path: Path, how: str) -> None:
    ending, cut, end = CUT[how]
    events = whole()
    silence = {"stream_idle_timeout": "300ms" if how == "by a stall" else "1m"}
    async with (
        StandIn(ending(events if how == "by nobody" else events[:-1])) as upstream,
        in_process(tmp_path, house_of(upstream, transport=silence)) as daemon,
    ):
        await cut(daemon)
        line = await line_of(daemon)
        metrics = await metrics_of(daemon)
    assert (line["end"], line["input_tokens"], line["output_tokens"]) == (end, 1000, 100)
    assert (line["cache_write"], line["cache_read"]) == (3000, 10_000)
    assert (line["list_value"], line["billing"]) == (dollars(100), "plan")
    counted = [metrics[f'tokens_total{{model="{OPUS}",type="{kind}",upstream="claude"}}'] for kind in KINDS]
    assert counted == [1000, 100, 10_000, 1000, 2000]
    assert metrics[f'cost_usd_total{{billing="plan",model="{OPUS}",upstream="claude"}}'] == pytest.approx(0.029)


async def test_a_stream_that_the_daemon_s_own_end_cuts_off_keeps_what_was_metered(tmp_path: Path) -> None:
    async with (
        StandIn(hangs([started()])) as upstream,
        running(tmp_path, house_of(upstream, drain_timeout="100ms")) as daemon,
        connected(daemon.port) as client,
    ):
        await client.send(posted(daemon.port, asked()))
        assert await client.read_until(lambda so_far: b"message_start" in so_far.raw)
        daemon.signal(signal.SIGTERM)
        assert await daemon.ended() == 1
    (line,) = [line for line in daemon.log.splitlines() if "event=exchange" in line]
    assert f"output_tokens=1 cache_read=10000 cache_write=3000 list_value={dollars(1)} billing=plan" in line


async def test_a_message_put_together_here_keeps_what_was_metered_when_the_client_leaves(tmp_path: Path) -> None:
    async with StandIn(hangs(whole()[:-1])) as upstream:
        house = house_of(upstream, transport={"demote_nonstreaming": True})
        watching = Watching()
        async with in_process(tmp_path, house, observers=[watching]) as daemon:
            async with connected(daemon.port) as client:
                await client.send(posted(daemon.port, {**asked(), "stream": False}))
                await eventually(lambda: watching.output_tokens() == 100)
            line = await line_of(daemon)
    assert (line["end"], line["list_value"], line["billing"]) == ("client_gone", dollars(100), "plan")


@pytest.mark.parametrize(
    ("credential", "usage", "answered", "billing", "factor"),
    [
        (LOGIN, {}, {}, "plan", 1),
        (KEY, {}, {}, "api", 1),
        ({"Authorization": "Bearer a-gateway-s-own-token-FAKE"}, {}, {}, "api", 1),
        (LOGIN, {"speed": "fast"}, {}, "api", 2),
        (LOGIN, {"inference_geo": "us"}, {}, "plan", 1.1),
        (LOGIN, {}, {"anthropic-ratelimit-unified-overage-in-use": "true"}, "api", 1),
        (LOGIN, {}, {"anthropic-ratelimit-unified-overage-status": "allowed"}, "plan", 1),
    ],
)
async def test_who_pays_is_known_by_what_was_sent_and_what_was_answered(
    tmp_path: Path,
    credential: dict[str, str],
    usage: dict[str, Any],
    answered: dict[str, str],
    billing: str,
    factor: float,
) -> None:
    async with (
        StandIn(streams(whole(**usage), headers=tuple(answered.items()))) as upstream,
        in_process(tmp_path, house_of(upstream)) as daemon,
    ):
        await ask(f"{daemon.url}/v1/messages", asked(), credential)
        line = await line_of(daemon)
        metrics = await metrics_of(daemon)
    assert (line["list_value"], line["billing"]) == (dollars(100, factor), billing)
    costs = {name: value for name, value in metrics.items() if name.startswith("cost_usd")}
    expected = pytest.approx(float(dollars(100, factor)))
    assert costs == {f'cost_usd_total{{billing="{billing}",model="{OPUS}",upstream="claude"}}': expected}


async def test_each_upstream_has_its_own_prices_and_its_own_payer(tmp_path: Path) -> None:
    """MiniMax by its key, a coding plan by a key too, and a model of this machine by nothing."""
    async with StandIn(streams(whole())) as upstream:
        config = {
            "credentials": {"minimax": {"sources": ["env:A_KEY"]}, "coding": {"sources": ["env:A_KEY"]}},
            "upstreams": {
                "minimax": {"base_url": upstream.url},
                "coding": {"base_url": upstream.url, "dialect": "compatible", "credential": "coding", "plan": True},
                "local": {"base_url": upstream.url, "dialect": "compatible", "credential": None},
            },
            "routes": [
                {"model": "m", "to": [{"upstream": "minimax", "model": "MiniMax-M2.5-highspeed"}]},
                {"model": "c", "to": [{"upstream": "coding", "model": "kimi-k2"}]},
                {"model": "l", "to": [{"upstream": "local", "model": OPUS}]},
                {"to": [{"upstream": "coding"}]},
            ],
            "prices": {"models": {"kimi-*": {"input": 1, "output": 2}}},
        }
        async with in_process(tmp_path, config, {"A_KEY": "sk-FAKE-key-of-a-provider"}) as daemon:
            told = []
            for number, model in enumerate(["m", "c", "l", "nobody-s"], 1):
                await ask(f"{daemon.url}/v1/messages", asked(model), LOGIN)
                line = await line_of(daemon, number)
                told.append((line["upstream"], line["billing"], line.get("list_value"), line.get("unpriced_tokens")))
    # MiniMax: 1000 x 0.6 + 3000 x 0.375 + 10000 x 0.03 + 100 x 2.4; ours: 14000 x 1 + 100 x 2.
    assert told == [
        ("minimax", "api", "0.002265", None),
        ("coding", "plan", "0.0142", None),
        ("local", "none", "0.00", None),
        ("coding", "plan", None, 14_100),
    ]


async def test_a_count_of_tokens_costs_nothing(tmp_path: Path) -> None:
    async with (
        StandIn(replies(200, b'{"input_tokens": 5}')) as upstream,
        in_process(tmp_path, house_of(upstream)) as daemon,
    ):
        await ask(f"{daemon.url}/v1/messages/count_tokens", claude_body(stream=None), KEY)
        assert (await line_of(daemon))["billing"] == "none"
        assert not [name for name in await metrics_of(daemon) if name.startswith(("cost", "unpriced", "tokens"))]


async def test_a_reload_puts_other_prices_in_force(tmp_path: Path) -> None:
    async with StandIn(streams(whole())) as upstream, in_process(tmp_path, house_of(upstream)) as daemon:
        await ask(f"{daemon.url}/v1/messages", asked(), KEY)
        assert (await line_of(daemon))["list_value"] == dollars(100)
        prices = PriceSettings({OPUS: rates({"input": "0", "output": "1"})})
        daemon.house.reload(msgspec.structs.replace(daemon.house.settings, prices=prices))
        await ask(f"{daemon.url}/v1/messages", asked(), KEY)
        assert (await line_of(daemon, 2))["list_value"] == "0.0001"

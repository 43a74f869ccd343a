"""The stand-in over real sockets: two APIs, each with its own key, which the official SDK understands."""

import io
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import anthropic
import pytest
import pytest_asyncio

from claude_proxy.demo.script import OVERLOADED, Provider
from claude_proxy.demo.stand_in import StandIn
from claude_proxy.wire.quota import read_quota
from tests.asking import Reply, ask
from tests.official_sdk import MODEL, official_sdk

ASKED: dict[str, Any] = {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}
WITH_RESULT: dict[str, Any] = {
    **ASKED,
    "messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "x"}]}],
}


@pytest_asyncio.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    async with StandIn(pause=0) as stand_in:
        yield stand_in


async def asked(stand_in: StandIn, provider: Provider, body: Any, path: str = "/v1/messages") -> Reply:
    headers = {"Authorization": f"Bearer {stand_in.keys[provider]}"}
    return await ask(stand_in.base_url(provider) + path, body, headers)


async def test_the_official_sdk_reads_a_stream_and_a_whole_message_alike(stand_in: StandIn) -> None:
    key = stand_in.keys[Provider.CLAUDE]
    async with official_sdk(stand_in.base_url(Provider.CLAUDE), api_key=key) as sdk:
        whole = await sdk.messages.create(**ASKED)
        async with sdk.messages.stream(**ASKED) as stream:
            streamed = await stream.get_final_message()
    assert whole.content[0].type == "text"
    assert "no model answers here" in whole.content[0].text
    assert streamed.content[0].to_dict() == whole.content[0].to_dict()
    assert (streamed.model, streamed.stop_reason, streamed.usage.input_tokens > 0) == (MODEL, "end_turn", True)


async def test_the_official_sdk_reads_its_errors(stand_in: StandIn) -> None:
    async with official_sdk(stand_in.base_url(Provider.CLAUDE), api_key="FAKE") as sdk:
        with pytest.raises(anthropic.AuthenticationError, match="not the key of the demo's stand-in"):
            await sdk.messages.create(**ASKED)


async def test_a_request_is_asked_for_under_its_own_name(stand_in: StandIn) -> None:
    reply = await asked(stand_in, Provider.MINIMAX, {**ASKED, "model": "MiniMax-M2.5", "stream": True})
    assert reply.headers["Content-Type"] == "text/event-stream"
    assert reply.events[0][1]["message"]["model"] == "MiniMax-M2.5"
    assert reply.events[-1][0] == "message_stop"


@pytest.mark.parametrize("provider", Provider)
async def test_the_other_s_key_opens_nothing(stand_in: StandIn, provider: Provider) -> None:
    other = next(each for each in Provider if each is not provider)
    for headers in ({"x-api-key": stand_in.keys[other]}, {"Authorization": "Bearer demo"}, {}):
        reply = await ask(stand_in.base_url(provider) + "/v1/messages", ASKED, headers)
        assert (reply.status, reply.json()["error"]["type"]) == (401, "authentication_error")


async def test_keys_are_of_one_run() -> None:
    assert len({*StandIn().keys.values(), *StandIn().keys.values()}) == 4


async def test_minimax_is_overloaded_where_the_script_says_so(stand_in: StandIn) -> None:
    reply = await asked(stand_in, Provider.MINIMAX, WITH_RESULT)
    assert (reply.status, reply.json()["error"]) == (529, {"type": "overloaded_error", "message": OVERLOADED})
    assert (await asked(stand_in, Provider.CLAUDE, WITH_RESULT)).status == 200


@pytest.mark.parametrize("stream", [True, False])
async def test_claude_states_a_plan_and_minimax_none(stand_in: StandIn, stream: bool) -> None:
    claude = await asked(stand_in, Provider.CLAUDE, {**ASKED, "stream": stream})
    quota = read_quota(tuple(claude.headers.items()))
    assert quota is not None
    assert quota.malformed == ()
    assert quota.other == {}
    assert {name: window.utilization for name, window in quota.windows.items()} == {"5h": 0.42, "7d": 0.17}
    assert claude.headers["request-id"].startswith("req_demo_")
    minimax = await asked(stand_in, Provider.MINIMAX, {**ASKED, "stream": stream})
    assert read_quota(tuple(minimax.headers.items())) is None


async def test_tokens_are_counted(stand_in: StandIn) -> None:
    short = await asked(stand_in, Provider.CLAUDE, ASKED, "/v1/messages/count_tokens?beta=true")
    long = await asked(stand_in, Provider.CLAUDE, {**ASKED, "system": "x" * 100_000}, "/v1/messages/count_tokens")
    assert 0 < short.json()["input_tokens"] < long.json()["input_tokens"]


async def test_a_long_conversation_is_taken(stand_in: StandIn) -> None:
    body = io.BytesIO(json.dumps({**ASKED, "system": "x" * 3_000_000}).encode())
    headers = {"x-api-key": stand_in.keys[Provider.CLAUDE]}
    url = stand_in.base_url(Provider.CLAUDE) + "/v1/messages"
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as reply:
        assert reply.status == 200


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/messages", b"no json", 400),
        ("/v1/messages", b"[]", 400),
        ("/v1/messages", b"[" * 100_000, 400),
        ("/v1/files", b"{}", 404),
        ("/v1/messages/batches", b"{}", 404),
    ],
)
async def test_what_it_does_not_know_is_refused_in_anthropic_s_shape(
    stand_in: StandIn, path: str, body: bytes, status: int
) -> None:
    reply = await asked(stand_in, Provider.CLAUDE, body, path)
    assert reply.status == status
    assert json.loads(reply.body)["type"] == "error"

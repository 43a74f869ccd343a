"""A stream put together is the message that the official SDK makes of the same events."""

import json
from typing import Any

import httpx2
from anthropic import Anthropic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claude_proxy.wire.assemble import Assembly
from claude_proxy.wire.sse import EventCutter
from tests.official_sdk import API_KEY, MODEL
from tests.wire.described_messages import streams_of_messages


def put_together(stream: bytes, cuts: list[int]) -> Any:
    """What our own assembly makes of a stream that arrives in these pieces."""
    assembly, cutter = Assembly(), EventCutter()
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        assembly.feed(cutter.feed(stream[start:end]))
    assert assembly.complete
    return json.loads(assembly.message())


def by_the_sdk(stream: bytes) -> Any:
    """The message that the SDK accumulates. Its stream is read from memory: only what it makes of it counts."""
    answer = httpx2.MockTransport(
        lambda _: httpx2.Response(200, headers={"Content-Type": "text/event-stream"}, content=stream)
    )
    with (
        httpx2.Client(transport=answer) as client,
        Anthropic(api_key=API_KEY, base_url="http://127.0.0.1:9", max_retries=0, http_client=client) as sdk,
        sdk.beta.messages.stream(model=MODEL, max_tokens=9, messages=[{"role": "user", "content": "hi"}]) as events,
    ):
        return events.get_final_message().to_dict(mode="json", warnings=False)  # of kinds that its models do not know


def without_nulls(message: dict[str, Any]) -> dict[str, Any]:
    """The SDK gives every field of its models that it touches a value, null where the stream has none, and leaves
    out others that the stream says are null: a null member of message, block and usage counts as none. What lies
    deeper, such as a tool's input, is compared as it is."""

    def kept(parts: dict[str, Any]) -> dict[str, Any]:
        return {name: part for name, part in parts.items() if part is not None}

    return kept({**message, "content": [kept(block) for block in message["content"]], "usage": kept(message["usage"])})


@given(streams_of_messages(), st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_a_stream_is_put_together_as_the_official_sdk_does_it(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    assert without_nulls(put_together(stream, cuts)) == without_nulls(by_the_sdk(stream))

"""The usage that is read from a stream, whole or cut anywhere, is that of the official SDK's accumulated message."""

from typing import Any

import httpx2
from anthropic import Anthropic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claude_proxy.wire.sse import EventCutter
from claude_proxy.wire.usage import LARGEST_COUNT, Usage, UsageReader
from tests.official_sdk import API_KEY, MODEL
from tests.wire.described_messages import streams_of_messages

_AT_THE_TOP = (
    "input_tokens",
    "output_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "service_tier",
    "speed",
    "inference_geo",
)
_WITHIN = {
    "cache_creation_5m_input_tokens": ("cache_creation", "ephemeral_5m_input_tokens"),
    "cache_creation_1h_input_tokens": ("cache_creation", "ephemeral_1h_input_tokens"),
    "thinking_tokens": ("output_tokens_details", "thinking_tokens"),
    "web_search_requests": ("server_tool_use", "web_search_requests"),
    "web_fetch_requests": ("server_tool_use", "web_fetch_requests"),
}


def by_the_sdk(stream: bytes) -> dict[str, Any] | None:
    """The usage of the message as far as the SDK has accumulated it; None before it has begun."""
    answer = httpx2.MockTransport(
        lambda _: httpx2.Response(200, headers={"Content-Type": "text/event-stream"}, content=stream)
    )
    with (
        httpx2.Client(transport=answer) as client,
        Anthropic(api_key=API_KEY, base_url="http://127.0.0.1:9", max_retries=0, http_client=client) as sdk,
        sdk.beta.messages.stream(model=MODEL, max_tokens=9, messages=[{"role": "user", "content": "hi"}]) as events,
    ):
        begun = False
        for _ in events:
            begun = True
        if not begun:
            return None
        usage: dict[str, Any] = events.current_message_snapshot.usage.to_dict(mode="json", warnings=False)
        return usage


def in_its_words(usage: Usage) -> dict[str, Any]:
    said = {name: getattr(usage, name) for name in (*_AT_THE_TOP, *_WITHIN)}
    iterations = [
        (each.kind, each.model, each.usage.input_tokens, each.usage.output_tokens) for each in usage.iterations or ()
    ]
    return {**said, "iterations": iterations}


def flat(sdk: dict[str, Any]) -> dict[str, Any]:
    said = {name: sdk.get(name) for name in _AT_THE_TOP}
    within = {name: (sdk.get(outer) or {}).get(inner) for name, (outer, inner) in _WITHIN.items()}
    iterations = [
        (each["type"], each.get("model"), each["input_tokens"], each["output_tokens"])
        for each in sdk.get("iterations") or ()
    ]
    return {**said, **within, "iterations": iterations}


@given(streams_of_messages(most=LARGEST_COUNT), st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_what_was_metered_up_to_a_cut_is_what_the_official_sdk_has_by_then(stream: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(stream)) | st.just(len(stream)))
    cutter, reader = EventCutter(), UsageReader()
    block = cutter.feed(stream[:cut])
    reader.feed(block)
    expected = by_the_sdk(block)
    assert reader.started == (expected is not None)
    if expected is not None:
        assert in_its_words(reader.usage) == flat(expected)

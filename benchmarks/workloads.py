"""The workloads and their bytes on the wire: requests as Claude Code's, answers as Anthropic's."""

import functools
import json
import re
import time
from dataclasses import dataclass
from typing import Any

MODEL = "claude-sonnet-4-5-20250929"
# The request header that tells the stand-in upstream what to answer with: a `Stream` as text. A proxy hands it on.
STREAM_HEADER = "x-bench-stream"
STAMP = re.compile(rb"@\d{12}\.\d{6}")  # when an event was sent: seconds of the clock that all processes share
NO_STAMP = b"@000000000000.000000"
JSON_BYTES = 1_000
FIXED_EVENTS = 6  # those of every stream: all but the text deltas


@dataclass(frozen=True)
class Stream:
    """What a streamed answer is made of: so many events, each delta of so many bytes (0: a line of prose), with
    `pause` seconds between two of them (0: all at once). It travels as one header."""

    events: int = 0  # 0: a JSON answer
    delta_bytes: int = 0
    pause: float = 0.0

    def __str__(self) -> str:
        return f"{self.events} {self.delta_bytes} {self.pause:g}"

    @classmethod
    def read(cls, text: str) -> "Stream":
        """What the header says. Raises ValueError."""
        events, delta_bytes, pause = (*text.split(), "0", "0")[:3]
        return cls(int(events), int(delta_bytes), float(pause))


@dataclass(frozen=True)
class Workload:
    """One kind of traffic."""

    name: str
    body_bytes: int
    stream: Stream
    connections: int
    requests: int  # in each round, after the warm-up
    warm_up: int
    rest: float = 0.0  # seconds that a connection rests after each answer

    @property
    def options(self) -> dict[str, float]:
        """Of the load generator."""
        return {
            "body-bytes": self.body_bytes,
            "events": self.stream.events,
            "delta-bytes": self.stream.delta_bytes,
            "pause": self.stream.pause,
            "connections": self.connections,
            "requests": self.requests,
            "warm-up": self.warm_up,
            "rest": self.rest,
        }

    @property
    def title(self) -> str:
        answer = f"JSON answer of {JSON_BYTES / 1000:g} KB"
        if self.stream.events:
            size = f" of {self.stream.delta_bytes} B" if self.stream.delta_bytes else ""
            pace = f", one each {self.stream.pause * 1000:g} ms" if self.stream.pause else ""
            answer = f"SSE answer of {self.stream.events} events{size}{pace}"
        many = "1 connection" if self.connections == 1 else f"{self.connections} connections"
        rest = f" that rests {self.rest * 1000:g} ms after each" if self.rest else ""
        return f"{self.body_bytes / 1000:g} KB body, {answer}, {many}{rest}"


WORKLOADS = (
    Workload("small-1", 1_000, Stream(), connections=1, requests=1500, warm_up=50),
    Workload("small-32", 1_000, Stream(), connections=32, requests=2000, warm_up=64),
    Workload("stream-1", 85_000, Stream(50), connections=1, requests=600, warm_up=30),
    Workload("unloaded-1", 85_000, Stream(50), connections=1, requests=30, warm_up=5, rest=0.1),
    Workload("stream-16", 85_000, Stream(50), connections=16, requests=800, warm_up=32),
    Workload("large-4", 1_000_000, Stream(20), connections=4, requests=150, warm_up=8),
    Workload("events-8", 1_000, Stream(2000, 120), connections=8, requests=80, warm_up=8),
    Workload("idle-200", 1_000, Stream(70, 120, 0.05), connections=200, requests=200, warm_up=0),
)


def request_bytes(body_bytes: int, stream: Stream, host: str) -> bytes:
    """A whole request: headers as the real client's, with a login that is none."""
    body = request_body(body_bytes, stream.events > 0)
    headers = {
        "Host": host,
        "Connection": "keep-alive",
        "Accept": "application/json",
        "Accept-Encoding": "gzip, deflate, br, zstd",
        "Authorization": "Bearer sk-ant-oat01-FAKE-benchmark-login-that-opens-nothing",
        "Content-Type": "application/json",
        "User-Agent": "claude-cli/2.1.197 (external, sdk-cli)",
        "X-Claude-Code-Session-Id": "6f1d2c3b-0000-4000-8000-5a4b3c2d1e0f",
        "X-Stainless-Arch": "x64",
        "X-Stainless-Lang": "js",
        "X-Stainless-OS": "Linux",
        "X-Stainless-Package-Version": "0.94.0",
        "X-Stainless-Retry-Count": "0",
        "X-Stainless-Runtime": "node",
        "X-Stainless-Runtime-Version": "v24.3.0",
        "X-Stainless-Timeout": "600",
        "anthropic-beta": "claude-code-20250219,oauth-2025-04-20,interleaved-thinking-2025-05-14,"
        "context-management-2025-06-27,prompt-caching-scope-2026-01-05,effort-2025-11-24",
        "anthropic-dangerous-direct-browser-access": "true",
        "anthropic-version": "2023-06-01",
        "x-app": "cli",
        STREAM_HEADER: str(stream),
        "Content-Length": str(len(body)),
    }
    head = "POST /v1/messages?beta=true HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items())
    return head.encode() + b"\r\n" + body


def request_body(size: int, stream: bool) -> bytes:
    """A body of exactly this size, as JavaScript writes JSON; most of a large one is prompt and tools."""
    tools: list[dict[str, Any]] = []
    asked: dict[str, Any] = {
        "model": MODEL,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "say hi"}]}],
        "system": [{"type": "text", "text": ""}],
        "tools": tools,
        "metadata": {"user_id": '{"device_id":"d0","account_uuid":"a0","session_id":"s0"}'},
        "max_tokens": 64000,
    }
    if stream:
        asked["stream"] = True
    prose = 'Use "quotes", tabs\tand new lines\nas real descriptions do, not only words \u2014 and umlauts: ü.\n'
    if size > 10_000:
        asked["thinking"] = {"type": "adaptive"}
        asked["context_management"] = {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}
        asked["system"] = [
            {"type": "text", "text": "You are Claude Code, Anthropic's official CLI for Claude."},
            {"type": "text", "text": prose * 150, "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        ]
        one = len(_written(_tool("Tool000000", prose * 20))) + 1
        room = size - 4_000 - len(_written(asked))
        tools += [_tool(f"Tool{number}", prose * 20) for number in range(room // one)]
    missing = size - len(_written(asked))
    if missing < 0:
        raise ValueError(f"a body of {size} bytes is too small: the least is {size - missing}")
    asked["messages"][0]["content"][0]["text"] += "." * missing
    return _written(asked)


def _tool(name: str, description: str) -> dict[str, Any]:
    kinds = ("string", "number", "boolean")
    properties = {f"{kind}_argument": {"type": kind, "description": "What it is for."} for kind in kinds}
    schema = {"type": "object", "properties": properties, "required": ["string_argument"]}
    return {"name": name, "description": description, "input_schema": schema}


def _written(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


@functools.cache
def json_answer() -> bytes:
    """A whole answer of JSON_BYTES."""
    message = _message([{"type": "text", "text": ""}], "end_turn")
    missing = JSON_BYTES - len(_written(message))
    message["content"][0]["text"] = "." * missing
    return _written(message)


@functools.cache
def stream_answer(stream: Stream) -> tuple[bytes, ...]:
    """The events of a whole streamed answer, each as its own bytes. Where they are paced, each delta has NO_STAMP."""
    deltas = stream.events - FIXED_EVENTS
    if deltas < 0:
        raise ValueError(f"a stream has at least {FIXED_EVENTS} events, not {stream.events}")
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    return (
        _event("message_start", message=_message([], None)),
        _event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        _event("ping"),
        *([_delta(stream)] * deltas),
        _event("content_block_stop", index=0),
        _event("message_delta", delta=stop, usage={"output_tokens": 12 * deltas}),
        _event("message_stop"),
    )


def _delta(stream: Stream) -> bytes:
    """One delta, of the size that is asked for as far as its fixed part lets it."""
    text = NO_STAMP.decode() if stream.pause else ""
    if not stream.delta_bytes:
        text += " and some forty characters of plain answer"
    else:
        bare = len(_event("content_block_delta", index=0, delta={"type": "text_delta", "text": text}))
        text += "." * (stream.delta_bytes - bare)
    return _event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


def stamped(event: bytes) -> bytes:
    """The event, saying when that was."""
    return event.replace(NO_STAMP, b"@%019.6f" % time.perf_counter(), 1)


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), _written({"type": kind, **fields}))


def _message(content: list[dict[str, Any]], stop_reason: str | None) -> dict[str, Any]:
    return {
        "model": MODEL,
        "id": "msg_01BenchmarkBenchmarkBench",
        "type": "message",
        "role": "assistant",
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 3,
            "cache_creation_input_tokens": 512,
            "cache_read_input_tokens": 20480,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 512},
            "output_tokens": 1,
            "service_tier": "standard",
        },
    }

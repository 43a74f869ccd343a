"""aimock, a stand-in of the API that none of us wrote (npm @copilotkit/aimock), as a process of its own."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.running import clean_environment

KEY = "sk-ant-api03-FAKE-known-to-aimock"  # it answers 401 to every other credential

# What its users write: a question, found in the last user message, and the answer. Ids are given, so that two
# answers to one question are equal byte for byte.
FIXTURES: list[dict[str, Any]] = [
    {
        "match": {"userMessage": "greet me"},
        "response": {
            "id": "msg_greeting",
            "content": "Grüß dich, 你好 🙂, and a longer text so that it comes in several pieces.",
            "usage": {"input_tokens": 11, "output_tokens": 23},
        },
    },
    {
        "match": {"userMessage": "think first"},
        "response": {
            "id": "msg_thinking",
            "reasoning": "Six times seven, that is forty-two.",
            "reasoningSignature": "signature-of-aimock",
            "content": "42",
        },
    },
    {
        "match": {"userMessage": "weather", "hasToolResult": False},
        "response": {
            "id": "msg_tool",
            "blocks": [
                {"type": "text", "text": "I look it up."},
                {
                    "type": "toolCall",
                    "id": "toolu_weather",
                    "name": "get_weather",
                    "arguments": {"city": "Zürich", "days": 3},
                },
            ],
        },
    },
    {
        "match": {"userMessage": "weather", "hasToolResult": True},
        "response": {"id": "msg_result", "content": "It is 18 degrees."},
    },
    {
        "match": {"userMessage": "too fast"},
        "response": {
            "error": {"type": "rate_limit_error", "message": "aimock says: slower"},
            "status": 429,
            "retryAfter": 33,
        },
    },
    {
        "match": {"userMessage": "too busy"},
        "response": {"error": {"type": "overloaded_error", "message": "aimock is busy"}, "status": 529},
    },
    {
        "match": {"userMessage": "too long"},
        "response": {
            "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 8 maximum"},
            "status": 400,
        },
    },
    {
        "match": {"userMessage": "break off"},
        # The pause lets each event leave before the connection is cut, which loses what is not yet sent.
        "response": {"id": "msg_broken", "content": "This text never comes to its end."},
        "truncateAfterChunks": 4,
        "latency": 20,
    },
]


@dataclass(frozen=True)
class Aimock:
    """A running aimock."""

    url: str

    async def journal(self) -> list[dict[str, Any]]:
        """The requests that it received, in order, with their headers (credentials redacted by aimock)."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}/__aimock/journal", headers={"x-api-key": KEY}) as answer,
        ):
            assert answer.status == 200
            entries: list[dict[str, Any]] = await answer.json()
            return entries


@contextlib.asynccontextmanager
async def running_aimock(
    program: str, directory: Path, chaos: Mapping[str, float] | None = None
) -> AsyncIterator[Aimock]:
    """Starts it on a free loopback port with the fixtures above; `program` is what `aimock_program` found.

    `chaos` is the rate of each of its faults: dropRate, malformedRate, rateLimitRate, disconnectRate. They are
    drawn in this order, the next only where the one before did not hit.
    """
    directory.mkdir(parents=True, exist_ok=True)
    fixtures, config = directory / "fixtures.json", directory / "aimock.json"
    fixtures.write_text(json.dumps({"fixtures": FIXTURES}))
    config.write_text(
        json.dumps(
            {
                "host": "127.0.0.1",
                "port": 0,
                "auth": {"apiKeys": [KEY]},
                "strict": True,
                "llm": {"fixtures": str(fixtures), "chunkSize": 12, "chaos": dict(chaos or {})},
            }
        )
    )
    process = await asyncio.create_subprocess_exec(
        program,
        *("--config", str(config)),
        env=clean_environment(directory),
        cwd=directory,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    said = b""
    try:
        async with asyncio.timeout(30):
            while not (found := re.search(rb"listening on (\S+)\n", said)):
                line = await process.stdout.readline()
                assert line, f"aimock did not start: {said.decode()}"
                said += line
        reading = asyncio.create_task(process.stdout.read())  # a full pipe would stop it
        try:
            yield Aimock(found[1].decode())
        finally:
            if process.returncode is None:
                process.terminate()
            async with asyncio.timeout(20):
                await reading
                await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

"""What the demo asks itself where nobody else shall: one request for each way that it has to show."""

import json
from typing import Any

from claude_proxy.failures import ProxyError
from claude_proxy.upstreams.connection import Pool
from claude_proxy.upstreams.transport import BrokenOff, Outbound, Transport, TransportSettings

_HAIKU = "claude-haiku-4-5-20251001"
_TOOL_CALL = {"type": "tool_use", "id": "toolu_demo", "name": "Bash", "input": {"command": "echo hello"}}
_TOOL_RESULT = {"type": "tool_result", "tool_use_id": "toolu_demo", "content": "hello"}


def _question(model: str, *turns: Any) -> bytes:
    """A request of Claude Code's shape; the turns alternate, the user's first."""
    messages = [{"role": ("user", "assistant")[number % 2], "content": turn} for number, turn in enumerate(turns)]
    return json.dumps({"model": model, "max_tokens": 1000, "stream": True, "messages": messages}).encode()


QUESTIONS = (
    _question("claude-opus-4-8", "Who are you?"),  # to Claude
    _question(_HAIKU, "Who are you?"),  # to MiniMax
    _question(_HAIKU, "Say hello.", [_TOOL_CALL], [_TOOL_RESULT]),  # to MiniMax, which is overloaded, then to Claude
)


async def ask_all(url: str, token: str) -> bool:
    """Asks one after the other, each as a stream that is read to its end; returns whether all were answered."""
    headers = (
        ("Authorization", f"Bearer {token}"),
        ("Content-Type", "application/json"),
        ("anthropic-version", "2023-06-01"),
    )
    async with Pool() as pool:
        transport = Transport(pool)
        answers = [await _ask(transport, Outbound("POST", f"{url}/v1/messages", headers, body)) for body in QUESTIONS]
    return all(answers)


async def _ask(transport: Transport, question: Outbound) -> bool:
    try:
        answer = await transport.send(question, TransportSettings(), "demo")
        try:
            body = b"".join([chunk async for chunk in answer.chunks()])
        finally:
            answer.close()
    except (ProxyError, BrokenOff):
        return False  # the table's line says why
    return answer.status == 200 and b"event: message_stop" in body

"""What the stand-in says: chosen by the request alone, and it always says that no model has answered.

A first prompt is handed over to an agent on Haiku, which Claude Code then asks for by itself; the agent runs one
`echo`. MiniMax is overloaded whenever a tool's result comes back, so that this request fails over to Claude.
"""

import secrets
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

Block = dict[str, Any]


class Provider(StrEnum):
    """Whose API is stood in for."""

    CLAUDE = "claude"
    MINIMAX = "minimax"


OVERLOADED = "the demo's MiniMax is overloaded whenever the result of a tool comes back, to show a failover"

_ECHO = "echo 'Hello from the demo of claude-proxy.'"
_LONGEST_QUOTE = 300  # characters of a tool's result that an answer repeats

# The tool that starts an agent has had both names.
_AGENT_TOOLS = ("Agent", "Task")


def answer(provider: Provider, asked: Mapping[str, Any]) -> list[Block] | None:
    """The blocks of the answer to a Messages body; None where this provider is overloaded."""
    messages = [message for message in _listed(asked.get("messages")) if isinstance(message, dict)]
    tools = {tool.get("name") for tool in _listed(asked.get("tools")) if isinstance(tool, dict)}
    said = "\n".join(_texts(messages[-1])) if messages else ""
    if not tools and "<session>" in said:
        return [_text('{"title": "A look at claude-proxy"}')]
    result = _tool_result(messages)
    if result is not None and provider is Provider.MINIMAX:
        return None
    small = provider is Provider.MINIMAX or "haiku" in str(asked.get("model"))
    if result is not None:
        return [_text(_after_failover(result) if small else _after_agent(result))]
    if not any(message.get("role") == "assistant" for message in messages):
        if small and "Bash" in tools:
            return [_text(f"{_name(provider)} calls a tool."), _call("Bash", command=_ECHO, description="Say hello")]
        agent = next((name for name in _AGENT_TOOLS if name in tools), None)
        if agent is not None and not small:
            return [_text(_BEFORE_AGENT), _call(agent, **_AGENT_INPUT)]
    return [_text(_plain(provider))]


_BEFORE_AGENT = (
    "This is the demo of claude-proxy: no model answers here, every word is scripted. Your request went through the "
    "real proxy to a stand-in for Claude. Now an agent on Haiku is started, whose requests the proxy routes to MiniMax."
)

_AGENT_INPUT = {
    "description": "Say hello",
    "prompt": "Say hello by the Bash tool, for the demo of claude-proxy.",
    "subagent_type": "general-purpose",
    "model": "haiku",
}


def _after_agent(result: str) -> str:
    return (
        f"The agent said: {result}\n\nThe demo's terminal shows the way of each request, the failover too. "
        "More to try: /model haiku and another prompt, which MiniMax's stand-in answers."
    )


def _after_failover(result: str) -> str:
    return (
        "MiniMax's stand-in said twice that it is overloaded, so the proxy asked Claude's, which gives this answer "
        f"under the same name. The tool's result was: {result}"
    )


def _plain(provider: Provider) -> str:
    return (
        f"This is the demo of claude-proxy: no model answers here, these words are a script's. {_name(provider)} got "
        "your request from the real proxy. For answers of a model, end the demo and start the daemon itself."
    )


def _name(provider: Provider) -> str:
    return f"The stand-in for {'MiniMax' if provider is Provider.MINIMAX else 'Claude'}"


def _text(words: str) -> Block:
    return {"type": "text", "text": words}


def _call(name: str, **arguments: str) -> Block:
    return {"type": "tool_use", "id": f"toolu_demo_{secrets.token_hex(8)}", "name": name, "input": arguments}


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _texts(message: Mapping[str, Any]) -> Iterator[str]:
    """The texts of a message or of a tool's result."""
    content = message.get("content")
    if isinstance(content, str):
        yield content
    for part in _listed(content):
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            yield part["text"]


def _tool_result(messages: list[dict[str, Any]]) -> str | None:
    """What a tool gave, where the user's last message brings that; without the notes of Claude Code's behind it."""
    users = [message for message in messages if message.get("role") == "user"]
    for part in _listed(users[-1].get("content")) if users else []:
        if isinstance(part, dict) and part.get("type") == "tool_result":
            words = next(_texts(part), "").partition("<system-reminder>")[0].strip()
            return words[:_LONGEST_QUOTE]
    return None

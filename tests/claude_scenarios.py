"""What Claude Code is asked to do in the tests, and the scripted answers to the requests that it then makes.

An answer is chosen by the request alone, never by the order of arrival, since the client asks in parallel.
Answers to the same request are the same bytes in every run.
"""

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.claude_code import ACCESS_TOKEN, RENEWED_ACCESS_TOKEN, write_login
from tests.stand_in import Answer, Headers, Received, Wire, block, error_body, fails, message_end, sse

JSON: Headers = (("Content-Type", "application/json"),)
ALL_EVENTS = ("--output-format", "stream-json", "--verbose", "--include-partial-messages")

Block = dict[str, Any]


# --- what a request asks -------------------------------------------------------------------------------


def agent_of(received: Received) -> str | None:
    """The id of the subagent that sent this."""
    return received.header("x-claude-code-agent-id")


def asks_for_a_title(received: Received) -> bool:
    """By its words: what else marks it, an upstream that is not Anthropic never gets."""
    return "<session>" in json.dumps(received.json()["messages"][-1])


def tool_result(received: Received) -> str | None:
    """The text of the tool result in the user's last message."""
    content = [m["content"] for m in received.json()["messages"] if m["role"] == "user"][-1]
    for part in content if isinstance(content, list) else []:
        if part["type"] == "tool_result":
            inner = part["content"]
            return inner if isinstance(inner, str) else str(inner[0]["text"])
    return None


# --- what is answered ----------------------------------------------------------------------------------


def text(words: str) -> Block:
    return {"type": "text", "text": words}


def thinking(words: str) -> Block:
    return {"type": "thinking", "thinking": words, "signature": "c2lnbmVkIGJ5IHRoZSBzdGFuZC1pbg=="}


def tool_call(name: str, **arguments: Any) -> Block:
    return {"type": "tool_use", "id": f"toolu_{name}", "name": name, "input": arguments}


def halves(words: str) -> tuple[str, str]:
    middle = len(words) // 2
    return words[:middle], words[middle:]


def block_events(index: int, content: Block) -> list[bytes]:
    """A content block as a stream brings it: begun empty, then in pieces."""
    match content["type"]:
        case "text":
            empty: Block = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": half} for half in halves(content["text"])]
        case "thinking":
            empty = {"type": "thinking", "thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": half} for half in halves(content["thinking"])]
            deltas.append({"type": "signature_delta", "signature": content["signature"]})
        case _:
            empty = {**content, "input": {}}
            pieces = halves(json.dumps(content["input"]))
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    return block(index, empty, *deltas)


def message(received: Received, content: list[Block]) -> dict[str, Any]:
    """A whole message; its id follows from the request, for the client takes equal ids for one message."""
    return {
        "id": f"msg_{hashlib.sha256(received.body).hexdigest()[:16]}",
        "type": "message",
        "role": "assistant",
        "model": received.json()["model"],
        "content": content,
        "stop_reason": stop_reason(content) if content else None,
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 7},
    }


def stop_reason(content: list[Block]) -> str:
    return "tool_use" if any(b["type"] == "tool_use" for b in content) else "end_turn"


def message_start(received: Received) -> bytes:
    return sse("message_start", {"type": "message_start", "message": message(received, [])})


async def send_events(wire: Wire, events: Iterable[bytes]) -> None:
    await wire.start_stream([("request-id", "req_standin")])
    for event in events:
        await wire.chunk(event)
    await wire.end()


async def send(received: Received, wire: Wire, *content: Block) -> None:
    """A good answer of these blocks, as the request wants it: counted, streamed or whole."""
    if received.path.endswith("/count_tokens"):
        # Another number for each length: an answer that reached the wrong request shows in what is printed.
        await wire.reply(200, json.dumps({"input_tokens": len(received.body) // 4}).encode(), JSON)
    elif received.json().get("stream"):
        blocks = [event for i, b in enumerate(content) for event in block_events(i, b)]
        await send_events(wire, [message_start(received), *blocks, *message_end(stop_reason(list(content)))])
    else:
        await wire.reply(200, json.dumps(message(received, list(content))).encode(), JSON)


def answers(*content: Block) -> Answer:
    async def answer(received: Received, wire: Wire) -> None:
        await send(received, wire, *content)

    return answer


def answers_beside_a_title(words: str) -> Answer:
    """Answers the turn only once the title was asked for, else the client may leave before it has asked."""
    title_came = asyncio.Event()

    async def answer(received: Received, wire: Wire) -> None:
        if asks_for_a_title(received):
            title_came.set()
            await send(received, wire, text('{"title":"Say who you are"}'))
        else:
            await title_came.wait()
            await send(received, wire, text(words))

    return answer


def calls_a_tool(call: Block) -> Answer:
    """Thinks, calls the tool, and then says what the tool gave."""

    async def answer(received: Received, wire: Wire) -> None:
        result = tool_result(received)
        if result is None:
            await send(received, wire, thinking("A tool will know."), call)
        else:
            await send(received, wire, text(f"The tool gave: {result}"))

    return answer


def spawns_an_agent(call: Block, agents_call: Block) -> Answer:
    """The session calls an agent, the agent calls a tool, and each says what it was given."""

    async def answer(received: Received, wire: Wire) -> None:
        who, next_call = ("agent", agents_call) if agent_of(received) else ("session", call)
        result = tool_result(received)
        if result is None:
            await send(received, wire, next_call)
        else:
            await send(received, wire, text(f"The {who} was given: {result}"))

    return answer


def refuses_the_old_login(home: Path) -> Answer:
    """401 for the login that the client began with, and by then another session has stored a new one."""

    async def answer(received: Received, wire: Wire) -> None:
        if received.header("authorization") == f"Bearer {ACCESS_TOKEN}":
            write_login(home, RENEWED_ACCESS_TOKEN)
            await wire.reply(401, error_body("authentication_error", "OAuth token has expired."), JSON)
        else:
            await send(received, wire, text("Welcome back."))

    return answer


def breaks(kind: str, words: str, *before: Block, open_block: bool = False) -> Answer:
    """A stream with an `error` event: first of all, or after these blocks, the last of them open if so said.

    The client's second attempt, which does not stream, succeeds.
    """

    async def answer(received: Received, wire: Wire) -> None:
        if not received.json().get("stream"):
            await send(received, wire, text("Answered without a stream."))
            return
        blocks = [event for i, b in enumerate(before) for event in block_events(i, b)]
        good = [message_start(received), *(blocks[:-1] if open_block else blocks)] if before else []
        error = {"type": "error", "error": {"type": kind, "message": words}}
        await send_events(wire, [*good, sse("error", error)])

    return answer


SPENT_WINDOW: Headers = (
    ("anthropic-ratelimit-unified-status", "rejected"),
    ("anthropic-ratelimit-unified-reset", "4102444800"),
    ("anthropic-ratelimit-unified-representative-claim", "five_hour"),
    ("anthropic-ratelimit-unified-5h-status", "rejected"),
    ("anthropic-ratelimit-unified-5h-reset", "4102444800"),
    ("anthropic-ratelimit-unified-5h-utilization", "1.0"),
    ("anthropic-ratelimit-unified-overage-status", "rejected"),
    ("anthropic-ratelimit-unified-overage-disabled-reason", "org_level_disabled"),
)


# --- the scenarios -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scenario:
    """One thing asked of the client, and what must come of it whoever carries the requests."""

    name: str
    arguments: tuple[str, ...]
    answer: Callable[[Path], Answer]
    """Made anew for each run, for the client's home."""
    requests: int
    """How many requests the client makes of the API."""
    prints: str
    """Part of what it prints: shows that the scenario took place."""
    exit_code: int = 0

    def __str__(self) -> str:
        return self.name


def scenario(
    name: str, arguments: Iterable[str], answer: Answer, requests: int, prints: str, exit_code: int = 0
) -> Scenario:
    return Scenario(name, tuple(arguments), lambda _: answer, requests, prints, exit_code)


# A prompt this short gets no title from the client, so a turn is one request.
SHORT = ("-p", "say hi")
LONG = "Tell me who you are and what you can do for me."

WORKING = [
    scenario("a plain answer", SHORT, answers(text("Hello, you.")), 1, "Hello, you."),
    scenario("a plain answer event by event", [*SHORT, *ALL_EVENTS], answers(text("Hello.")), 1, "text_delta"),
    Scenario(
        "a title beside the answer",
        ("-p", LONG),
        lambda _: answers_beside_a_title("I am a stand-in."),
        requests=2,
        prints="I am a stand-in.",
    ),
    scenario(
        "an answer with thinking",
        [*SHORT, *ALL_EVENTS],
        answers(thinking("Who greets must be greeted."), text("Hello.")),
        1,
        "signature_delta",
    ),
    scenario(
        "a tool call and its result",
        [*SHORT, "--allowedTools", "Bash(echo:*)"],
        calls_a_tool(tool_call("Bash", command="echo it ran", description="Say that it ran")),
        2,
        "The tool gave: it ran",
    ),
    scenario(
        "a subagent with a tool of its own",
        [*SHORT, "--allowedTools", "Bash(echo:*)"],
        spawns_an_agent(
            tool_call("Agent", description="Look", prompt="Look.", subagent_type="general-purpose"),
            tool_call("Bash", command="echo found it", description="Look for it"),
        ),
        4,
        "The session was given: The agent was given: found it",
    ),
    scenario("context", ["-p", "/context"], answers(), 14, "Context Usage"),
    Scenario("a login renewed elsewhere", SHORT, refuses_the_old_login, 2, "Welcome back."),
]

FAILING = [
    scenario(
        "400 prompt is too long",
        SHORT,
        fails(400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
        1,
        "Prompt is too long",
        exit_code=1,
    ),
    scenario(
        "401",
        SHORT,
        fails(401, "authentication_error", "OAuth token has expired."),
        2,
        "401 OAuth token has expired.",
        exit_code=1,
    ),
    scenario(
        "429 with a spent window",
        SHORT,
        fails(429, "rate_limit_error", "This request would exceed your account's rate limit.", SPENT_WINDOW),
        1,
        "You've hit your session limit",
        exit_code=1,
    ),
    scenario(
        "429 without unified headers",
        SHORT,
        fails(429, "rate_limit_error", "Number of concurrent connections has exceeded your rate limit"),
        1,
        "not your usage limit",
        exit_code=1,
    ),
    scenario(
        "529",
        SHORT,
        fails(529, "overloaded_error", "Overloaded"),
        3,
        "API Error: 529 Overloaded.",
        exit_code=1,
    ),
    scenario(
        "an overloaded_error as first event",
        SHORT,
        breaks("overloaded_error", "Overloaded"),
        4,
        "Answered without a stream.",
    ),
    scenario(
        "an api_error as first event",
        SHORT,
        breaks("api_error", "Internal server error"),
        2,
        "Answered without a stream.",
    ),
    scenario(
        "an overloaded_error in the middle of a block",
        SHORT,
        breaks("overloaded_error", "Overloaded", text("Half of it"), open_block=True),
        2,
        "Answered without a stream.",
    ),
    scenario(
        "an api_error after a whole block",
        SHORT,
        breaks("api_error", "Internal server error", text("The first block.")),
        1,
        "API Error: Internal server error",
        exit_code=1,
    ),
]

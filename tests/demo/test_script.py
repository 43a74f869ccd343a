"""What the stand-in says to whom."""

import json
from typing import Any

import pytest

from claude_proxy.demo.script import OVERLOADED, Provider, answer
from tests.demo.playing import HAIKU

OPUS = "claude-opus-4-8"
TOOLS = [{"name": "Agent"}, {"name": "Bash"}, {"name": "Read"}]
PROMPT = {"role": "user", "content": [{"type": "text", "text": "hi"}]}


def said(provider: Provider, model: str, *messages: Any, tools: Any = TOOLS) -> list[dict[str, Any]]:
    blocks = answer(provider, {"model": model, "messages": list(messages), "tools": tools})
    assert blocks is not None
    return blocks


def call(name: str) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": name, "input": {}}]}


def result(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": content}]}


def test_a_first_prompt_is_handed_over_to_an_agent_on_haiku() -> None:
    text, tool = said(Provider.CLAUDE, OPUS, PROMPT)
    assert "no model answers here" in text["text"]
    assert (tool["type"], tool["name"], tool["input"]["model"]) == ("tool_use", "Agent", "haiku")


def test_the_agents_tool_is_called_by_the_name_that_it_has() -> None:
    assert said(Provider.CLAUDE, OPUS, PROMPT, tools=[{"name": "Task"}])[1]["name"] == "Task"


@pytest.mark.parametrize(("provider", "model"), [(Provider.MINIMAX, "MiniMax-M2.5"), (Provider.CLAUDE, HAIKU)])
def test_haiku_runs_one_echo_and_starts_no_agent(provider: Provider, model: str) -> None:
    text, tool = said(provider, model, PROMPT)
    assert text["text"].startswith("The stand-in for ")
    assert tool["name"] == "Bash"
    assert tool["input"]["command"].startswith("echo '")
    assert not set(tool["input"]["command"]) & set(";&|<>$`\n")


def test_two_calls_have_two_ids() -> None:
    ids = {said(Provider.CLAUDE, OPUS, PROMPT)[1]["id"] for _ in range(2)}
    assert len(ids) == 2


def test_minimax_is_overloaded_when_a_tools_result_comes_back() -> None:
    asked = {"model": "MiniMax-M2.5", "messages": [PROMPT, call("Bash"), result("hello")], "tools": TOOLS}
    assert answer(Provider.MINIMAX, asked) is None
    assert "demo" in OVERLOADED


@pytest.mark.parametrize("content", ["hello", [{"type": "text", "text": "hello"}, {"type": "text", "text": "more"}]])
def test_claude_then_answers_in_its_place_with_the_tools_result(content: Any) -> None:
    [block] = said(Provider.CLAUDE, HAIKU, PROMPT, call("Bash"), result(content))
    assert "overloaded" in block["text"]
    assert block["text"].endswith("The tool's result was: hello")


def test_the_session_is_told_what_the_agent_said() -> None:
    [block] = said(Provider.CLAUDE, OPUS, PROMPT, call("Agent"), result("done"))
    assert block["text"].startswith("The agent said: done\n")


def test_what_is_repeated_of_a_result_is_short_and_the_clients_notes_are_not_in_it() -> None:
    [noted] = said(Provider.CLAUDE, HAIKU, PROMPT, call("Bash"), result("hello\n\n<system-reminder>\nx"))
    assert noted["text"].endswith(": hello")
    [cut] = said(Provider.CLAUDE, HAIKU, PROMPT, call("Bash"), result("x" * 100_000))
    assert len(cut["text"]) < 1000


@pytest.mark.parametrize(
    ("provider", "named"), [(Provider.CLAUDE, "stand-in for Claude"), (Provider.MINIMAX, "stand-in for MiniMax")]
)
def test_later_prompts_and_clients_without_tools_get_words_alone(provider: Provider, named: str) -> None:
    earlier = {"role": "assistant", "content": "earlier"}
    for blocks in (said(provider, OPUS, PROMPT, earlier, PROMPT), said(provider, OPUS, PROMPT, tools=None)):
        [block] = blocks
        assert named in block["text"]
        assert "no model answers here" in block["text"]


def test_a_title_is_given_as_it_was_asked_for() -> None:
    prompt = {"role": "user", "content": "<session>\nhi\n</session>"}
    [block] = said(Provider.CLAUDE, OPUS, prompt, tools=[])
    assert set(json.loads(block["text"])) == {"title"}


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"messages": None, "tools": {}},
        {"messages": [], "tools": []},
        {"messages": ["x", 1, None], "tools": ["x"]},
        {"messages": [{"role": "user", "content": ["x", {"type": "text", "text": 1}]}]},
        {"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]},
    ],
)
@pytest.mark.parametrize("provider", [Provider.CLAUDE])
def test_a_request_of_another_shape_gets_words_too(provider: Provider, asked: dict[str, Any]) -> None:
    blocks = answer(provider, asked)
    assert blocks is not None
    assert [block["type"] for block in blocks] == ["text"]

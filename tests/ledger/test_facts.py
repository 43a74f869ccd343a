"""What a request says of its conversation, as Claude Code 2.1.197 writes it, and as others do."""

import json
from typing import Any

import pytest

from claude_proxy.ledger.facts import LONGEST_MESSAGE, Facts, read_facts
from claude_proxy.wire.messages import Background, ClientRequest
from tests.claude_request import SESSION
from tests.client_requests import count_request, headers_of, message_request, other_request

REMINDER = {"type": "text", "text": "<system-reminder>\nToday's date is …\n</system-reminder>"}


def of(**fields: Any) -> Facts:
    return read_facts(message_request(**fields))


def prompt(line: str) -> list[dict[str, str]]:
    return [
        {"type": "text", "text": "You are."},
        {"type": "text", "text": f"Environment:\n{line}\nIs a git repository"},
    ]


@pytest.mark.parametrize(
    ("line", "project"),
    [
        (" - Primary working directory: /home/someone/work", "/home/someone/work"),
        ("Working directory: /home/someone/work", "/home/someone/work"),
        ('Working directory: /home/with space and "quote" und Ümlaut', '/home/with space and "quote" und Ümlaut'),
        ("Working directory: C:\\work\\new", "C:\\work\\new"),
        ("Working directory: none", None),
        ("the current working directory: /tmp", None),
        ("Additional working directories: /tmp", None),
        ("Working directory: /" + "x" * 2000, None),
    ],
)
def test_the_project_is_where_claude_code_says_that_it_works(line: str, project: str | None) -> None:
    assert of(system=prompt(line)).project == project
    assert of(system=f"As one string.\n{line}\n").project == project


def test_what_a_message_or_a_tool_says_of_directories_is_no_project() -> None:
    said = "\nWorking directory: /etc\n"
    assert of(messages=[{"role": "user", "content": said}], tools=[{"name": "x", "description": said}]).project is None


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([{"role": "user", "content": "say  hi\n now"}], "say hi now"),
        ([{"role": "user", "content": [REMINDER, {"type": "text", "text": "say hi"}]}], "say hi"),
        ([{"role": "system", "content": "rules"}, {"role": "user", "content": "say hi"}], "say hi"),
        ([{"role": "user", "content": [REMINDER]}], None),
        ([{"role": "user", "content": [{"type": "image", "source": {}}]}], None),
        ([{"role": "user", "content": "x" * 999}], "x" * LONGEST_MESSAGE),
        ([], None),
        ("no list", None),
        ([1, None, {"role": 1}], None),
    ],
)
def test_the_first_words_are_the_user_s(messages: Any, words: str | None) -> None:
    assert of(messages=messages).first_message == words


def test_the_session_is_claude_code_s_by_header_or_by_metadata() -> None:
    assert of().session == of().conversation == SESSION
    without = tuple(pair for pair in headers_of() if pair[0] != "X-Claude-Code-Session-Id")
    assert of(headers=without).session == SESSION
    assert of(headers=without, metadata={"user_id": "no json"}).session is None


def test_a_conversation_without_a_session_goes_by_how_it_begins() -> None:
    first = {"role": "user", "content": "one"}

    def conversation(*messages: Any, system: str = "s") -> str | None:
        return of(headers=(), metadata=None, system=system, messages=[first, *messages]).conversation

    one = conversation()
    assert one
    assert one.startswith("hash_")
    assert conversation({"role": "assistant", "content": "x"}) == one
    assert conversation(system="other") != one


def test_background_calls_and_counts_begin_no_conversation_with_their_words() -> None:
    title = {"format": {"type": "json_schema", "schema": {"properties": {"title": {}}}}}
    facts = of(output_config=title)
    assert (facts.background, facts.first_message) == (Background.TITLE, None)
    assert read_facts(count_request()).first_message is None
    assert read_facts(message_request(("x-claude-code-agent-id", "a"))).first_message is None


def test_a_request_of_another_path_has_none_but_its_session() -> None:
    assert read_facts(other_request("GET", "/v1/files")) == Facts(SESSION, SESSION)


def test_deep_nesting_is_no_fault() -> None:
    deep = b"[" * 5000 + b"]" * 5000
    body = json.dumps({"model": "m", "system": "s"}).encode()[:-1] + b', "messages": [' + deep + b"]}"
    request = ClientRequest("POST", "/v1/messages", (), body, body)
    assert read_facts(request).message_count is None

"""The server tools of a request, told apart from those of the requests before."""

import sys

import pytest

from claude_proxy.wire import messages
from claude_proxy.wire.messages import ClientRequest, _server_tools
from tests.client_requests import message_request


def test_the_server_tools_of_one_request_are_not_taken_for_anothers() -> None:
    later: list[dict[str, object]] = [{"type": "web_search_20260101", "name": "web_search"}]
    search: list[dict[str, object]] = [{"type": "web_search_20250305", "name": "web_search"}]
    tools: tuple[list[dict[str, object]], ...] = (
        [],
        search,
        later,
        [{"type": "custom", "name": "own"}],
        search,
        [*search, {"type": "web_fetch_20250910"}],
    )
    for each in (*tools, *reversed(tools)):
        expected = tuple(str(tool["type"]) for tool in each if str(tool["type"]).startswith("web_"))
        assert message_request(tools=each).server_tools == expected


def test_a_very_large_list_of_tools_is_not_kept_beyond_its_request() -> None:
    large = ClientRequest.read("POST", "/v1/messages", (), b'{"model":"m","tools":["%b"]}' % (b"x" * (5 << 20)))
    members = large.members
    assert members is not None
    raw = members.raw("tools")
    assert raw is not None
    before = sys.getrefcount(raw)
    assert _server_tools(raw) == ()
    assert sys.getrefcount(raw) == before
    small = raw[:100]
    before = sys.getrefcount(small)
    assert _server_tools(small) == ()
    assert sys.getrefcount(small) == before + 1


def test_tools_that_a_conversation_repeats_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[bytes] = []

    def look(tools: bytes) -> tuple[str, ...]:
        looked_at.append(tools)
        return _server_tools(tools)

    monkeypatch.setattr(messages, "_server_tools", look)
    tools = b'[{"type":"web_search_20250305","name":"%b"}]' % (b"x" * 2000)
    first = ClientRequest.read("POST", "/v1/messages", (), b'{"model":"m","messages":[],"tools":%b}' % tools)
    text = b'{"model":"m","messages":[1],"tools":%b}' % tools
    second = ClientRequest.read("POST", "/v1/messages", (), text, earlier=first.members)
    assert second.server_tools == first.server_tools == second.server_tools == ("web_search_20250305",)
    assert looked_at == [tools]

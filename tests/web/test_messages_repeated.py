"""A conversation's next body is read beside the one before: the same bytes go up, and the same faults are refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from claude_proxy.wire import members
from tests.in_process import LOGIN, in_process
from tests.stand_in import StandIn, says
from tests.web.knocking import JSON, knock, told

SUBAGENT = ("x-claude-code-agent-id", "a1b2c3d4e5f6a7b8c")
SESSION = ("X-Claude-Code-Session-Id", "5e551011-0000-4000-8000-000000000001")


def body(*messages: str) -> bytes:
    """Of twenty kilobytes for each message."""
    said = [{"role": "user", "content": f"{message} — " * 4000} for message in messages]
    return json.dumps({"model": "claude-sonnet-4-5", "messages": said, "max_tokens": 9}, ensure_ascii=False).encode()


def bytes_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of each body that is looked into, from now on."""
    decode, read = members._decode_members, list[int]()

    def counted(text: bytes) -> Any:
        read.append(len(text))
        return decode(text)

    monkeypatch.setattr(members, "_decode_members", counted)
    return read


async def test_what_is_new_in_a_conversation_is_all_that_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = bytes_read(monkeypatch)
    first, second, third = body("one"), body("one", "two"), body("one", "two", "three")
    async with (
        StandIn(says("hello")) as upstream,
        in_process(tmp_path, {"upstreams": {"claude": {"base_url": upstream.url}}}) as daemon,
    ):
        headers = [*LOGIN.items(), JSON, SESSION]
        for each in (first, second, third):
            assert (await knock(daemon, "POST", "/v1/messages", headers, each)).status == 200
        assert [received.body for received in upstream.received] == [first, second, third]
        of_first, _, of_third, *others = read
        assert (of_first, others) == (len(first), [])
        assert of_third < len(third) - len(first) + 200
        for spoilt, fault in (
            (third.replace(b"}]", b"}"), "not a JSON object"),
            (third.replace("three —".encode(), b"three \xe2\x80"), "not valid UTF-8"),
        ):
            answer = await knock(daemon, "POST", "/v1/messages", headers, spoilt)
            assert (answer.status, fault in told(answer)) == (400, True)
        assert len(upstream.received) == 3


async def test_a_subagent_does_not_displace_the_conversation_that_it_works_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = bytes_read(monkeypatch)
    async with (
        StandIn(says("hello")) as upstream,
        in_process(tmp_path, {"upstreams": {"claude": {"base_url": upstream.url}}}) as daemon,
    ):
        headers = [*LOGIN.items(), JSON, SESSION]
        for more, asked in (([], body("one")), ([SUBAGENT], body("another")), ([], body("one"))):
            assert (await knock(daemon, "POST", "/v1/messages", [*headers, *more], asked)).status == 200
    assert read[2] < 200

"""A stored login that cannot be used: each kind has its own message; nothing of it is sent or shown."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.claude_request import SENTINEL, bearer_of, claude_headers, stored_login
from tests.paths.logins import STORED_TOKEN, login_file, message_of, say_hi, to, write_login_file
from tests.recording_keyring import RecordingKeyring
from tests.running import running
from tests.stand_in import StandIn

REFRESH_TOKEN = "sk-ant-ort01-FAKE-refresh"
PLACEHOLDER = {"x-api-key": SENTINEL}


def wrapped(login: object) -> str:
    return json.dumps({"claudeAiOauth": login})


HOURS_AGO = int((time.time() - 3 * 3600) * 1000)
IN_SECONDS = int(time.time()) + 8 * 3600

# What lies in the store, and the words that its message must have.
UNUSABLE = {
    "expiry in seconds": (stored_login(STORED_TOKEN, expiresAt=IN_SECONDS), ["seconds", "milliseconds"]),
    "expired": (stored_login(STORED_TOKEN, expiresAt=HOURS_AGO), ["expired", "claude"]),
    "expiry of a wrong type": (stored_login(STORED_TOKEN, expiresAt="soon"), ["expiresAt"]),
    "half a file": (stored_login(STORED_TOKEN)[:80], ["JSON"]),
    "empty": ("", ["JSON"]),
    "not an object": (json.dumps([STORED_TOKEN]), ["JSON object"]),
    "a login that is a string": (wrapped(STORED_TOKEN), ["accessToken"]),
    "no access token": (wrapped({"refreshToken": REFRESH_TOKEN}), ["accessToken"]),
    "a token of a wrong type": (wrapped({"accessToken": [STORED_TOKEN]}), ["accessToken"]),
    "a token with a line end": (stored_login(f"{STORED_TOKEN}\r\nX-Injected: yes"), ["accessToken"]),
    "nested beyond measure": ("[" * 100_000, ["JSON"]),
}


@pytest.mark.parametrize(
    ("place", "case"),
    [
        *(("file", case) for case in UNUSABLE),
        ("keychain", "expiry in seconds"),
        ("keychain", "expired"),
        ("keychain", "half a file"),
    ],
)
async def test_an_unusable_login_is_refused_with_its_place_and_reason(tmp_path: Path, place: str, case: str) -> None:
    text, words = UNUSABLE[case]
    keychain = RecordingKeyring(tmp_path / "keychain")
    if place == "file":
        named = str(write_login_file(tmp_path / ".claude", text))
    else:
        named = "keychain"
        keychain.put(text)
    async with StandIn() as claude, running(tmp_path, to(claude), keychain.environment) as daemon:
        reply = await say_hi(daemon, claude_headers(PLACEHOLDER))
        assert reply.status == 403
        assert reply.headers["x-claude-proxy-error"] == "no_credential"
        for word in [named, *words]:
            assert word in message_of(reply)
        assert claude.received == []
        shown = reply.body.decode() + str(reply.headers) + daemon.log
        assert STORED_TOKEN not in shown
        assert REFRESH_TOKEN not in shown


def as_a_directory(path: Path) -> None:
    path.mkdir(parents=True)


def as_a_link_to_itself(path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to(path)


def as_a_pipe_that_nobody_writes(path: Path) -> None:
    path.parent.mkdir()
    os.mkfifo(path)


def as_bytes_that_are_no_text(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"\xff\xfe" + STORED_TOKEN.encode("utf-16-le"))


def without_permission(path: Path) -> None:
    write_login_file(path.parent, stored_login(STORED_TOKEN)).chmod(0)


# For root no mode makes a file unreadable.
UNREADABLE = [as_a_directory, as_a_link_to_itself, as_a_pipe_that_nobody_writes, as_bytes_that_are_no_text]
UNREADABLE += [without_permission] if os.geteuid() != 0 else []


@pytest.mark.parametrize("make", UNREADABLE)
async def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = login_file(tmp_path / ".claude")
    make(path)
    async with StandIn() as claude, running(tmp_path, to(claude)) as daemon:
        reply = await say_hi(daemon, claude_headers(PLACEHOLDER))
        assert reply.status == 403
        assert reply.headers["x-claude-proxy-error"] == "no_credential"
        assert str(path) in message_of(reply)
        assert claude.received == []
        assert STORED_TOKEN not in reply.body.decode() + daemon.log


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"mcpOAuth": {"server": {"accessToken": "FAKE-of-an-mcp-server"}}}),
        json.dumps({"claudeAiOauth": {"accessToken": "", "refreshToken": ""}}),
        json.dumps({"claudeAiOauth": None}),
        "{}",
    ],
    ids=["MCP only", "blanked", "null", "nothing"],
)
async def test_a_store_without_a_login_counts_as_empty(tmp_path: Path, text: str) -> None:
    write_login_file(tmp_path / ".claude", text)
    async with StandIn() as claude, running(tmp_path, to(claude)) as daemon:
        reply = await say_hi(daemon, claude_headers(PLACEHOLDER))
        assert (reply.status, reply.headers["x-claude-proxy-error"]) == (403, "no_credential")
        assert "REAL_ANTHROPIC_API_KEY" in message_of(reply)
        assert "FAKE-of-an-mcp-server" not in reply.body.decode() + daemon.log
        assert claude.received == []


async def test_a_usable_login_in_the_file_stands_in_for_an_unusable_one_in_the_keychain(
    tmp_path: Path,
) -> None:
    keychain = RecordingKeyring(tmp_path / "keychain")
    keychain.put(stored_login("sk-ant-oat01-FAKE-old", expiresAt=HOURS_AGO))
    write_login_file(tmp_path / ".claude", stored_login(STORED_TOKEN))
    async with StandIn() as claude, running(tmp_path, to(claude), keychain.environment) as daemon:
        assert (await say_hi(daemon, claude_headers(PLACEHOLDER))).status == 200
        assert bearer_of(claude.received[0]) == STORED_TOKEN

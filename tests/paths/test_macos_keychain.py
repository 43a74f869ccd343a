"""The login in the keychain of macOS, through a program that plays `security`: one harmless look, and clear words."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from tests.asking import Reply, ask
from tests.claude_request import SENTINEL, bearer_of, claude_body, claude_headers, stored_login
from tests.fake_security import CANCELED, DENIED, LOCKED, FakeSecurity
from tests.in_process import InProcess, in_process
from tests.paths.logins import BEARER, STORED_TOKEN, message_of
from tests.paths.macos import on_a_mac
from tests.recording_keyring import ACCOUNT, CLAUDE_SERVICE
from tests.running import eventually
from tests.scripted_claude import RENEWED, ScriptedClaude, expired_login
from tests.stand_in import StandIn, fails

PLACEHOLDER = claude_headers({"x-api-key": SENTINEL})
ASKED = ["find-generic-password", "-s", CLAUDE_SERVICE, "-a", ACCOUNT, "-w"]


@dataclass
class Mac:
    """A daemon on a machine whose `security` is the test's."""

    daemon: InProcess
    security: FakeSecurity
    upstream: StandIn
    claude: ScriptedClaude

    async def ask(self, headers: Mapping[str, str] = PLACEHOLDER) -> Reply:
        return await ask(f"{self.daemon.url}/v1/messages?beta=true", claude_body(), headers)


@contextlib.asynccontextmanager
async def mac(tmp_path: Path, timeout: float = 20, **environment: str) -> AsyncIterator[Mac]:
    home = tmp_path / "home"
    home.mkdir()
    security, claude = FakeSecurity(tmp_path / "keychain"), ScriptedClaude(tmp_path / "bin")
    env = {"USER": ACCOUNT, "PATH": claude.path, **environment}
    async with StandIn() as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}}
        async with in_process(home, config, env) as daemon:
            on_a_mac(daemon.house, security, env, timeout)
            yield Mac(daemon, security, upstream, claude)


async def test_a_login_is_read_once_for_all_requests(tmp_path: Path) -> None:
    async with mac(tmp_path) as here:
        here.security.put(stored_login(STORED_TOKEN))
        replies = await asyncio.gather(*(here.ask() for _ in range(30)))
        assert [reply.status for reply in replies] == [200] * 30
        for _ in range(5):
            assert (await here.ask()).status == 200
        assert {bearer_of(received) for received in here.upstream.received} == {STORED_TOKEN}
        assert here.security.asked == [ASKED]


async def test_a_client_with_its_own_login_causes_no_read(tmp_path: Path) -> None:
    async with mac(tmp_path) as here:
        here.security.put(stored_login(STORED_TOKEN))
        assert (await here.ask(claude_headers(BEARER))).status == 200
        assert here.security.asked == []


async def test_of_several_items_the_users_own_is_taken(tmp_path: Path) -> None:
    """Without an account macOS would give whichever comes first; here that holds only an MCP server's token."""
    async with mac(tmp_path) as here:
        here.security.put(json.dumps({"mcpOAuth": {"x": {"accessToken": "FAKE-of-a-server"}}}), account="unknown")
        here.security.put(stored_login("sk-ant-oat01-FAKE-of-another"), account="another")
        here.security.put(stored_login("sk-ant-oat01-FAKE-elsewhere"), service=f"{CLAUDE_SERVICE}-01234567")
        here.security.put(stored_login(STORED_TOKEN))
        assert (await here.ask()).status == 200
        assert bearer_of(here.upstream.received[0]) == STORED_TOKEN


async def test_a_configuration_directory_has_an_item_of_its_own(tmp_path: Path) -> None:
    directory = str(tmp_path / "elsewhere")
    service = f"{CLAUDE_SERVICE}-{sha256(directory.encode()).hexdigest()[:8]}"
    async with mac(tmp_path, CLAUDE_CONFIG_DIR=directory) as here:
        here.security.put(stored_login("sk-ant-oat01-FAKE-of-the-usual-place"))
        here.security.put(stored_login(STORED_TOKEN), service=service)
        assert (await here.ask()).status == 200
        assert bearer_of(here.upstream.received[0]) == STORED_TOKEN
        assert here.security.asked == [["find-generic-password", "-s", service, "-a", ACCOUNT, "-w"]]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (LOCKED, "the keychain is locked; unlock it: security unlock-keychain"),
        (DENIED, "macOS denied access; allow `security` in Keychain Access for this item"),
        (CANCELED, "macOS asked for permission and got none"),
        (1, "security ended with exit code 1"),
    ],
    ids=["locked", "denied", "dismissed", "another fault"],
)
async def test_a_keychain_that_cannot_be_read_is_told_in_its_own_words(tmp_path: Path, code: int, words: str) -> None:
    async with mac(tmp_path) as here:
        here.security.put(stored_login(STORED_TOKEN))
        here.security.answers_with(code)
        reply = await here.ask()
        assert (reply.status, reply.headers["x-claude-proxy-error"]) == (403, "no_credential")
        assert words in message_of(reply)
        assert f"the keychain item '{CLAUDE_SERVICE}' (account '{ACCOUNT}') could not be read" in message_of(reply)
        assert "FAKE" not in message_of(reply)
        assert here.upstream.received == []
        # Asked again at once it would answer the same, or open one more dialog.
        await here.ask()
        assert len(here.security.asked) == 1


async def test_an_item_that_does_not_exist_is_told_as_such(tmp_path: Path) -> None:
    async with mac(tmp_path) as here:
        reply = await here.ask()
        assert (reply.status, reply.headers["x-claude-proxy-error"]) == (403, "no_credential")
        assert "looked in keychain and found none; run `claude` and log in" in message_of(reply)
        assert here.security.asked == [ASKED]


async def test_a_dialog_that_nobody_answers_costs_its_time_once_and_delays_nobody_else(tmp_path: Path) -> None:
    async with mac(tmp_path, timeout=1.0) as here:
        here.security.put(stored_login(STORED_TOKEN))
        here.security.asks()
        waiting = [asyncio.create_task(here.ask()) for _ in range(10)]
        await eventually(lambda: here.security.asked != [])
        assert (await here.ask(claude_headers(BEARER))).status == 200
        assert not any(task.done() for task in waiting)
        for reply in await asyncio.gather(*waiting):
            assert reply.status == 403
            assert "no answer within 1 s; macOS may be asking for permission: answer its dialog" in message_of(reply)
        assert here.security.asked == [ASKED]


async def test_an_expired_login_is_renewed_by_claude_with_one_look_before_and_one_after(tmp_path: Path) -> None:
    async with mac(tmp_path) as here:
        here.security.put(stored_login(RENEWED))
        renewed = (tmp_path / "keychain" / "state").read_text()
        (tmp_path / "renewed").write_text(renewed)
        here.security.put(expired_login())
        here.claude.does(f"cp {tmp_path}/renewed {tmp_path}/keychain/state")
        replies = await asyncio.gather(*(here.ask() for _ in range(20)))
        assert [reply.status for reply in replies] == [200] * 20
        assert {bearer_of(received) for received in here.upstream.received} == {RENEWED}
        assert len(here.claude.runs) == 1
        assert here.security.asked == [ASKED, ASKED]


async def test_a_refused_login_makes_it_look_once_more_and_no_oftener(tmp_path: Path) -> None:
    async with mac(tmp_path) as here:
        here.security.put(stored_login(STORED_TOKEN))
        here.upstream.answer = fails(401, "authentication_error", "expired")
        for _ in range(5):
            assert (await here.ask()).status == 403
        assert here.security.asked == [ASKED, ASKED]

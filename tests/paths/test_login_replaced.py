"""A stored login is refused: the store is read once more, and a newer login there gets one more try."""

import asyncio
import itertools
from pathlib import Path

import pytest

from tests.asking import Reply, ask
from tests.claude_request import SENTINEL, bearer_of, claude_body, claude_headers, stored_login
from tests.paths.logins import (
    RENEWED_TOKEN,
    STORED_TOKEN,
    message_of,
    only_accepts,
    say_hi,
    to,
    write_login_file,
)
from tests.recording_keyring import ACCOUNT, CLAUDE_SERVICE, RecordingKeyring
from tests.running import Daemon, running
from tests.secret_service import secret_service
from tests.stand_in import Received, StandIn, Wire, fails, says

PLACEHOLDER = claude_headers({"x-api-key": SENTINEL})
REFUSED = fails(401, "authentication_error", "OAuth token has expired")
ITEM = f"{CLAUDE_SERVICE}/{ACCOUNT}"


def tokens(upstream: StandIn) -> list[str | None]:
    return [bearer_of(received) for received in upstream.received]


async def test_a_login_renewed_in_the_secret_service_gets_one_more_try(tmp_path: Path) -> None:
    async with secret_service() as keyring, StandIn(says("hello")) as claude:
        await keyring.store(CLAUDE_SERVICE, ACCOUNT, stored_login(STORED_TOKEN))

        async def renewed_meanwhile(received: Received, wire: Wire) -> None:
            await keyring.store(CLAUDE_SERVICE, ACCOUNT, stored_login(RENEWED_TOKEN))
            await REFUSED(received, wire)

        claude.then(renewed_meanwhile)
        async with running(tmp_path, to(claude), keyring.environment) as daemon:
            reply = await say_hi(daemon, PLACEHOLDER)
            assert reply.status == 200
            assert reply.json()["content"][0]["text"] == "hello"
            assert reply.headers["x-claude-proxy-attempts"] == "2"
            assert tokens(claude) == [STORED_TOKEN, RENEWED_TOKEN]
            assert claude.received[1].body == claude_body()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_login_renewed_in_the_file_gets_one_more_try(tmp_path: Path, stream: bool) -> None:
    write_login_file(tmp_path / ".claude", stored_login(STORED_TOKEN))

    async def renewed_meanwhile(received: Received, wire: Wire) -> None:
        write_login_file(tmp_path / ".claude", stored_login(RENEWED_TOKEN))
        await REFUSED(received, wire)

    async with StandIn() as claude, running(tmp_path, to(claude)) as daemon:
        claude.then(renewed_meanwhile)
        reply = await ask(f"{daemon.url}/v1/messages?beta=true", claude_body(stream=stream), PLACEHOLDER)
        assert reply.status == 200
        assert reply.headers["x-claude-proxy-attempts"] == "2"
        assert (reply.events[-1][0] == "message_stop") if stream else (reply.json()["type"] == "message")
        assert tokens(claude) == [STORED_TOKEN, RENEWED_TOKEN]


async def test_a_renewed_login_is_tried_although_the_refusal_says_not_to_ask_again(tmp_path: Path) -> None:
    """That word is about the same request with the same token."""
    write_login_file(tmp_path / ".claude", stored_login(STORED_TOKEN))
    final = fails(401, "authentication_error", "expired", [("x-should-retry", "false")])

    async def renewed_meanwhile(received: Received, wire: Wire) -> None:
        write_login_file(tmp_path / ".claude", stored_login(RENEWED_TOKEN))
        await final(received, wire)

    async with StandIn() as claude, running(tmp_path, to(claude)) as daemon:
        claude.then(renewed_meanwhile)
        reply = await say_hi(daemon, PLACEHOLDER)
        assert reply.status == 200
        assert tokens(claude) == [STORED_TOKEN, RENEWED_TOKEN]


async def test_an_unchanged_login_is_a_403_after_one_try_and_one_look(tmp_path: Path) -> None:
    keychain = RecordingKeyring(tmp_path / "keychain")
    keychain.put(stored_login(STORED_TOKEN))
    async with StandIn(REFUSED) as claude, running(tmp_path, to(claude), keychain.environment) as daemon:
        reply = await say_hi(daemon, PLACEHOLDER)
        assert reply.status == 403, "a 401 would make the client drop the placeholder and ask for a login"
        assert reply.headers["x-claude-proxy-error"] == "auth"
        assert "claude" in message_of(reply)
        assert reply.headers["x-claude-proxy-attempts"] == "1"
        assert tokens(claude) == [STORED_TOKEN]
        assert keychain.reads == [ITEM, ITEM]


async def test_a_renewed_login_that_is_refused_too_is_not_tried_a_third_time(tmp_path: Path) -> None:
    keychain = RecordingKeyring(tmp_path / "keychain")
    keychain.put(stored_login(STORED_TOKEN))
    renewals = itertools.count(2)

    async def always_newer(received: Received, wire: Wire) -> None:
        keychain.put(stored_login(f"{STORED_TOKEN}-{next(renewals)}"))
        await REFUSED(received, wire)

    async with (
        StandIn(always_newer) as claude,
        running(tmp_path, to(claude), keychain.environment) as daemon,
    ):
        reply = await say_hi(daemon, PLACEHOLDER)
        assert tokens(claude) == [STORED_TOKEN, f"{STORED_TOKEN}-2"]
        assert reply.status == 403


async def test_a_login_renewed_after_the_failure_serves_the_requests_that_come_then(tmp_path: Path) -> None:
    keychain = RecordingKeyring(tmp_path / "keychain")
    keychain.put(stored_login(STORED_TOKEN))
    async with (
        StandIn(only_accepts(RENEWED_TOKEN)) as claude,
        running(tmp_path, to(claude), keychain.environment) as daemon,
    ):
        assert (await say_hi(daemon, PLACEHOLDER)).status == 403
        keychain.put(stored_login(RENEWED_TOKEN))
        # Not the next one in any case: for a refused login the store is read every five seconds only.
        async with asyncio.timeout(20):
            while (await say_hi(daemon, PLACEHOLDER)).status != 200:
                await asyncio.sleep(0.1)
        assert tokens(claude)[-1] == RENEWED_TOKEN


async def test_ten_requests_refused_at_once_read_the_store_once_more(tmp_path: Path) -> None:
    keychain = RecordingKeyring(tmp_path / "keychain")
    keychain.put(stored_login(STORED_TOKEN))
    all_there = asyncio.Barrier(10)

    async def refused_together(received: Received, wire: Wire) -> None:
        await all_there.wait()
        keychain.put(stored_login(RENEWED_TOKEN))
        await REFUSED(received, wire)

    async with StandIn() as claude, running(tmp_path, to(claude), keychain.environment) as daemon:
        claude.then(*[refused_together] * 10)
        replies = await asyncio.gather(*(say_hi(daemon, PLACEHOLDER) for _ in range(10)))
        assert [reply.status for reply in replies] == [200] * 10
        assert tokens(claude) == [STORED_TOKEN] * 10 + [RENEWED_TOKEN] * 10
        assert keychain.reads == [ITEM, ITEM]


async def test_fifty_concurrent_first_requests_cause_one_read(tmp_path: Path) -> None:
    keychain = RecordingKeyring(tmp_path / "keychain")
    keychain.put(stored_login(STORED_TOKEN))
    keychain.hold()
    async with StandIn() as claude, running(tmp_path, to(claude), keychain.environment) as daemon:
        asking = [asyncio.create_task(say_hi(daemon, PLACEHOLDER)) for _ in range(50)]
        # All fifty wait for the store before the first of them can have its answer.
        await in_flight(daemon, 50)
        keychain.release()
        replies = await asyncio.gather(*asking)
        assert [reply.status for reply in replies] == [200] * 50
        assert tokens(claude) == [STORED_TOKEN] * 50
        assert keychain.reads == [ITEM]


async def in_flight(daemon: Daemon, number: int) -> None:
    """Waits until the daemon says that so many requests are under way."""

    async def livez() -> Reply:
        return await ask(daemon.url + "/livez", method="GET")

    async with asyncio.timeout(4):  # a store that is held up costs 5 s; the requests must all be there before
        while (await livez()).json()["in_flight"] != number:
            await asyncio.sleep(0.01)

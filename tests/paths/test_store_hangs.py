"""A keychain that hangs, is locked or asks costs its timeout and a clear error, and delays nobody else."""

import asyncio
import time
from pathlib import Path
from statistics import quantiles
from typing import Any

import aiohttp
import pytest

from tests.asking import Reply
from tests.claude_request import SENTINEL, bearer_of, claude_headers, stored_login
from tests.paths.logins import (
    BEARER,
    CLIENT_TOKEN,
    STORED_TOKEN,
    message_of,
    say_hi,
    to,
    write_login_file,
)
from tests.recording_keyring import ACCOUNT, CLAUDE_SERVICE, RecordingKeyring
from tests.running import Daemon, eventually, running
from tests.secret_service import secret_service
from tests.stand_in import StandIn

PLACEHOLDER = claude_headers({"x-api-key": SENTINEL})
OWN_LOGIN = claude_headers(BEARER)
ITEM = f"{CLAUDE_SERVICE}/{ACCOUNT}"

# The cache is off, so that a store which has come back is seen by the next request.
QUICK = {"read_timeout": "500ms", "cache_ttl": "1ms"}


async def round_trips(daemon: Daemon, until: asyncio.Task[Any]) -> list[float]:
    """Asks /livez again and again on one connection until the task has ended: the seconds of each answer."""
    taken = []
    async with aiohttp.ClientSession() as session:
        while not until.done():
            start = time.perf_counter()
            async with session.get(f"{daemon.url}/livez") as answer:
                await answer.read()
            taken.append(time.perf_counter() - start)
            assert answer.status == 200
            await asyncio.sleep(0.005)
    return taken


def assert_never_stuck(taken: list[float]) -> None:
    """The issue's bound for the event loop: 50 ms.

    The 95th percentile of the round trips seen from outside, since a busy machine delays a few of them by
    itself. A loop that waits for the store would answer one of them in all that time, and not twenty.
    """
    assert len(taken) >= 20, "the loop answered hardly anything while the store was held up"
    assert quantiles(taken, n=20)[-1] < 0.050


def assert_names_the_keychain(reply: Reply) -> None:
    assert reply.status == 403
    assert reply.headers["x-claude-proxy-error"] == "no_credential"
    assert "keychain" in message_of(reply)
    assert CLAUDE_SERVICE in message_of(reply)


async def recovered(daemon: Daemon) -> None:
    """Waits until a request that needs the store is answered."""
    async with asyncio.timeout(20):
        while (await say_hi(daemon, PLACEHOLDER)).status != 200:
            await asyncio.sleep(0.05)


async def test_a_hanging_store_costs_its_timeout_and_delays_nobody_else(tmp_path: Path) -> None:
    keychain = RecordingKeyring(tmp_path / "keychain")
    keychain.put(stored_login(STORED_TOKEN))
    keychain.hold()
    async with StandIn() as claude:
        config = to(claude, read_timeout="2s")
        async with running(tmp_path, config, keychain.environment) as daemon:
            waiting = asyncio.create_task(say_hi(daemon, PLACEHOLDER))
            await eventually(lambda: keychain.reads == [ITEM])
            for _ in range(10):
                assert (await say_hi(daemon, OWN_LOGIN)).status == 200
            assert not waiting.done(), "the ten were to be answered while the store still hung"
            assert_never_stuck(await round_trips(daemon, waiting))
            assert_names_the_keychain(await waiting)
            assert [bearer_of(received) for received in claude.received] == [CLIENT_TOKEN] * 10
            # The read hangs for ever, and the daemon ends all the same.
            assert await daemon.stop() == 0


async def test_ten_requests_during_a_hang_wait_for_one_read(tmp_path: Path) -> None:
    keychain = RecordingKeyring(tmp_path / "keychain")
    keychain.put(stored_login(STORED_TOKEN))
    keychain.hold()
    async with StandIn() as claude, running(tmp_path, to(claude, **QUICK), keychain.environment) as daemon:
        for reply in await asyncio.gather(*(say_hi(daemon, PLACEHOLDER) for _ in range(10))):
            assert_names_the_keychain(reply)
        assert keychain.reads == [ITEM]
        assert claude.received == []
        keychain.release()
        await recovered(daemon)
        assert bearer_of(claude.received[0]) == STORED_TOKEN


async def test_a_frozen_secret_service_costs_its_timeout_and_delays_nobody_else(tmp_path: Path) -> None:
    async with secret_service() as keyring, StandIn() as claude:
        await keyring.store(CLAUDE_SERVICE, ACCOUNT, stored_login(STORED_TOKEN))
        async with running(tmp_path, to(claude, **QUICK), keyring.environment) as daemon:
            keyring.freeze()
            waiting = asyncio.create_task(say_hi(daemon, PLACEHOLDER))
            taken = await round_trips(daemon, waiting)
            assert_names_the_keychain(await waiting)
            assert_never_stuck(taken)
            assert (await say_hi(daemon, OWN_LOGIN)).status == 200
            keyring.thaw()
            await recovered(daemon)
            assert bearer_of(claude.received[-1]) == STORED_TOKEN


async def test_a_locked_collection_that_nobody_can_unlock_is_named_at_once(tmp_path: Path) -> None:
    async with secret_service() as keyring, StandIn() as claude:
        await keyring.store(CLAUDE_SERVICE, ACCOUNT, stored_login(STORED_TOKEN))
        await keyring.lock()
        async with running(tmp_path, to(claude, cache_ttl="1ms"), keyring.environment) as daemon:
            reply = await say_hi(daemon, PLACEHOLDER)
            assert_names_the_keychain(reply)
            assert "unlock" in message_of(reply)
            assert claude.received == []
            assert (await say_hi(daemon, OWN_LOGIN)).status == 200
            await keyring.unlock()
            await recovered(daemon)
            assert bearer_of(claude.received[-1]) == STORED_TOKEN


async def test_a_locked_collection_that_asks_costs_its_timeout_and_delays_nobody_else(tmp_path: Path) -> None:
    async with secret_service(someone_is_there=True) as keyring, StandIn() as claude:
        await keyring.store(CLAUDE_SERVICE, ACCOUNT, stored_login(STORED_TOKEN))
        await keyring.lock()
        async with running(tmp_path, to(claude, **QUICK), keyring.environment) as daemon:
            waiting = asyncio.create_task(say_hi(daemon, PLACEHOLDER))
            taken = await round_trips(daemon, waiting)
            assert_names_the_keychain(await waiting)
            assert "unlock" in message_of(await waiting)
            assert_never_stuck(taken)
            assert keyring.prompts == 1
            assert (await say_hi(daemon, OWN_LOGIN)).status == 200


async def test_an_ignored_dialog_does_not_shut_the_login_out_for_ever(tmp_path: Path) -> None:
    async with secret_service(someone_is_there=True) as keyring, StandIn() as claude:
        await keyring.store(CLAUDE_SERVICE, ACCOUNT, stored_login(STORED_TOKEN))
        await keyring.lock()
        async with running(tmp_path, to(claude, **QUICK), keyring.environment) as daemon:
            for _ in range(3):
                assert_names_the_keychain(await say_hi(daemon, PLACEHOLDER))
            assert keyring.prompts == 1, "each request would open one more dialog"
            await keyring.unlock()  # elsewhere: the read that opened the dialog learns nothing of it
            await recovered(daemon)
            assert await daemon.stop() == 0


async def test_a_login_file_serves_while_the_keychain_is_locked(tmp_path: Path) -> None:
    write_login_file(tmp_path / ".claude", stored_login("sk-ant-oat01-FAKE-in-the-file"))
    async with secret_service() as keyring, StandIn() as claude:
        await keyring.store(CLAUDE_SERVICE, ACCOUNT, stored_login(STORED_TOKEN))
        await keyring.lock()
        async with running(tmp_path, to(claude), keyring.environment) as daemon:
            assert (await say_hi(daemon, PLACEHOLDER)).status == 200
            assert bearer_of(claude.received[0]) == "sk-ant-oat01-FAKE-in-the-file"


@pytest.mark.parametrize(
    "env",
    [
        {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere/bus"},
        {},
    ],
    ids=["the bus is gone", "no bus"],
)
async def test_a_machine_without_a_secret_service_falls_through_to_the_file(
    tmp_path: Path, env: dict[str, str]
) -> None:
    write_login_file(tmp_path / ".claude", stored_login(STORED_TOKEN))
    backend = {"PYTHON_KEYRING_BACKEND": "keyring.backends.SecretService.Keyring"}
    async with StandIn() as claude, running(tmp_path, to(claude), {**backend, **env}) as daemon:
        assert (await say_hi(daemon, PLACEHOLDER)).status == 200
        assert bearer_of(claude.received[0]) == STORED_TOKEN

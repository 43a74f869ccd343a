"""The login among several items of a real Secret Service: the user's own is taken, and read once in its life."""

import json
from hashlib import sha256
from pathlib import Path

from tests.claude_request import SENTINEL, bearer_of, claude_headers, stored_login
from tests.paths.logins import STORED_TOKEN, say_hi, store_reads, to
from tests.recording_keyring import ACCOUNT, CLAUDE_SERVICE
from tests.running import running
from tests.secret_service import secret_service
from tests.stand_in import StandIn

PLACEHOLDER = claude_headers({"x-api-key": SENTINEL})


async def test_of_several_accounts_the_users_own_is_taken(tmp_path: Path) -> None:
    async with secret_service() as keyring, StandIn() as claude:
        await keyring.store(CLAUDE_SERVICE, "unknown", json.dumps({"mcpOAuth": {}}))
        await keyring.store(CLAUDE_SERVICE, ACCOUNT, stored_login(STORED_TOKEN))
        await keyring.store(CLAUDE_SERVICE, "another", stored_login("sk-ant-oat01-FAKE-of-another"))
        async with running(tmp_path, to(claude), keyring.environment) as daemon:
            assert (await say_hi(daemon, PLACEHOLDER)).status == 200
            assert bearer_of(claude.received[0]) == STORED_TOKEN


async def test_an_account_without_an_item_gets_none_of_anothers(tmp_path: Path) -> None:
    async with secret_service() as keyring, StandIn() as claude:
        await keyring.store(CLAUDE_SERVICE, "another", stored_login("sk-ant-oat01-FAKE-of-another"))
        async with running(tmp_path, to(claude), keyring.environment) as daemon:
            assert (await say_hi(daemon, PLACEHOLDER)).status == 403
            assert claude.received == []


async def test_a_configuration_directory_has_an_item_of_its_own(tmp_path: Path) -> None:
    directory = str(tmp_path / "elsewhere")
    service = f"{CLAUDE_SERVICE}-{sha256(directory.encode()).hexdigest()[:8]}"
    async with secret_service() as keyring, StandIn() as claude:
        await keyring.store(CLAUDE_SERVICE, ACCOUNT, stored_login("sk-ant-oat01-FAKE-of-the-usual-place"))
        await keyring.store(service, ACCOUNT, stored_login(STORED_TOKEN))
        env = {**keyring.environment, "CLAUDE_CONFIG_DIR": directory}
        async with running(tmp_path, to(claude), env) as daemon:
            assert (await say_hi(daemon, PLACEHOLDER)).status == 200
            assert bearer_of(claude.received[0]) == STORED_TOKEN


async def test_it_is_read_once_although_the_cache_is_off(tmp_path: Path) -> None:
    """The collection is locked meanwhile: a second read would fail, or open a dialog."""
    async with secret_service() as keyring, StandIn() as claude:
        await keyring.store(CLAUDE_SERVICE, ACCOUNT, stored_login(STORED_TOKEN))
        async with running(tmp_path, to(claude, cache_ttl="1ms"), keyring.environment) as daemon:
            assert (await say_hi(daemon, PLACEHOLDER)).status == 200
            await keyring.lock()
            for _ in range(5):
                assert (await say_hi(daemon, PLACEHOLDER)).status == 200
            assert await store_reads(daemon) == 1

"""Each source that the configuration names is built as it is spelt, in the order in which they stand."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from claude_proxy.config.settings import CredentialSettings
from claude_proxy.credentials.credential import Credential, CredentialUnavailable, Scheme, SubscriptionGuarded
from claude_proxy.credentials.key_file import keys_directory, write_key_file
from claude_proxy.supplies import supply
from claude_proxy.wire.messages import ClientRequest
from tests.claude_request import stored_login
from tests.client_requests import message_request
from tests.memory_keyring import MemoryKeyring

KEY = "FAKE-key-in-environment"
STORED = "sk-ant-oat01-FAKE-stored-login"
CLIENTS = ("Authorization", "Bearer sk-ant-oat01-FAKE-login-of-the-client")
SENTINELS = frozenset({"proxy-managed"})


async def obtained(
    sources: Sequence[str],
    request: ClientRequest,
    env: Mapping[str, str] | None = None,
    learnt: list[str] | None = None,
) -> Credential | None:
    settings = CredentialSettings("x", tuple(sources), 300.0, 5.0)
    learn = (lambda _: None) if learnt is None else learnt.append
    return await supply(settings, SENTINELS, env or {}, learn).obtain(request)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where the login's file lies, as Claude Code writes it."""
    file = tmp_path / ".claude" / ".credentials.json"
    file.parent.mkdir()
    file.write_text(stored_login(STORED))
    file.chmod(0o600)
    return tmp_path


async def test_sources_are_asked_in_the_order_in_which_they_stand(home: Path) -> None:
    env = {"HOME": str(home), "X_KEY": KEY}
    request = message_request(CLIENTS)
    first = await obtained(["env:X_KEY", "client", "file"], request, env)
    assert first is not None
    assert (first.secret, first.source, first.ours) == (KEY, "env:X_KEY", True)
    second = await obtained(["client", "env:X_KEY", "file"], request, env)
    assert second is not None
    assert not second.ours
    third = await obtained(["env:NOT_SET", "file", "client"], request, env)
    assert third is not None
    assert (third.secret, third.source) == (STORED, "file")


async def test_what_stands_behind_the_client_serves_those_who_bring_nothing(home: Path) -> None:
    env = {"HOME": str(home)}
    found = await obtained(["client", "file"], message_request(("x-api-key", "proxy-managed")), env)
    assert found is not None
    assert (found.secret, found.ours, found.stored_login) == (STORED, True, True)


async def test_a_setup_token_of_the_environment_is_a_login() -> None:
    token = "FAKE-setup-token"
    found = await obtained(["env:CLAUDE_CODE_OAUTH_TOKEN"], message_request(), {"CLAUDE_CODE_OAUTH_TOKEN": token})
    assert found is not None
    assert (found.secret, found.scheme, found.is_login) == (token, Scheme.BEARER, True)


async def test_a_stored_setup_token_is_a_login_that_is_looked_for_where_it_was_noted(
    tmp_path: Path, memory_keyring: MemoryKeyring
) -> None:
    memory_keyring.items["claude-proxy", "setup-token"] = "FAKE-setup-token"
    env = {"HOME": str(tmp_path)}
    assert await obtained(["keyring:setup-token"], message_request(), env) is None
    assert memory_keyring.asked == []
    write_key_file(keys_directory(env), "setup-token", "")
    found = await obtained(["keyring:setup-token"], message_request(), env)
    assert found is not None
    assert (found.secret, found.scheme, found.source) == ("FAKE-setup-token", Scheme.BEARER, "keyring:setup-token")
    assert found.is_login
    assert found.expires_at is None


async def test_a_key_of_our_own_is_found_in_its_file_and_in_the_keychain(
    tmp_path: Path, memory_keyring: MemoryKeyring
) -> None:
    env = {"HOME": str(tmp_path)}
    memory_keyring.items["claude-proxy", "x"] = KEY
    found = await obtained(["keyring:x"], message_request(), env)
    assert found is not None
    assert (found.secret, found.scheme, found.is_login) == (KEY, Scheme.API_KEY, False)
    write_key_file(keys_directory(env), "x", "FAKE-stored-later")
    found = await obtained(["keyring:x"], message_request(), env)
    assert found is not None
    assert found.secret == "FAKE-stored-later"


async def test_a_copied_login_is_known_by_the_name_of_its_file_and_must_be_private(tmp_path: Path) -> None:
    file = tmp_path / "claude-credentials.json"
    file.write_text(stored_login("FAKE-another-shape", expiresAt=4_000_000_000_000))
    file.chmod(0o600)
    found = await obtained([f"file:{file}"], message_request())
    assert found is not None
    assert (found.secret, found.is_login, found.expires_at) == ("FAKE-another-shape", True, 4_000_000_000.0)
    other = message_request(headers=(("User-Agent", "curl/8"), ("Content-Type", "application/json")))
    with pytest.raises(SubscriptionGuarded):
        await obtained([f"file:{file}"], other)
    file.chmod(0o644)
    with pytest.raises(CredentialUnavailable, match="chmod 600"):
        await obtained([f"file:{file}"], message_request())


async def test_a_key_may_lie_in_a_private_file_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"  {KEY}\n")
    file.chmod(0o600)
    found = await obtained([f"file:{file}"], message_request())
    assert found is not None
    assert (found.secret, found.scheme) == (KEY, Scheme.API_KEY)
    file.chmod(0o644)
    with pytest.raises(CredentialUnavailable, match="can be read by others"):
        await obtained([f"file:{file}"], message_request())


async def test_an_empty_file_holds_no_key(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("\n")
    file.chmod(0o600)
    assert await obtained([f"file:{file}"], message_request()) is None


async def test_the_logins_file_is_looked_for_in_claude_codes_own_directory(home: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ".credentials.json").write_text(stored_login("sk-ant-oat01-FAKE-elsewhere"))
    env = {"HOME": str(home), "CLAUDE_CONFIG_DIR": str(elsewhere)}
    found = await obtained(["file"], message_request(), env)
    assert found is not None
    assert found.secret == "sk-ant-oat01-FAKE-elsewhere"
    # Seen with 2.1.197: secrets alone may lie elsewhere still.
    env = {"HOME": str(home), "CLAUDE_CONFIG_DIR": str(tmp_path), "CLAUDE_SECURESTORAGE_CONFIG_DIR": str(elsewhere)}
    assert await obtained(["file"], message_request(), env) == found


async def test_a_stored_login_serves_claude_code_alone(home: Path) -> None:
    other = message_request(headers=(("User-Agent", "curl/8"), ("Content-Type", "application/json")))
    with pytest.raises(SubscriptionGuarded):
        await obtained(["client", "file"], other, {"HOME": str(home)})


async def test_every_secret_that_is_read_is_learnt_so_that_no_log_shows_it(home: Path) -> None:
    learnt: list[str] = []
    await obtained(["file"], message_request(), {"HOME": str(home)}, learnt)
    await obtained(["env:X_KEY"], message_request(), {"X_KEY": KEY}, learnt)
    assert learnt == [STORED, KEY]


@pytest.mark.parametrize(
    ("sources", "refresh"),
    [(["client", "file"], "delegate"), (["keychain"], "delegate"), (["client", "env:X", "file:/key"], None)],
)
def test_only_where_a_login_is_stored_is_there_one_to_renew(sources: list[str], refresh: str | None) -> None:
    settings = CredentialSettings("x", tuple(sources), 300.0, 5.0)
    assert supply(settings, SENTINELS, {}, lambda _: None).state().refresh == refresh


async def test_without_sources_there_is_no_credential() -> None:
    assert await obtained([], message_request(CLIENTS)) is None

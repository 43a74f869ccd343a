"""The plan is read from Claude Code's keychain item, and a keychain that refuses says why."""

import sys

import keyring.errors
import pytest

from claude_proxy.commands.keychain_plan import keychain_plan
from claude_proxy.credentials.account import Plan
from tests.claude_request import stored_login
from tests.memory_keyring import MemoryKeyring, raising

ITEM = ("Claude Code-credentials", "tester")
USER = {"USER": "tester"}


@pytest.fixture(autouse=True)
def not_on_macos(monkeypatch: pytest.MonkeyPatch) -> None:
    """There it is read through `security`; tests/credentials/test_keychain.py shows that."""
    monkeypatch.setattr(sys, "platform", "linux")


def test_the_item_names_the_plan(memory_keyring: MemoryKeyring) -> None:
    memory_keyring.items[ITEM] = stored_login("sk-ant-oat01-FAKE", expiresAt=1_800_000_000_000)
    assert keychain_plan(USER) == (Plan("max", None, 1_800_000_000.0), "")
    assert memory_keyring.asked == [ITEM]


@pytest.mark.parametrize("item", [None, "{}", "no JSON"])
def test_an_item_without_a_login_has_none(memory_keyring: MemoryKeyring, item: str | None) -> None:
    if item is not None:
        memory_keyring.items[ITEM] = item
    assert keychain_plan(USER) == (None, "")


def test_a_keychain_that_refuses_says_why(memory_keyring: MemoryKeyring) -> None:
    memory_keyring.outcome = raising(keyring.errors.KeyringLocked("locked"))
    plan, problem = keychain_plan(USER)
    assert plan is None
    assert "it is locked; unlock it" in problem

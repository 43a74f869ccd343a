"""What Claude Code's keychain item says of the plan. One bounded read; no token is kept."""

import asyncio
from collections.abc import Mapping

from claude_proxy.credentials.account import Plan, read_plan
from claude_proxy.credentials.credential import Credential, CredentialSource, CredentialUnavailable
from claude_proxy.credentials.keychain import KeychainSource, claude_item

_PATIENCE = 5.0  # seconds; a keychain may be waiting for an answer that nobody gives


def keychain_plan(environment: Mapping[str, str]) -> tuple[Plan | None, str]:
    """The plan, None where there is no login; and why the keychain could not be read, "" where it could."""
    plans: list[Plan | None] = []

    def note(text: str, _: CredentialSource) -> Credential | None:
        plans.append(read_plan(text))
        return None

    service, account = claude_item(environment)
    try:
        asyncio.run(KeychainSource("keychain", service, account, note, timeout=_PATIENCE).read())
    except CredentialUnavailable as error:
        return None, str(error)
    return (plans[0] if plans else None), ""

"""Whose login Claude Code has stored and what plan it belongs to, for the user's own eyes; never a token.

The envelope of its keychain item and `.credentials.json` names the plan, its state file `.claude.json` the account
(seen with Claude Code 2.1.197). It is shown and decides nothing: what is missing or odd is left out.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from claude_proxy.credentials.regular_file import FileRefused, read_regular

_LARGEST_STATE = 32 << 20  # bytes; the state file also keeps prompts of every project
_LATEST = 253_402_300_800_000  # the year 10000, in milliseconds


@dataclass(frozen=True, slots=True)
class Plan:
    """`expires_at` is Unix time in seconds, of the access token."""

    subscription: str | None
    rate_limit_tier: str | None
    expires_at: float | None


@dataclass(frozen=True, slots=True)
class Account:
    email: str | None
    name: str | None
    organization: str | None


def state_file(environment: Mapping[str, str]) -> Path:
    """Where Claude Code keeps what it knows of the account."""
    return Path(environment.get("CLAUDE_CONFIG_DIR") or _home(environment)) / ".claude.json"


def _home(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("HOME") or Path.home())


def read_plan(text: str) -> Plan | None:
    """What an envelope says besides its tokens; None where it holds no login."""
    login = _mapping(_json(text), "claudeAiOauth")
    if not login.get("accessToken"):
        return None
    return Plan(_words(login, "subscriptionType"), _words(login, "rateLimitTier"), _expiry(login.get("expiresAt")))


def read_plan_file(path: Path) -> Plan | None:
    """The same of a file; None also where it cannot be read."""
    text = _text(path)
    return None if text is None else read_plan(text)


def read_account(environment: Mapping[str, str]) -> Account | None:
    """The account that Claude Code noted when the user logged in."""
    text = _text(state_file(environment))
    noted = {} if text is None else _mapping(_json(text), "oauthAccount")
    account = Account(_words(noted, "emailAddress"), _words(noted, "displayName"), _words(noted, "organizationName"))
    return account if account != Account(None, None, None) else None


def _expiry(milliseconds: object) -> float | None:
    if isinstance(milliseconds, (int, float)) and milliseconds is not True and 0 < milliseconds < _LATEST:
        return milliseconds / 1000
    return None


def _text(path: Path) -> str | None:
    try:
        return read_regular(path, largest=_LARGEST_STATE)
    except (OSError, FileRefused, UnicodeDecodeError):
        return None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _mapping(value: Any, key: str) -> dict[str, Any]:
    inner = value.get(key) if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}


def _words(value: dict[str, Any], key: str) -> str | None:
    text = value.get(key)
    return text if isinstance(text, str) and text else None

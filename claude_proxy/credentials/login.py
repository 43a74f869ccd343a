"""Claude Code's stored login: the envelope of its keychain item and its `.credentials.json` (seen with 2.1.197)."""

import json
import math

from claude_proxy.credentials.credential import Credential, CredentialSource, CredentialUnavailable, Scheme

# As seconds this is the year 5138, as milliseconds the year 1973: a larger number can only be milliseconds.
_SMALLEST_MILLISECONDS = 100_000_000_000


def read_login(text: str, source: CredentialSource) -> Credential | None:
    """The access token of the envelope, or None where it holds no login (blanked, or only MCP tokens).

    The refresh token is never looked at: redeeming it is the client's own affair. Raises
    CredentialUnavailable, which names the source and never quotes the content.
    """
    try:
        envelope = json.loads(text)
    except (ValueError, RecursionError):
        raise CredentialUnavailable(f"{source.place} does not hold valid JSON; run `claude` and log in again") from None
    if not isinstance(envelope, dict):
        raise CredentialUnavailable(f"{source.place} does not hold a JSON object; run `claude` and log in again")
    login = envelope.get("claudeAiOauth")
    if login is None:
        return None
    token = login.get("accessToken") if isinstance(login, dict) else None
    if token == "":
        return None  # Claude Code blanks the login when its refresh is refused
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or " " in token:
        raise CredentialUnavailable(
            f"{source.place} has no usable claudeAiOauth.accessToken; run `claude` and log in again"
        )
    expires_at = _expiry(login.get("expiresAt"), source)
    return Credential(token, Scheme.BEARER, source.name, expires_at=expires_at, stored_login=True)


def _expiry(value: object, source: CredentialSource) -> float | None:
    """The expiry as Unix time in seconds; the store has it in milliseconds."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise CredentialUnavailable(f"{source.place} has a claudeAiOauth.expiresAt that is no number")
    if 0 < value < _SMALLEST_MILLISECONDS:
        raise CredentialUnavailable(
            f"{source.place} has claudeAiOauth.expiresAt in seconds where Claude Code writes milliseconds; "
            "another program has written it: run `claude` and log in again"
        )
    try:
        seconds = value / 1000
    except OverflowError:
        seconds = math.inf
    if not math.isfinite(seconds):
        raise CredentialUnavailable(f"{source.place} has a claudeAiOauth.expiresAt that is no date")
    return seconds

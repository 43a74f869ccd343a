"""How sources are spelt in the configuration, and which of them give a Claude subscription's login.

Only strings: the command line asks this where it has no time to import more.
"""

SETUP_TOKEN = "setup-token"  # noqa: S105 - a name, not a secret
"""The entry of this proxy's own that holds what `claude setup-token` printed."""

STORED_SETUP_TOKEN = f"keyring:{SETUP_TOKEN}"

SETUP_TOKEN_SOURCES = frozenset({"env:CLAUDE_CODE_OAUTH_TOKEN", STORED_SETUP_TOKEN})
"""Logins for a year that nobody renews (https://code.claude.com/docs/en/authentication)."""

LOGIN_SOURCES = frozenset({"client", "keychain", "file"}) | SETUP_TOKEN_SOURCES
"""The sources that give a Claude login, which is for Anthropic alone; files of logins are known by their names."""

# Claude Code's own file, and the copy of its keychain item that scripts/sync-credentials makes.
_LOGIN_FILES = (".credentials.json", "claude-credentials.json")


def is_login_file(source: str) -> bool:
    """Whether `file:PATH` names a file in which a whole login lies, rather than one key."""
    return source.startswith("file:") and source.endswith(_LOGIN_FILES)


def is_login_source(source: str) -> bool:
    """Whether a source gives a Claude login, which is never sent to another provider."""
    return source in LOGIN_SOURCES or is_login_file(source)

"""What is set elsewhere and spoils the routing: credentials that replace the login, and switches to other providers.

Nothing is ever quoted but names: the values are secrets.
"""

from collections.abc import Iterator, Mapping

from claude_proxy.toggle.settings_text import SettingsText

_CREDENTIALS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
_HELPER = "apiKeyHelper"
_PROVIDERS = ("CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY")
_OFF = frozenset({"", "0", "false", "no", "off"})
_TOKEN = "ANTHROPIC_CUSTOM_HEADERS"  # noqa: S105 - the name of a variable
_TOKEN_HEADER = "x-claude-proxy-token"  # noqa: S105 - the name of a header


def hazards(settings: SettingsText | None, shown: str, environment: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each, with its place and its remedy. `settings` is None where they cannot be read; `shown` is
    their path for a person."""
    for name in _CREDENTIALS:
        if settings is not None and settings.value(name):
            yield f"{name} is set in {shown}: {_REPLACED}. Remove it there"
        if environment.get(name):
            yield f"{name} is set in this shell: {_REPLACED}. Unset it, and remove it from your shell's files"
    if settings is not None and settings.has(_HELPER):
        yield f"{_HELPER} is set in {shown}: {_REPLACED}. Remove it there"
    for name in _PROVIDERS:
        value = (settings.value(name) if settings else "") or environment.get(name, "")
        if value.strip().lower() not in _OFF:
            yield f"{name} is set: Claude Code then asks that provider, and not the proxy. Unset it"


_REPLACED = "Claude Code sends it instead of your Claude login, so your plan is neither used nor shown"


def lacks_token(settings: SettingsText | None, environment: Mapping[str, str]) -> bool:
    """Whether Claude Code is not told to send the proxy's access token."""
    headers = (settings.value(_TOKEN) if settings else "") or environment.get(_TOKEN, "")
    return _TOKEN_HEADER not in headers.lower()


def token_wanted(shown: str) -> str:
    """What to do then."""
    return (
        "the daemon asks for its access token: have Claude Code send it, with "
        f'"{_TOKEN}": "{_TOKEN_HEADER}: …" in env of {shown}'
    )

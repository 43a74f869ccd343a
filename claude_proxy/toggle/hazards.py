"""What is set elsewhere and spoils the routing: credentials that replace the login, and switches to other providers.

Nothing is ever quoted but names: the values are secrets.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from claude_proxy.toggle.settings_text import SettingsText
from claude_proxy.wire.headers import TOKEN_HEADER

_CREDENTIALS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
_HELPER = "apiKeyHelper"
_PROVIDERS = ("CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY")
_OFF = frozenset({"", "0", "false", "no", "off"})
_TOKEN = "ANTHROPIC_CUSTOM_HEADERS"  # noqa: S105 - the name of a variable


class Hazard(NamedTuple):
    """One of them: what is set, in which file ("" for this shell, or for whichever it is), why that is bad, what to do.

    With `astray` Claude Code does not ask the proxy at all.
    """

    name: str
    file: str
    cause: str
    remedy: str
    astray: bool = False

    def __str__(self) -> str:
        return f"{self.cause}. {self.remedy}"


def hazards(settings: SettingsText | None, shown: str, environment: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each, with its place and its remedy. `settings` is None where they cannot be read; `shown` is
    their path for a person."""
    return map(str, find_hazards(settings, shown, environment))


def find_hazards(settings: SettingsText | None, shown: str, environment: Mapping[str, str]) -> Iterator[Hazard]:
    """The same, taken apart."""
    for name in _CREDENTIALS:
        if settings is not None and settings.value(name):
            yield Hazard(name, shown, f"{name} is set in {shown}: {_REPLACED}", "Remove it there")
        if environment.get(name):
            todo = "Unset it, and remove it from your shell's files"
            yield Hazard(name, "", f"{name} is set in this shell: {_REPLACED}", todo)
    if settings is not None and settings.has(_HELPER):
        yield Hazard(_HELPER, shown, f"{_HELPER} is set in {shown}: {_REPLACED}", "Remove it there")
    for name in _PROVIDERS:
        in_settings = settings.value(name) if settings else ""
        if (in_settings or environment.get(name, "")).strip().lower() not in _OFF:
            cause = f"{name} is set: Claude Code then asks that provider, and not the proxy"
            yield Hazard(name, shown if in_settings else "", cause, "Unset it", astray=True)


_REPLACED = "Claude Code sends it instead of your Claude login, so your plan is neither used nor shown"


def lacks_token(settings: SettingsText | None, environment: Mapping[str, str]) -> bool:
    """Whether Claude Code is not told to send the proxy's access token."""
    headers = (settings.value(_TOKEN) if settings else "") or environment.get(_TOKEN, "")
    return TOKEN_HEADER not in headers.lower()


def token_wanted(shown: str) -> str:
    """What to do then."""
    return (
        "the daemon asks for its access token: have Claude Code send it, with "
        f'"{_TOKEN}": "{TOKEN_HEADER}: …" in env of {shown}'
    )

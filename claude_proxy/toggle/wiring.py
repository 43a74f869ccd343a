"""How a Claude Code is wired to the daemon: where that is, whether it answers, and the variables that lead there.

`enable` writes these variables into a file, `env` prints them, `run` gives them to one process.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from claude_proxy.toggle import address, haiku, hazards
from claude_proxy.toggle.disk import glance
from claude_proxy.toggle.health import Health, Silence, wants_token
from claude_proxy.toggle.places import Places
from claude_proxy.toggle.refusals import AddressUnknown, NotAnswering, ToggleRefused
from claude_proxy.toggle.settings_text import BASE_URL, HAIKU_MODEL, TOOL_SEARCH, SettingsText


class Wiring(NamedTuple):
    """`haiku_unknown`: the daemon does not tell its routes. `looked_for` are the sources in which a key for Haiku's
    upstream was looked for."""

    variables: Mapping[str, str]
    haiku_unknown: bool
    looked_for: tuple[str, ...]


def configured(places: Places, config: Path | None, environment: Mapping[str, str]) -> address.Address:
    """Where the daemon listens by its configuration: `config`, else the user's own."""
    return address.configured(config or places.configuration, environment, required=config is not None)


def daemon_url(
    url: str | None, places: Places, config: Path | None, environment: Mapping[str, str], *, otherwise: str
) -> str:
    """The daemon's address: the one that was given, else by the configuration.

    Raises AddressUnknown; `otherwise` says what then was not done.
    """
    where = address.Address(address.given(url)) if url else configured(places, config, environment)
    if where.complaint:
        raise AddressUnknown(f"{where.complaint}; {otherwise}. Mend it, or name the daemon's address: --url")
    return where.url


def must_answer(url: str, health: Health | Silence, *, otherwise: str, force: str) -> Health:
    """The daemon's answer. Raises NotAnswering; `otherwise` says what then was not done, `force` what to do anyway."""
    if isinstance(health, Health):
        return health
    raise NotAnswering(
        f"{url}: {_nobody(health)}. Claude Code would hang; {otherwise}. "
        f"Start the daemon: claude-proxy service start · or {force} all the same: --force"
    )


def hangs(url: str, silence: Silence) -> str:
    """What becomes of Claude Code where it is wired all the same."""
    return f"{url}: {_nobody(silence)}. Until the daemon runs, claude will hang"


def _nobody(silence: Silence) -> str:
    return silence.reason if silence.taken else f"nothing answers there ({silence.reason})"


def wire(url: str, health: Health | Silence, environment: Mapping[str, str], *, ask_keychain: bool = True) -> Wiring:
    """The variables with which Claude Code uses the daemon at this URL. What `environment` says of Haiku is kept.

    `ask_keychain`: whether a key that the daemon has not read yet is worth the time that the keychain takes.
    """
    looked_for: list[str] = []

    def is_stored(source: str) -> bool:
        looked_for.append(source)
        return haiku.key_is_stored(source, ask_keychain=ask_keychain)

    elsewhere = haiku.goes_elsewhere(health, is_stored) if isinstance(health, Health) else None
    variables = {BASE_URL: url, TOOL_SEARCH: "true"}
    if elsewhere and not haiku.is_chosen(environment):
        variables[HAIKU_MODEL] = haiku.HAIKU
    return Wiring(variables, elsewhere is None, tuple(looked_for))


def spoilers(
    url: str, health: Health | Silence, places: Places, environment: Mapping[str, str], project: Path
) -> list[str]:
    """Warnings of what would keep a Claude Code with these variables from using the daemon, or the user's plan."""
    settings = _settings(places.settings)
    shown = places.shown(places.settings)
    found = [*_outvoted(url, places, project), *hazards.hazards(settings, shown, environment)]
    if isinstance(health, Health) and hazards.lacks_token(settings, environment) and wants_token(url):
        found.append(hazards.token_wanted(shown))
    return found


def _outvoted(url: str, places: Places, project: Path) -> list[str]:
    """Settings files with another base URL: Claude Code puts their `env` before its environment.

    `project` is where Claude Code is started; the later file wins.
    """
    found = []
    inside = project / ".claude"
    for path in dict.fromkeys((places.settings, inside / "settings.json", inside / "settings.local.json")):
        settings = _settings(path)
        there = settings.value(BASE_URL) if settings else ""
        if there and not address.same(there, url):
            found.append(
                f"{places.shown(path)} has {BASE_URL} = {address.shown(there)}, which wins over this: Claude Code "
                "will not use the proxy. Remove it there"
            )
    return found


def _settings(path: Path) -> SettingsText | None:
    try:
        return SettingsText(glance(path) or b"", str(path))
    except ToggleRefused:
        return None  # Claude Code cannot read it either

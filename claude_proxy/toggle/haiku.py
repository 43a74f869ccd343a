"""Whether the daemon takes Haiku elsewhere than the rest, so that Claude Code must be told to use it.

Behind any base URL that is not Anthropic's, Claude Code makes its background calls with the main model unless
ANTHROPIC_DEFAULT_HAIKU_MODEL is set (seen with Claude Code 2.1.197): a route for Haiku would stay unused.
"""

import os
import sys
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from claude_proxy.credentials.key_file import is_key_name, keys_directory
from claude_proxy.toggle.health import Health, mapping, sequence
from claude_proxy.toggle.settings_text import HAIKU_MODEL, OLDER_HAIKU_MODEL

HAIKU = "claude-haiku-4-5-20251001"
"""What `haiku` then means to Claude Code, and the name of its background model."""

_LIVE = frozenset({"present", "pass-through"})
_NOT_READ = "not read"
_KEYRING_PATIENCE = 5.0  # seconds; a locked keychain may ask the user


def goes_elsewhere(health: Health, is_stored: Callable[[str], bool] | None = None) -> bool | None:
    """Whether Haiku's first target that has a credential is another one than that of all else; None where the daemon
    does not tell its routes. `is_stored` says of a source that nobody has read yet whether a key lies there."""
    routes = [mapping(route) for route in sequence(health.body.get("routes"))]
    haiku = next((route for route in routes if _takes_haiku(route)), None)
    if haiku is None:
        return None
    return _first_live(haiku, health, is_stored or key_is_stored) not in {
        None,
        _first_live(routes[-1], health, is_stored or key_is_stored),
    }


def is_chosen(environment: Mapping[str, str]) -> bool:
    """Whether the user's own variables say which model Haiku is, so that nothing of ours should win over them."""
    return environment.get(HAIKU_MODEL, HAIKU) not in {"", HAIKU} or bool(environment.get(OLDER_HAIKU_MODEL))


def is_usable(upstream: str, health: Health, is_stored: Callable[[str], bool]) -> bool:
    """Whether an upstream has a credential, or needs none."""
    name = str(mapping(health.section("upstreams").get(upstream)).get("credential"))
    state = mapping(health.section("credentials").get(name))
    if name == "none" or state.get("state") in _LIVE:
        return True
    if state.get("state") != _NOT_READ:
        return False
    return any(is_stored(str(source)) for source in sequence(state.get("sources")))


def key_is_stored(source: str, *, ask_keychain: bool = True) -> bool:
    """Whether a source of the daemon's holds a key; the key itself is not looked at.

    Without `ask_keychain`, which takes 200 ms, one in the keychain is known only where `key set` has noted it.
    """
    kind, _, rest = source.partition(":")
    if kind == "file" and rest:
        return Path(rest).expanduser().exists()
    if kind != "keyring":
        return False
    if is_key_name(rest) and (keys_directory(os.environ) / rest).exists():
        return True  # `key set` left the key there, or a note that it lies in the keychain
    if not ask_keychain:
        return False
    # A process of its own: keyring costs 60 ms, and what it reads goes nowhere. -P: nothing is imported from here.
    # Imported here because it takes 10 ms, and most of the time nobody need be asked.
    import subprocess

    command = [sys.executable, "-P", "-m", "keyring", "get", "claude-proxy", rest]
    quiet = subprocess.DEVNULL
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program, no shell
            command, stdin=quiet, stdout=quiet, stderr=quiet, timeout=_KEYRING_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _takes_haiku(route: Mapping[str, Any]) -> bool:
    """Whether a background call for Haiku would go this way."""
    model = route.get("model")
    fits = model is None or fnmatchcase(HAIKU, str(model).lower())
    return fits and route.get("agent") != "sub" and route.get("background") is None


def _first_live(route: Mapping[str, Any], health: Health, is_stored: Callable[[str], bool]) -> str | None:
    names = [str(mapping(target).get("upstream")) for target in sequence(route.get("to"))]
    return next((name for name in names if is_usable(name, health, is_stored)), None)

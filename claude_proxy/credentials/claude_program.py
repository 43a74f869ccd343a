"""The user's own `claude`: where it is found, and what it may know of our environment."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

# launchd and systemd give a bare PATH; these are the places of Anthropic's installer, of Homebrew and of npm.
USUAL_PLACES = ("~/.local/bin", "~/.claude/local", "/opt/homebrew/bin", "/usr/local/bin", "~/.npm-global/bin")

# What a program needs to find its files, its login and the network. A list of what stays rather than of what goes:
# whoever adds a provider would have to remember to add its key to the other one.
_KEPT = frozenset(
    {
        *("HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR"),
        *("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"),
        *("CLAUDE_CONFIG_DIR", "CLAUDE_SECURESTORAGE_CONFIG_DIR"),
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
        *("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR"),
        *("CLAUDE_CODE_CERT_STORE", "CLAUDE_CODE_CLIENT_CERT", "CLAUDE_CODE_CLIENT_KEY"),
    }
)


def login_directory(environment: Mapping[str, str]) -> Path:
    """Where Claude Code keeps its login's file and locks: seen with 2.1.197, in this order."""
    moved = environment.get("CLAUDE_SECURESTORAGE_CONFIG_DIR") or environment.get("CLAUDE_CONFIG_DIR")
    return Path(moved) if moved else _home(environment) / ".claude"


def login_file(environment: Mapping[str, str]) -> Path:
    """Where Claude Code keeps its login on systems other than macOS."""
    return login_directory(environment) / ".credentials.json"


def search_path(environment: Mapping[str, str]) -> list[str]:
    """The directories of PATH, then the usual places, then nvm's, the newest first; only absolute ones."""
    home = _home(environment)
    usual = [str(home / place[2:]) if place.startswith("~/") else place for place in USUAL_PLACES]
    of_nvm = sorted((home / ".nvm" / "versions" / "node").glob("*/bin"), key=_version, reverse=True)
    named = environment.get("PATH", "").split(os.pathsep)
    return [place for place in dict.fromkeys([*named, *usual, *map(str, of_nvm)]) if Path(place).is_absolute()]


def find_program(name: str, environment: Mapping[str, str]) -> str | None:
    """The program's path; a name with a slash is one already."""
    if "/" in name:
        return shutil.which(str(_home(environment) / name[2:]) if name.startswith("~/") else name)
    return shutil.which(name, path=os.pathsep.join(search_path(environment)))


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What the program is given: no credential of anybody's, no address of ours, a PATH with its own place in it."""
    kept = {name: value for name, value in environment.items() if name in _KEPT or name.startswith("LC_")}
    # Installed by npm it is a script that needs its `node`, which lies beside it.
    return {**kept, "PATH": os.pathsep.join(search_path(environment)), "DISABLE_AUTOUPDATER": "1"}


def _home(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("HOME") or Path.home())


def _version(directory: Path) -> list[int]:
    return [int(part) for part in directory.parent.name.lstrip("v").split(".") if part.isdigit()]

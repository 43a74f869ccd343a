"""What of claude-proxy lies on this machine: what goes with it, and what is the user's and stays unless purged."""

import contextlib
import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from claude_proxy.credentials.key_file import keys_directory
from claude_proxy.logfile import launchd_log
from claude_proxy.service.removing import SYNC_AGENT
from claude_proxy.toggle.disk import glance
from claude_proxy.toggle.places import Places

_LOCKS = "*.lock"  # who records into a ledger


@dataclass(frozen=True)
class Belongings:
    """The directories of one user. Claude Code's own files are in none of them."""

    home: Path
    configuration: Path
    data: Path
    state: Path
    logs: Path
    login_copies: tuple[Path, ...]

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Belongings":
        places = Places.of(environment)
        copies = {
            directory / "claude-credentials.json" for directory in (places.settings.parent, places.home / ".claude")
        }
        return cls(
            home=places.home,
            configuration=places.configuration.parent,
            data=keys_directory(environment).parent,
            state=places.state,
            logs=launchd_log(places.home).parent,
            login_copies=tuple(sorted(copies)),
        )

    def passing(self) -> list[Path]:
        """State, locks and logs: worth nothing without the program."""
        sync_log = self.logs.with_name(f"{SYNC_AGENT}.log")
        return [
            *_inside(self.state),
            *self._locks(),
            *_inside(self.logs),
            *([sync_log] if sync_log.exists() else []),
        ]

    def personal(self) -> list[Path]:
        """Configuration, keys, ledger, and the login that was copied for a container."""
        locks = self._locks()
        return [
            *_inside(self.configuration),
            *(path for path in _inside(self.data) if path not in locks),
            *(path for path in self.login_copies if path.exists()),
        ]

    def _locks(self) -> list[Path]:
        return [path for path in _inside(self.data) if path.match(_LOCKS)]

    def emptied(self) -> Iterator[Path]:
        """The directories of ours that hold nothing any more, and those above them, the innermost first."""
        units = self.configuration.parent / "systemd" / "user"
        agents = self.home / "Library" / "LaunchAgents"
        for directory in (self.configuration, self.data / "keys", self.data, self.state, self.logs, units, agents):
            place = directory
            while place != self.home and place.is_relative_to(self.home):
                yield place
                place = place.parent


def remove(path: Path) -> None:
    """A file, or a directory with all that is in it; a link goes, and never what it leads to. Raises OSError."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def holds_program(path: Path) -> bool:
    """Whether the program that runs lies in there: it is not ours to remove, but its installer's."""
    return any(Path(place).is_relative_to(path) for place in (sys.prefix, __file__))


def remove_empty(directories: Iterator[Path]) -> None:
    """Those that are empty; others stay."""
    for directory in directories:
        with contextlib.suppress(OSError):
            directory.rmdir()


def status_line_left(settings: Path) -> bool:
    """Whether Claude Code's settings still name this program as its status line, which it will not find."""
    try:
        found = json.loads(glance(settings) or b"{}")
        return "claude-proxy" in str(found["statusLine"]["command"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def _inside(directory: Path) -> list[Path]:
    """A link in a directory's place is one thing, and what it leads to is not looked at."""
    if directory.is_symlink():
        return [directory]
    return sorted(directory.iterdir()) if directory.is_dir() else []

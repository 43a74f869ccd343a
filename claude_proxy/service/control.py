"""How a service manager's own command is run, and what all managers have in common."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_SECONDS = 90.0  # for one command; starting waits until the daemon serves


class ManagerFailed(Exception):
    """The manager's command failed, or is not there; the text has its own words, and what to do."""


@dataclass(frozen=True)
class State:
    """What the manager says: `words` are its own, for people. `ending`: told to end, and not gone yet."""

    loaded: bool
    pid: int | None
    words: str
    ending: bool = False


STILL_ENDING = "the old process still finishes its answers; start it again when they have ended"

ENDING_SECONDS = 10.0
"""How long an old process is waited for before a new one is started."""


class ServiceManager(Protocol):
    """Keeps our service: systemd or launchd."""

    def files(self) -> dict[Path, str]:
        """The files that make the service, with their texts."""

    def program(self) -> str | None:
        """The program that the installed files start; None where they are not there."""

    def start(self) -> None:
        """Now, and with each session from now on. It need not answer yet."""

    def stop(self) -> None:
        """Tells it to end, and no connection to start it again; does not wait for its running answers."""

    def forget(self) -> None:
        """After `stop`: does not start it with the session any more."""

    def reread(self) -> None:
        """The files have changed."""

    def state(self) -> State: ...

    def remarks(self) -> list[str]:
        """What the user should know after installing."""

    def log(self) -> str:
        """The command that shows the log."""


def run(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """The manager's command. Raises ManagerFailed where it is missing or hangs, and with `check` where it fails."""
    said = " ".join(command)
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)  # noqa: S603 - words of our own
    except FileNotFoundError:
        raise ManagerFailed(f"{command[0]} is not there: run `claude-proxy serve` yourself instead") from None
    except subprocess.TimeoutExpired:
        raise ManagerFailed(f"`{said}` has not ended after {_SECONDS:.0f} seconds") from None
    if check and done.returncode:
        raise ManagerFailed(f"`{said}` failed: {(done.stderr or done.stdout).strip()}")
    return done

"""A program that plays macOS' `security`: a keychain of items that is open, locked, denied or asks a person."""

import json
import os
import sys
from pathlib import Path

from tests.recording_keyring import ACCOUNT, CLAUDE_SERVICE

# As security(1) finds an item: by service and account, and without an account the first of that service.
PROGRAM = """#!{python} -IS
import json, os, pathlib, sys, time
directory = pathlib.Path({directory!r})
with (directory / "asked").open("a") as notes:
    notes.write(json.dumps(sys.argv[1:]) + "\\n")
with (directory / "environments").open("a") as notes:
    notes.write(json.dumps(dict(os.environ)) + "\\n")
asked = dict(zip(sys.argv[2::2], sys.argv[3::2]))
state = json.loads((directory / "state").read_text())
seen = state.get("seen")
while seen and not os.path.exists(seen + "/" + str(os.getpid())):
    time.sleep(0.01)
if state.get("asks"):
    (directory / "gate").read_text()
if code := state.get("code"):
    sys.stderr.write("security: SecKeychainSearchCopyNext: FAKE words of macOS\\n")
    sys.exit(code)
for service, account, secret in state["items"]:
    if service == asked.get("-s") and asked.get("-a", account) == account:
        print(secret)
        sys.exit(0)
sys.exit(44)
"""

LOCKED = 36
DENIED = 51
CANCELED = 128


class FakeSecurity:
    """The test's end: puts items in, locks, denies, lets it ask, and knows what was asked of it."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._directory = directory
        self._items: list[tuple[str, str, str]] = []
        self._seen: str | None = None
        self.program = directory / "security"
        self.program.write_text(PROGRAM.format(python=sys.executable, directory=str(directory)))
        self.program.chmod(0o700)
        self.answers_with(0)

    def put(self, secret: str, service: str = CLAUDE_SERVICE, account: str = ACCOUNT) -> None:
        """Stores an item, behind those of other accounts; one that is there is replaced in its place."""
        known = [item[:2] for item in self._items]
        if (service, account) in known:
            self._items[known.index((service, account))] = (service, account, secret)
        else:
            self._items.append((service, account, secret))
        self.answers_with(0)

    def answers_with(self, code: int) -> None:
        """From now on it ends with this exit code; 0 gives the item, or 44 where there is none."""
        self._say({"items": self._items, "code": code})

    def asks(self) -> None:
        """From now on it opens a dialog that nobody answers."""
        gate = self._directory / "gate"
        if not gate.exists():
            os.mkfifo(gate)
        self._say({"items": self._items, "asks": True})

    def is_answered(self) -> None:
        """The dialog is closed: the call that opened it goes on. One that is under way must be waiting."""
        (self._directory / "gate").write_text("")

    def waits_for(self, seen: Path) -> None:
        """From now on it goes on once a file of this directory is named for its process."""
        self._seen = str(seen)
        self.answers_with(0)

    def _say(self, state: dict[str, object]) -> None:
        unfinished = self._directory / "state.new"
        unfinished.write_text(json.dumps({**state, "seen": self._seen}))
        unfinished.rename(self._directory / "state")

    @property
    def environments(self) -> list[dict[str, str]]:
        """What it was given at each call."""
        notes = self._directory / "environments"
        return [json.loads(line) for line in notes.read_text().splitlines()] if notes.exists() else []

    @property
    def asked(self) -> list[list[str]]:
        """The arguments of each call so far."""
        notes = self._directory / "asked"
        return [json.loads(line) for line in notes.read_text().splitlines()] if notes.exists() else []

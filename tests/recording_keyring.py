"""A keyring backend that notes each read in a file and can be held up, and the test's end of it.

The daemon finds it by PYTHON_KEYRING_BACKEND; it shares nothing with the test but a directory.
"""

import contextlib
import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend

CLAUDE_SERVICE = "Claude Code-credentials"
ACCOUNT = "tester"


class RecordingKeyring:
    """The test's end: puts items in, counts the reads, holds them up."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._directory = directory
        self._items: dict[str, str] = {}
        self.environment = {
            "PYTHON_KEYRING_BACKEND": f"{__name__}.Keyring",
            "PYTHONPATH": str(Path(__file__).parent.parent),
            "RECORDING_KEYRING": str(directory),
        }

    def put(self, secret: str, service: str = CLAUDE_SERVICE, account: str = ACCOUNT) -> None:
        """Stores an item; whoever reads meanwhile sees the old one or the new one, never a part."""
        self._items[f"{service}/{account}"] = secret
        unfinished = self._directory / "items.new"
        unfinished.write_text(json.dumps(self._items))
        unfinished.rename(self._directory / "items")

    @property
    def reads(self) -> list[str]:
        """What was read so far, as service/account."""
        notes = self._directory / "reads"
        return notes.read_text().splitlines() if notes.exists() else []

    def hold(self) -> None:
        """From now on a read waits until `release`."""
        os.mkfifo(self._directory / "gate")

    def release(self) -> None:
        """Lets the waiting reads go on, and later ones pass."""
        gate = self._directory / "gate"
        writer = os.open(gate, os.O_RDWR)  # opening the pipe to write wakes those who read it
        gate.unlink()
        os.close(writer)


class Keyring(KeyringBackend):
    """The daemon's end."""

    priority = 10

    def get_password(self, service: str, username: str) -> str | None:
        directory = Path(os.environ["RECORDING_KEYRING"])
        with (directory / "reads").open("a") as notes:
            notes.write(f"{service}/{username}\n")
        with contextlib.suppress(FileNotFoundError):
            (directory / "gate").read_bytes()
        items: dict[str, str] = {}
        with contextlib.suppress(FileNotFoundError):
            items = json.loads((directory / "items").read_text())
        return items.get(f"{service}/{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        raise AssertionError(f"the daemon writes to {service}")

    def delete_password(self, service: str, username: str) -> None:
        raise AssertionError(f"the daemon deletes from {service}")

"""The receipt: what was written where, so that it can be taken back to the byte.

It lies beside the flag in the state directory, mode 0600, and is written before anything else. A receipt that
cannot be read counts as lost; what is then taken back is only what names our own address.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from claude_proxy.toggle.settings_text import KeyRecord, SettingsRecord

_VERSION = 1


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file: whether it was there before, the directories made for it, and what was put into it.

    `settings` for a settings.json; `blocks` for a shell's file, each block that we wrote there.
    """

    existed: bool
    directories: tuple[str, ...] = ()
    settings: SettingsRecord | None = None
    blocks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Receipt:
    """Of one or several files: `at` is Unix time in seconds, `url` where Claude Code was sent last."""

    url: str
    at: float
    files: Mapping[Path, FileRecord] = field(default_factory=dict)

    def render(self) -> bytes:
        files = {str(path): asdict(record) for path, record in self.files.items()}
        document = {"version": _VERSION, "url": self.url, "at": self.at, "files": files}
        return (json.dumps(document, indent=2) + "\n").encode()


def read_receipt(data: bytes | None) -> Receipt | None:
    """The receipt, or None where there is none that can be understood."""
    try:
        document = json.loads(data or b"null")
        if document is None or document["version"] != _VERSION:
            return None
        files = {Path(path): _file(record) for path, record in document["files"].items()}
        return Receipt(str(document["url"]), float(document["at"]), files)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def _file(record: Mapping[str, Any]) -> FileRecord:
    settings = record["settings"]
    return FileRecord(
        existed=bool(record["existed"]),
        directories=tuple(map(str, record["directories"])),
        settings=None if settings is None else _settings(settings),
        blocks=tuple(map(str, record["blocks"])),
    )


def _settings(record: Mapping[str, Any]) -> SettingsRecord:
    keys = {key: KeyRecord(tuple(map(str, its["wrote"])), _text(its["before"])) for key, its in record["keys"].items()}
    return SettingsRecord(
        keys, _text(record["blank"]), _text(record["root"]), _text(record["env"]), bool(record["made_env"])
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)

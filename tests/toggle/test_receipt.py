"""The receipt comes back as it was written, and one that cannot be understood is none."""

import json
from pathlib import Path
from typing import Any

import pytest

from claude_proxy.toggle.receipt import FileRecord, Receipt, read_receipt
from claude_proxy.toggle.settings_text import KeyRecord, SettingsRecord

KEYS = {"A": KeyRecord(('"1"', '"2"'), None), "B": KeyRecord(('"x"',), '"\\u0061"')}
FULL = Receipt(
    "http://127.0.0.1:8082",
    1795722550.25,
    {
        Path("/home/u/.claude/settings.json"): FileRecord(
            False, ("/home/u/.claude",), SettingsRecord(KEYS, "", " ", None, made_env=True)
        ),
        Path("/home/u/.zshenv"): FileRecord(True, (), None, ("# block\n",)),
    },
)


def test_it_comes_back_as_it_was_written() -> None:
    assert read_receipt(FULL.render()) == FULL
    assert read_receipt(Receipt("", 0.0).render()) == Receipt("", 0.0)


def without(path: tuple[str, ...]) -> bytes:
    document: Any = json.loads(FULL.render())
    inner = document
    for step in path[:-1]:
        inner = inner[step]
    del inner[path[-1]]
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "data",
    [
        None,
        b"",
        b"null",
        b"[]",
        b"5",
        b'"text"',
        b"\xff",
        b"[" * 100_000,
        FULL.render()[:-20],
        FULL.render().replace(b'"version": 1', b'"version": 2'),
        without(("url",)),
        without(("files",)),
        without(("files", "/home/u/.zshenv", "existed")),
        without(("files", "/home/u/.claude/settings.json", "settings", "keys", "A", "wrote")),
        FULL.render().replace(b"1795722550.25", b'"now"'),
        FULL.render().replace(b'"keys": {', b'"keys": 5, "other": {'),
    ],
)
def test_one_that_cannot_be_understood_is_none(data: bytes | None) -> None:
    assert read_receipt(data) is None

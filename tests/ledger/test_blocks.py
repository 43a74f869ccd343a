"""Blocks are stored once, kept as long as they may be needed, and hold no known secret."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from claude_proxy.ledger.blocks import Blocks, body_of
from claude_proxy.ledger.pieces import Cut
from claude_proxy.ledger.redaction import Redaction
from claude_proxy.ledger.sqlite_file import open_to_write
from tests.ledger.made_records import conversation


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = open_to_write(tmp_path / "ledger.db", 1.0)
    yield connection
    connection.close()


def store(connection: sqlite3.Connection, body: bytes, epoch: int, *secrets: str) -> bytes:
    blocks, cut = Blocks(connection, lambda: None), Cut.of(body)
    blocks.look_up([cut])
    stored = blocks.store(cut, epoch, Redaction(frozenset(secrets)))
    blocks.write()
    return stored.recipe


def epochs(connection: sqlite3.Connection) -> list[int]:
    return [epoch for (epoch,) in connection.execute("SELECT epoch FROM block ORDER BY number")]


def test_a_block_is_of_the_latest_epoch_in_which_it_was_used(connection: sqlite3.Connection) -> None:
    store(connection, conversation(3), 5)
    assert epochs(connection) == [5] * 4
    store(connection, conversation(2), 7)
    store(connection, conversation(3), 6)
    assert sorted(epochs(connection)) == [6, 7, 7, 7]


def test_more_blocks_than_fit_into_one_question(connection: sqlite3.Connection) -> None:
    body = conversation(700)
    recipe = store(connection, body, 1)
    store(connection, body, 1)
    assert len(epochs(connection)) == 701
    assert body_of(connection, recipe) == body


def test_a_block_that_is_missing_is_told(connection: sqlite3.Connection) -> None:
    recipe = store(connection, conversation(3), 1)
    connection.execute("DELETE FROM content WHERE block = 2")
    with pytest.raises(ValueError, match="block 2 of a body is missing"):
        body_of(connection, recipe)


def test_a_block_with_a_mark_of_the_cache_keeps_its_place_when_a_secret_is_replaced(
    connection: sqlite3.Connection,
) -> None:
    block = {"type": "text", "text": "FAKE-secret " * 9, "cache_control": {"type": "ephemeral"}}
    body = json.dumps({"messages": [{"content": [block]}]}).encode()
    read = body_of(connection, store(connection, body, 1, "FAKE-secret"))
    assert read == body.replace(b"FAKE-secret", b"[redacted]*")

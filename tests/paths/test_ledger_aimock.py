"""Streams of a stand-in that none of us wrote: what is recorded of them is what the official SDK makes of them."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from claude_proxy.ledger.answer import message_of
from tests.paths.test_aimock import aimock_behind_the_daemon, converse
from tests.paths.test_ledger import Ledger

SAME = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


@pytest.mark.parametrize("stream", [True, False], ids=["streaming", "not-streaming"])
async def test_usage_and_message_are_what_the_sdk_makes_of_them(
    stream: bool, aimock_program: str, tmp_path: Path
) -> None:
    async with aimock_behind_the_daemon(aimock_program, tmp_path) as (_, daemon):
        said = await converse(daemon.url, stream=stream)
        ledger = Ledger(tmp_path / "daemon")
        records = list(reversed(await ledger.ended(len(said))))
    assert len(records) == 3
    for record, message in zip(records, said, strict=True):
        told: dict[str, Any] = message["usage"]
        assert {name: getattr(record.usage, name) for name in SAME} == {name: told.get(name) for name in SAME}
        bodies = ledger.reader.bodies(record.id)
        assert bodies is not None
        assert bodies.answer is not None
        derived = message_of(bodies.answer) if stream else bodies.answer
        assert derived is not None
        whole = msgspec.json.decode(derived)
        assert (whole["id"], whole["content"]) == (message["id"], message["content"])
    ledger.reader.close()

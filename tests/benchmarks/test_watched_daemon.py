"""The daemon of the soak: what it tells when it is asked."""

import asyncio
import json
from pathlib import Path
from typing import Any

from benchmarks.watched_daemon import Watch
from tests.running import eventually


async def test_it_begins_to_look_when_it_is_asked_first_and_tells_each_look_once(tmp_path: Path) -> None:
    told = tmp_path / "told"
    watch = Watch(told)

    def asked() -> dict[str, Any]:
        watch.tell(0, None)
        answer: dict[str, Any] = json.loads(told.read_text())
        return answer

    before = asyncio.all_tasks()
    assert asked() == {"asked": 1, "tasks": len(before), "lags": []}
    await eventually(lambda: asked()["lags"])
    (looking,) = {task for task in asyncio.all_tasks() if "Watch" in repr(task)}
    assert asked()["lags"] == []  # all of them are told, and the loop has not run since
    looking.cancel()
    await asyncio.wait({looking})

"""The ledger put together: who writes it, who reads it, and who may throw it away."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path

from claude_proxy.ledger.settings import LedgerSettings
from claude_proxy.ledger.sqlite import SqliteStore
from claude_proxy.ledger.sqlite_file import set_aside
from claude_proxy.ledger.sqlite_reader import SqliteReader
from claude_proxy.observers.recorder import Recorder
from claude_proxy.observers.recording import Recording
from claude_proxy.web.reading import LedgerReads


@asynccontextmanager
async def recording(
    settings: LedgerSettings, told: Recording, await_rest: Callable[[float], object] = lambda _: None
) -> AsyncIterator[Recorder | None]:
    """The recorder, and in the end what it has not written yet; None where nothing is to be recorded."""
    if not settings.enabled:
        yield None
        return
    recorder = Recorder(
        settings,
        told,
        lambda breathe: SqliteStore(settings.path, breathe=breathe),
        partial(set_aside, settings.path),
        await_rest=await_rest,
    )
    recorder.start()
    try:
        yield recorder
    finally:
        await asyncio.to_thread(recorder.close)


def answers_kept(settings: LedgerSettings) -> int | None:
    """How much of each answer is kept, in bytes; none of any where only its length is wanted."""
    return settings.max_answer if settings.bodies else 0


def reading(settings: LedgerSettings) -> LedgerReads:
    """Who asks the ledger for the API; where nothing is recorded, who says so."""
    path = settings.path
    return LedgerReads(partial(SqliteReader, path) if settings.enabled else None, partial(_cleared, path))


def _cleared(path: Path) -> int:
    with closing(SqliteStore(path)) as store:
        return store.clear()

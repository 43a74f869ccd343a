"""The background check: has a stored login that is in use renewed before a request must wait for it."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterable

from claude_proxy.credentials.credential import CredentialSupply

_log = logging.getLogger(__name__)

EVERY = 1800.0
"""Seconds between two checks. A login counts as in use for twice as long after a request was given it."""


@contextlib.asynccontextmanager
async def upkeep(supplies: Callable[[], Iterable[CredentialSupply]], every: float = EVERY) -> AsyncIterator[None]:
    """Checks the supplies in force until the block ends; sooner than `every` seconds where one asks for it."""

    async def check_again_and_again() -> None:
        while True:
            wait = every
            try:
                for supply in supplies():
                    wait = min(wait, await supply.keep_fresh(every))
            except Exception:
                _log.exception("the background check of the stored login failed because of a fault in claude-proxy")
            await asyncio.sleep(wait)

    task = asyncio.create_task(check_again_and_again(), name="login upkeep")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

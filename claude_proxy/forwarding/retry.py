"""When a target is tried again: how often, after which wait, and for how long in all."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from claude_proxy.aside import imported
from claude_proxy.failures import AttemptFailed

T = TypeVar("T")


class RetrySettings(msgspec.Struct, frozen=True):
    """Waits in seconds: `first_wait`, doubled up to `max_wait`, `max_elapsed` in all; short, since Claude Code
    tries ten times itself. `max_retries` bounds the number beside the time."""

    first_wait: float = 0.5
    max_wait: float = 2.0
    max_elapsed: float = 5.0
    max_retries: int = 3


async def with_retries(
    once: Callable[[], Awaitable[T]], settings: RetrySettings, *, retries: int, may_go_on: Callable[[], bool]
) -> T:
    """What `once` gives, tried again after failures that allow it, while `may_go_on`. Raises the last AttemptFailed."""
    started = time.monotonic()
    try:
        return await once()
    except AttemptFailed as failed:
        if not failed.failure.again:
            raise
        first = failed
    # Only now: tenacity costs as much as a small request, and a fiftieth of the start to be imported, and nearly all
    # requests succeed at once. Aside, or all others would wait for that.
    try:
        await imported("claude_proxy.forwarding.again")
        from claude_proxy.forwarding.again import try_again

        left = settings.max_elapsed - (time.monotonic() - started)
        waits = (settings.first_wait, settings.max_wait)
        return await try_again(once, first, waits, tries=1 + retries, seconds=left, may_go_on=may_go_on)
    finally:
        del first  # its traceback leads back here

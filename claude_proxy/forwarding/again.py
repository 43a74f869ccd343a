"""What follows a first failure that allows another try: tenacity's loop, with our waits and our end."""

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import tenacity

from claude_proxy.failures import AttemptFailed, FailureKind

T = TypeVar("T")


async def try_again(
    once: Callable[[], Awaitable[T]],
    first: AttemptFailed | None,
    waits: tuple[float, float],
    *,
    tries: int,
    seconds: float,
    may_go_on: Callable[[], bool],
) -> T:
    """What `once` gives, of which the first try has failed. `tries` counts that one; `waits` are the first and the
    longest. Raises the last AttemptFailed."""

    async def once_more() -> T:
        nonlocal first
        if first is not None:
            try:
                raise first
            finally:
                first = None
        return await once()

    retrying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception(lambda error: _is_worth_another(error) and may_go_on()),
        wait=_Wait(*waits),
        stop=_Stop(tries, seconds),
        reraise=True,
    )
    try:
        result: T = await retrying(once_more)
    except AttemptFailed as failed:
        # Its traceback leads through tenacity's notes back to itself: it, and the request with its body, would stay
        # until the collector comes.
        raise failed.with_traceback(None) from None
    finally:
        retrying.iter_state.reset()  # its steps lead back to it, and to the request
    return result


class _Wait(tenacity.wait.wait_base):
    """Seconds until the next try: as the upstream asked, else doubling with jitter."""

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome is not None else None
        if isinstance(error, AttemptFailed):
            if error.failure.kind is FailureKind.STALE_TOKEN:
                return 0.0
            if error.failure.retry_after is not None:
                return error.failure.retry_after
        wait = min(self._first * 2.0 ** (retry_state.attempt_number - 1), self._longest)
        return wait * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, keeps no secret


class _Stop(tenacity.stop.stop_base):
    """When a target is given up: by number and by time. A stale token costs neither, and is replaced once."""

    def __init__(self, tries: int, seconds: float) -> None:
        self._tries = tries
        self._in_time = tenacity.stop_before_delay(seconds)
        self._replaced = 0

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        error = retry_state.outcome.exception() if retry_state.outcome is not None else None
        if isinstance(error, AttemptFailed) and error.failure.kind is FailureKind.STALE_TOKEN:
            self._replaced += 1
            return self._replaced > 1
        return retry_state.attempt_number - self._replaced >= self._tries or self._in_time(retry_state)


def _is_worth_another(error: BaseException) -> bool:
    return isinstance(error, AttemptFailed) and error.failure.again

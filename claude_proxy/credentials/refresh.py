"""Has the user's own `claude` renew its stored login: one run at a time, seldom, and never beside another holder.

We never redeem, read or send a refresh token: it is good for one use, so whoever else redeems it logs the user out.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Self, TypeVar

import msgspec

from claude_proxy.credentials.blocking import BlockingRead, ReadTimedOut
from claude_proxy.credentials.delegate import ClaudeRun
from claude_proxy.credentials.renewal_lock import RenewalLock
from claude_proxy.logline import say

_log = logging.getLogger(__name__)

RUNS_APART = 300.0
"""Seconds from the beginning of one run to that of the next."""

LOOKS_APART = 5.0
"""The same where there was no program to run: it is there as soon as the user has installed or named it."""

COMMAND = (
    *("claude", "-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"),
    *("--setting-sources", "", "--strict-mcp-config"),
)
"""Starts the client with no settings, hooks or servers of the user's, lets it wait for input, and asks no model."""

_OTHERS_LOOKED_AT = 0.1  # seconds between two looks at another client's lock
_LAST_WAIT = 15.0  # seconds for a run to end with the daemon; one that renews has 10 of them
_HANGS = 10.0  # seconds more than its own limits after which a run is given up: its home lies on a dead mount

T = TypeVar("T")


class RefreshSettings(msgspec.Struct, frozen=True):
    """Whether `claude` is asked (`delegate`), by which command, and how many seconds it may take."""

    delegate: bool = True
    command: tuple[str, ...] = COMMAND
    timeout: float = 30.0


class LastRefresh(msgspec.Struct, frozen=True):
    """When `claude` was last asked, in Unix time, and what came of it in words."""

    at: float
    outcome: str


class Refresher:
    """One for the whole house, kept over a reload: what it remembers bounds how often `claude` runs.

    Its block ends a run that is under way. `clock` is Unix time, `monotonic` measures what lies between two runs.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.last: LastRefresh | None = None
        self._environment = environment
        self._lock = RenewalLock(environment)
        self._clock = clock
        self._monotonic = monotonic
        self._one = asyncio.Lock()
        self._stopping = threading.Event()
        self._asked_at: float | None = None
        self._apart = RUNS_APART

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping.set()
        with contextlib.suppress(TimeoutError):  # it hangs: the daemon ends all the same
            async with asyncio.timeout(_LAST_WAIT), self._one:
                pass

    async def renew(
        self, settings: RefreshSettings, is_renewed: Callable[[], Awaitable[bool]], *, just_read: bool
    ) -> str:
        """Has the login renewed; "" where it is, else words that say why it is not.

        `is_renewed` looks into the store. It is asked before `claude` is, but where the store was `just_read`:
        whoever else has the login renews it too.
        """
        waited = self._one.locked()
        async with self._one:
            if waited and await is_renewed():
                return ""
            if self._asked_at is not None and (ago := self._monotonic() - self._asked_at) < self._apart:
                outcome = self.last.outcome if self.last is not None else "nothing came of it"
                return f"it was asked {ago:.0f} s ago ({outcome}) and is not asked again for {self._apart - ago:.0f} s"
            waited = await self._on_a_thread(partial(self._others_end, settings.timeout), settings.timeout, False)
            if (waited or not just_read) and await is_renewed():
                return ""
            if self._stopping.is_set():
                return "the daemon is stopping"
            return await self._ask(settings, is_renewed)

    async def _ask(self, settings: RefreshSettings, is_renewed: Callable[[], Awaitable[bool]]) -> str:
        started = self._asked_at = self._monotonic()
        run = ClaudeRun(
            settings.command, self._environment, self._lock, timeout=settings.timeout, stopping=self._stopping
        )
        words = await self._on_a_thread(run, 2 * settings.timeout, "it hangs")
        self._apart = LOOKS_APART if run.missing else RUNS_APART
        renewed = await is_renewed()
        outcome = "renewed" if renewed else words or "it ended without having renewed it"
        self.last = LastRefresh(self._clock(), outcome)
        level = logging.INFO if renewed else logging.WARNING
        say(_log, level, "login_refresh", outcome=outcome, took_s=round(self._monotonic() - started, 2))
        return "" if renewed else outcome

    def _others_end(self, limit: float) -> bool:
        """Waits while another client renews the login; whether there was one."""
        end = time.monotonic() + limit
        was_held = False
        while self._lock.held() and time.monotonic() < end and not self._stopping.is_set():
            was_held = True
            self._stopping.wait(_OTHERS_LOOKED_AT)
        return was_held

    @staticmethod
    async def _on_a_thread(work: Callable[[], T], limit: float, otherwise: T) -> T:
        try:
            return await BlockingRead(work, limit + _HANGS)()
        except ReadTimedOut:
            return otherwise

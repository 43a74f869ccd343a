"""What the service manager is told: sd_notify(3) by hand, and its watchdog fed by the event loop."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Mapping

from claude_proxy.logline import say

_log = logging.getLogger(__name__)

VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"""What a manager sets for us alone: our children must not have it."""


class Notifier:
    """Sends datagrams to the manager that started us; silent where none did.

    `variables` are those of VARIABLES that were set. A name that begins with @ is of the abstract namespace.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        address = variables.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog = _watchdog(variables) if address else 0.0
        """Seconds between two signs of life: half of what the manager allows. 0.0 where it wants none."""

    def tell(self, *assignments: str) -> None:
        """Sends `NAME=value` lines in one datagram, without ever waiting for the manager."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
                sending.setblocking(False)
                sending.sendto("\n".join(assignments).encode(), self._address)
        except OSError as error:
            say(_log, logging.WARNING, "manager_not_told", cause=error.strerror, message=assignments[0])

    def ready(self, status: str) -> None:
        """We serve, from the start or again after a reload. MAINPID for the case that a shell stands between."""
        self.tell("READY=1", f"MAINPID={os.getpid()}", f"STATUS={status}")

    def reloading(self) -> None:
        """`ready` must follow."""
        self.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", "STATUS=reading the configuration")

    def stopping(self, status: str, more: float) -> None:
        """We are ending; said again and again, each time for so many `more` seconds."""
        self.tell("STOPPING=1", f"EXTEND_TIMEOUT_USEC={round(more * 1e6)}", f"STATUS={status}")

    async def feed_watchdog(self) -> None:
        """Gives signs of life until cancelled. They come from the event loop: where that is stuck, they stop."""
        while self.watchdog:
            self.tell("WATCHDOG=1")
            await asyncio.sleep(self.watchdog)


def _watchdog(variables: Mapping[str, str]) -> float:
    microseconds = variables.get("WATCHDOG_USEC", "")
    ours = variables.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(microseconds) / 2e6 if ours and microseconds.isdecimal() else 0.0

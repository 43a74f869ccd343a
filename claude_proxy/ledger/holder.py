"""Who records into a ledger: one daemon, and the next version of it while the two hand over.

The lock is the system's own, on a file beside the ledger: it goes with the process, however that ends. The file says
whose it is, for whoever finds it taken. A process that stands in for another of ours, or is started by the manager
that holds the sockets of both, records beside it for as long as that one takes to finish.
"""

import contextlib
import fcntl
import os
import threading
from pathlib import Path

PATIENCE = 2.0
"""Seconds that a start waits for a file system that does not answer; it then goes on without the lock."""


class LedgerHeld(Exception):
    """Another daemon records into this ledger; the message says which one and what to do."""


class Hold:
    """The lock of a ledger, to be kept as long as the process records into it."""

    def __init__(self, ledger: Path) -> None:
        self._path = ledger.with_name(f"{ledger.name}.lock")
        self._ledger = ledger
        self._descriptor: int | None = None

    def take(self, *, shared: bool) -> None:
        """Takes it if it is free. Where it is not raises LedgerHeld, but not if it may be `shared` with a relative."""
        held: list[LedgerHeld] = []

        def take() -> None:
            with contextlib.suppress(OSError):  # a disk that is full or read-only keeps nobody from answering
                try:
                    self._take()
                except LedgerHeld as error:
                    held.append(error)

        thread = threading.Thread(target=take, name="ledger-lock", daemon=True)
        thread.start()
        thread.join(PATIENCE)
        if held and not shared:
            raise held[0]

    def _take(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        how = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(self._path, how, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 20).decode("ascii", "replace").strip()
            os.close(descriptor)
            who = f"claude-proxy (pid {holder})" if holder else "another daemon"
            raise LedgerHeld(
                f"the ledger {self._ledger} is held by {who}; "
                "end that one, or give this one a file of its own (ledger.url, or ledger.enabled: false)"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

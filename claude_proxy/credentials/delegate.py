"""One run of the user's own `claude`, which renews its login by itself: watched, bounded, and left to finish.

What makes this delicate (seen with Claude Code 2.1.197): the tokens that it asks for are lost, and the user is
logged out, when it ends between asking and storing, whether by a signal, by its input's end or because the command
it was given is done sooner. `claude -p /cost` is, in common set-ups. So the default command is one that waits for
input and gets none: its input is held open until the renewal is over. And nothing is ever killed while it renews,
but for a long last limit.
"""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from claude_proxy.credentials.claude_program import USUAL_PLACES, clean_environment, find_program
from claude_proxy.credentials.renewal_lock import RenewalLock

_LOOK_EVERY = 0.02  # seconds between two looks at the process and the lock; no renewal is over sooner
_SETTLED = 0.25  # seconds without the lock after which its renewal is over
_STOPPING = 0.05  # seconds that a process may need to stand still
_LAST_GRACE = 10.0  # seconds for a renewal under way when the daemon ends


class ClaudeRun:
    """Called on a thread, it runs the command once and says in words how that went; "" is well.

    `timeout` is in seconds; a renewal under way then gets as much again. `stopping` ends it early. `missing`
    says afterwards that there was no program to run.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        lock: RenewalLock,
        *,
        timeout: float,
        stopping: threading.Event,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._command = tuple(command)
        self._environment = environment
        self._lock = lock
        self._timeout = timeout
        self._stopping = stopping
        self._monotonic = monotonic
        self.missing = False

    def __call__(self) -> str:
        name, *arguments = self._command
        program = find_program(name, self._environment)
        if program is None:
            self.missing = True
            where = "" if "/" in name else f" on PATH, nor in {', '.join(USUAL_PLACES)}"
            return f"{name} was not found{where}; name its path in refresh_command"
        try:
            process = subprocess.Popen(  # noqa: S603 - the user's own program, no shell
                [program, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,  # it may speak of the account; its exit code is all we need
                stderr=subprocess.DEVNULL,
                env=clean_environment(self._environment),
                # Not the home directory: on macOS it would ask whether `claude` may look into the user's documents.
                cwd=self._lock.directory if self._lock.directory.is_dir() else "/",
                start_new_session=True,
            )
        except OSError as error:
            self.missing = True
            return f"{program} could not be run: {error.strerror}"
        try:
            return self._watch(process)
        finally:
            _signal(process, signal.SIGKILL)  # what it has started, too
            with contextlib.suppress(BrokenPipeError):
                assert process.stdin is not None
                process.stdin.close()
            process.wait()

    def _watch(self, process: subprocess.Popen[bytes]) -> str:
        assert process.stdin is not None
        deadline = self._monotonic() + self._timeout
        last = deadline + self._timeout
        free_since: float | None = None
        was_held = False
        while (code := process.poll()) is None:
            now, held = self._monotonic(), self._lock.held()
            if held:
                was_held, free_since = True, None
            elif free_since is None:
                free_since = now
            elif was_held and now - free_since >= _SETTLED:
                process.stdin.close()
            if self._stopping.is_set():
                deadline, last = min(deadline, now), min(last, now + _LAST_GRACE)
            if now >= last or (now >= deadline and not held and self._stands_still(process)):
                return "the daemon was stopped" if self._stopping.is_set() else self._too_long()
            time.sleep(_LOOK_EVERY)
        return "" if code == 0 else f"it ended with exit code {code}" if code > 0 else f"signal {-code} ended it"

    def _stands_still(self, process: subprocess.Popen[bytes]) -> bool:
        """Stops it for good, or lets it go on where it has begun to renew in this very moment."""
        _signal(process, signal.SIGSTOP)
        time.sleep(_STOPPING)
        if not self._lock.held():
            return True
        _signal(process, signal.SIGCONT)
        return False

    def _too_long(self) -> str:
        return f"it did not end within {self._timeout:g} s"


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """To the process and all that it has started; on macOS a group of dead ones refuses."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)

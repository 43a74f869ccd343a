"""A command at a terminal of its own: what a person would see there, and what they type."""

import contextlib
import fcntl
import os
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

# Makes its stdin the terminal of its session and becomes the program that is named.
_TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)


class Terminal:
    """A running command and the screen that it writes to. stdout and stderr are both the screen."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self.screen = ""
        self._master = master

    def shows(self, text: str, seconds: float = 20) -> None:
        """Waits until the screen shows this."""
        deadline = time.monotonic() + seconds
        while text not in self.screen:
            ready, _, _ = select.select([self._master], [], [], deadline - time.monotonic())
            assert ready, f"{text!r} is not on the screen:\n{self.screen}"
            assert self._read(), f"the command ended without {text!r}:\n{self.screen}"

    def types(self, text: str) -> None:
        os.write(self._master, text.encode())

    def ends(self, seconds: float = 20) -> int:
        """The exit code, once it has ended and all is on the screen."""
        deadline = time.monotonic() + seconds
        while True:
            ready, _, _ = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"the command does not end:\n{self.screen}"
            if not self._read():
                return self.process.wait(max(0.1, deadline - time.monotonic()))

    def _read(self) -> bool:
        try:
            seen = os.read(self._master, 1 << 16)
        except OSError:  # so Linux tells that nobody has the terminal open any more
            return False
        self.screen += seen.decode(errors="replace")
        return bool(seen)


def at_terminal(home: Path, env: Mapping[str, str], *arguments: str) -> contextlib.AbstractContextManager[Terminal]:
    """Runs `claude-proxy` with these arguments at a terminal."""
    return program_at_terminal(home, env, sys.executable, "-m", "claude_proxy", *arguments)


@contextlib.contextmanager
def program_at_terminal(home: Path, env: Mapping[str, str], *command: str) -> Iterator[Terminal]:
    """Runs a program at a terminal; it is killed where it has not ended by then."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 40, 120, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", _TAKE_TERMINAL, *command],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=dict(env),
        cwd=home,
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(master)

"""A watch over all that descends from this process: what every program on the machine can read of it in /proc."""

import contextlib
import os
import shlex
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_LOOK_EVERY = 0.002  # seconds


@dataclass(frozen=True)
class Program:
    """What a process was started with; one that becomes another program is there twice."""

    pid: int
    parent: int
    arguments: tuple[str, ...]
    environment: tuple[str, ...]

    @property
    def command_line(self) -> str:
        return " ".join(self.arguments)


class ProcessWatch:
    """Looks again and again. A program that ends sooner is missed: one that matters waits for `seen`."""

    def __init__(self, seen: Path) -> None:
        """`seen` is a directory in which a file named for a process says that it has been looked at."""
        seen.mkdir()
        self.seen = seen
        self.programs: list[Program] = []
        self._known: dict[int, bytes] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="process watch")

    def __enter__(self) -> "ProcessWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def until_seen(self) -> str:
        """A line with which a shell script waits until it has been looked at."""
        return f"until [ -e {shlex.quote(str(self.seen))}/$$ ]; do sleep 0.01; done"

    def of(self, words: str) -> list[Program]:
        """The programs whose command line has these words in it."""
        return [program for program in self.programs if words in program.command_line]

    def _look_on(self) -> None:
        own = (Path("/proc/self/cmdline").read_bytes(), os.getpid())
        while not self._ended.wait(_LOOK_EVERY):
            self._look_at_children(*own)

    def _look_at_children(self, command_line: bytes, parent: int) -> None:
        for pid in list(_children(parent)):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                # In this order: what is read next belongs to this program or to its successor.
                became = Path(f"/proc/{pid}/cmdline").read_bytes()
                # Between its birth and its own program a child is its parent's likeness.
                if became and became != command_line and self._known.get(pid) != became:
                    self._note(pid, parent, became)
                self._look_at_children(became or command_line, pid)

    def _note(self, pid: int, parent: int, command_line: bytes) -> None:
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except PermissionError:  # it has locked itself up, as gnome-keyring does
            environment = b""
        self._known[pid] = command_line
        self.programs.append(Program(pid, parent, _words(command_line), _words(environment)))
        (self.seen / str(pid)).touch()


def _children(pid: int) -> Iterator[int]:
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            yield from map(int, children.read_text().split())


def _words(text: bytes) -> tuple[str, ...]:
    return tuple(text.decode(errors="replace").removesuffix("\0").split("\0"))


def core_limits(pid: int) -> list[str]:
    """How large a core of this process may be, in bytes: what it has chosen, and what it may choose at most."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("Max core file size")]
    return line.removeprefix("Max core file size").split()[:2]

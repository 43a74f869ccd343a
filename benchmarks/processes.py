"""Processes of the benchmark: started clean and pinned, found ready, their use read, ended for certain."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
READY_SECONDS = 15.0
END_SECONDS = 5.0


class NotRunning(Exception):
    """A process that could not be started, with the reason and the remedy."""


@dataclass(frozen=True)
class Cores:
    """Where processes run: the proxy under test on one core, load and upstream on another; None: anywhere."""

    proxy: int | None
    rig: int | None

    def __str__(self) -> str:
        if self.proxy is None:
            return "Not pinned (that needs Linux and two cores): contestants and load disturb each other."
        return f"Pinned: the proxy under test to core {self.proxy}, load and upstream to core {self.rig}."


def choose_cores() -> Cores:
    """The first two cores that this process may use."""
    if not hasattr(os, "sched_setaffinity"):
        return Cores(None, None)
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(allowed[0], allowed[1]) if len(allowed) > 1 else Cores(None, None)


@contextlib.contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """What is started inside runs on this core: a child takes over its parent's affinity."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def clean_environment(home: Path, authorities: Path | None = None) -> dict[str, str]:
    """Nothing of the user's own: no credentials, no proxies, no keyring; this checkout's packages.

    `authorities`: a file with those that it trusts, in place of the system's.
    """
    return {
        **({"SSL_CERT_FILE": str(authorities)} if authorities is not None else {}),
        "HOME": str(home),
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "USER": "benchmark",
        "PYTHONPATH": str(REPOSITORY),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
    }


class Running:
    """A started process, its log in a file."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.process = process
        self._log = log

    @property
    def pid(self) -> int:
        return self.process.pid

    def last_words(self) -> str:
        """The end of its log, for a complaint."""
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return " | ".join(lines[-3:]) or "(it wrote nothing)"

    def url(self) -> str:
        """The address from its line `event=listening … url=…`, once it has written it."""
        pattern = re.compile(r"event=listening .*?url=(https?://\S+)")
        for _ in self._while_alive():
            if found := pattern.search(self._log.read_text(errors="replace")):
                return found[1]
        raise NotRunning(f"{self.name} did not say where it listens: {self.last_words()}")

    def accepts(self, port: int, seconds: float = READY_SECONDS) -> None:
        """Returns once this loopback port accepts connections."""
        for _ in self._while_alive(seconds):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
        raise NotRunning(f"{self.name} does not listen on port {port}: {self.last_words()}")

    def _while_alive(self, seconds: float = READY_SECONDS) -> Iterator[None]:
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            if (code := self.process.poll()) is not None:
                raise NotRunning(f"{self.name} ended with code {code}: {self.last_words()}")
            yield
            time.sleep(0.005)  # a part of the time to start, as it is measured

    def end(self) -> None:
        """Asks it to end and, where it does not, kills it and whatever it started."""
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(END_SECONDS)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)  # its own group, see start()
        self.process.wait()


def start(
    name: str,
    command: Sequence[str],
    home: Path,
    core: int | None,
    authorities: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> Running:
    """Starts a process in a session of its own: Ctrl-C reaches only us, and we end the others in order."""
    home.mkdir(parents=True, exist_ok=True)
    log = home / "log"
    with log.open("wb") as output, pinned(core):
        try:
            process = subprocess.Popen(
                command,
                cwd=home,
                env=clean_environment(home, authorities) | dict(variables or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise NotRunning(f"{name} cannot be started: {error}") from error
    return Running(name, process, log)


@contextlib.contextmanager
def ending(running: Running) -> Iterator[Running]:
    """The process until the block's end; a second Ctrl-C does not stop the cleaning up."""
    try:
        yield running
    finally:
        before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            running.end()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def run_to_end(name: str, command: Sequence[str], home: Path, core: int | None, seconds: float) -> str:
    """The output of a process that ends by itself; whether it succeeded is for the caller to read in it."""
    with ending(start(name, command, home, core)) as running:
        try:
            running.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise NotRunning(f"{name} did not end within {seconds:g} s: {running.last_words()}") from None
        return (home / "log").read_text(errors="replace")


# --- what a process tree has used (Linux) --------------------------------------------------------------


_PEAK = re.compile(r"VmHWM:\s+(\d+) kB")


@dataclass(frozen=True)
class Usage:
    """CPU seconds since the start, resident bytes now and at most (see `forget_peak`), of a process and those below."""

    cpu: float
    rss: int
    peak: int


def usage(pid: int) -> Usage | None:
    """None where the system has no /proc to read it from."""
    if not Path("/proc/self/statm").exists():
        return None
    cpu, rss, peak = 0.0, 0, 0
    for one in _tree(pid):
        with contextlib.suppress(OSError):  # it has just ended
            # The clock of another process, as clock_getcpuclockid(3) makes it: nanoseconds, all its threads,
            # those that have ended too. /proc/PID/stat counts in steps of 10 ms, too coarse for one round.
            cpu += time.clock_gettime((~one << 3) | 2)
            rss += int(Path(f"/proc/{one}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            if found := _PEAK.search(Path(f"/proc/{one}/status").read_text()):
                peak += 1024 * int(found[1])
    return Usage(cpu, rss, peak)


def forget_peak(pid: int) -> None:
    """From now on the most memory is counted anew (proc(5), clear_refs)."""
    for one in _tree(pid) if Path("/proc/self/clear_refs").exists() else ():
        with contextlib.suppress(OSError):
            Path(f"/proc/{one}/clear_refs").write_text("5")


def _tree(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # After the name, which may hold anything but ends at the last parenthesis: state, parent, …
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for one in found:  # grows while it is walked
        found += children.get(one, [])
    return found

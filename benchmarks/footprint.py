"""What the daemon takes besides CPU: time until it serves, and memory at rest, under load and afterwards (Linux)."""

import importlib.util
import json
import ssl
import statistics
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from benchmarks.contestants import CONTESTANTS, Place, Ready
from benchmarks.processes import NotRunning, Usage, choose_cores, ending, forget_peak, run_to_end, start, usage

STARTS = 9
SECONDS = 120  # the bound of one load
LARGE = 60_000_000
STREAMS = 200
SETTLING = 25.0  # seconds: two looks of the daemon at what it could give back
MILLION = 500  # requests for 2,000 events each


class Footprint:
    """One run in a temporary directory of its own."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._directory = directory
        self._cores = choose_cores()
        self._stack = stack
        self._upstream = self._start_upstream("upstream")
        self._authorities: Path | None = None
        self.rows: list[tuple[str, str]] = []

    def starts(self) -> None:
        """From the start of the process to its first answer, several times, as it is built in and with a file."""
        for name, begin in (("start", self._unchanged), ("start with a configuration file", self._daemon)):
            seconds, cpu = [], []
            for number in range(STARTS):
                with ExitStack() as stack:
                    began = time.monotonic()
                    ready = begin(f"{name} {number}", stack)
                    urllib.request.urlopen(f"{ready.url}/health", timeout=10).read()
                    seconds.append(time.monotonic() - began)
                    cpu.append(self._usage(ready).cpu)
            for what, taken in ((f"{name}, to the first /health", seconds), (f"{name}, CPU until then", cpu)):
                self._tell(f"{what}, median of {STARTS}, ms", statistics.median(taken) * 1e3)
                self._tell(f"{what}, the least, ms", min(taken) * 1e3)

    def memory(self) -> None:
        """One daemon through all loads, one after the other."""
        ready = self._daemon("daemon", self._stack)
        self._tell("at rest, MB", self._usage(ready).rss / 1e6)
        self._load(ready, body_bytes=1000, events=50, requests=200)
        base = self._usage(ready).rss
        self._tell("after 200 small streams, MB", base / 1e6)

        used = self._load(ready, body_bytes=LARGE, events=0, requests=1)
        self._tell("60 MB body: the most above that, in sizes of the body", (used.peak - base) / LARGE)
        self._tell("60 MB body: left above that, MB", (self._settled(ready).rss - base) / 1e6)

        self._load(ready, body_bytes=1_000_000, events=20, requests=100, connections=4)
        self._tell("after 100 bodies of 1 MB, MB", self._settled(ready).rss / 1e6)

        base = self._usage(ready).rss
        used = self._streams(ready)
        self._tell(f"{STREAMS} streams at once: for each, KB", (used.peak - base) / STREAMS / 1e3)
        self._tell(f"{STREAMS} streams at once, MB", used.peak / 1e6)

        base = self._settled(ready).rss
        for which in ("the first", "the second", "the third", "the fourth"):
            self._load(ready, body_bytes=1000, events=2000, delta_bytes=120, requests=MILLION, connections=8)
            left = self._settled(ready).rss
            self._tell(f"a million relayed events, {which}: adds, MB", (left - base) / 1e6)
            base = left

    def memory_over_tls(self) -> None:
        """Another daemon, which speaks TLS with its upstream as with the real APIs."""
        certificate = self._directory / "certificate.pem"
        self._authorities = self._directory / "authorities.pem"
        certify("127.0.0.1", certificate, self._authorities)
        self._upstream = self._start_upstream("tls-upstream", f"--certificate={certificate}")

        ready = self._daemon("tls", self._stack)
        used = self._streams(ready)
        self._tell(f"TLS: {STREAMS} streams at once, MB", used.peak / 1e6)

        ready = self._daemon("tls-bodies", self._stack)
        for connections in (1, 4, 16):
            self._load(ready, body_bytes=1_000_000, events=20, requests=100, connections=connections)
            self._tell(f"TLS: after 100 bodies of 1 MB, {connections} at once, MB", self._settled(ready).rss / 1e6)

    def _start_upstream(self, name: str, *options: str) -> str:
        command = [sys.executable, "-m", "benchmarks.upstream", *options]
        return self._stack.enter_context(ending(start(name, command, self._directory / name, self._cores.rig))).url()

    def _daemon(self, name: str, stack: ExitStack) -> Ready:
        place = Place(self._directory / name, self._upstream, self._cores.proxy, stack, self._authorities)
        return CONTESTANTS["daemon"](place)

    def _unchanged(self, name: str, stack: ExitStack) -> Ready:
        """The daemon with its built-in configuration but for the port: no file is there to be read."""
        place = Place(self._directory / name, self._upstream, self._cores.proxy, stack)
        running = place.start("unchanged", [sys.executable, "-m", "claude_proxy", "serve", "--port", "0"])
        return Ready("unchanged", running.url(), running)

    def _streams(self, ready: Ready) -> Usage:
        return self._load(
            ready,
            body_bytes=1000,
            events=60,
            delta_bytes=120,
            pause=0.05,
            requests=STREAMS,
            connections=STREAMS,
            warm_up=0,
        )

    def _load(self, ready: Ready, **options: float) -> Usage:
        assert ready.running is not None
        forget_peak(ready.running.pid)
        words = [f"--{name.replace('_', '-')}={value}" for name, value in {"seconds": SECONDS, **options}.items()]
        command = [sys.executable, "-m", "benchmarks.load", ready.url, *words]
        printed = run_to_end("load", command, self._directory / "load", self._cores.rig, SECONDS + 10)
        told = json.loads(printed.strip().splitlines()[-1])
        if "error" in told:
            raise NotRunning(told["error"])
        return self._usage(ready)

    def _settled(self, ready: Ready) -> Usage:
        """Some seconds later: it has recorded everything, and given back what is free."""
        time.sleep(SETTLING)
        return self._usage(ready)

    def _usage(self, ready: Ready) -> Usage:
        assert ready.running is not None
        used = usage(ready.running.pid)
        if used is None:
            raise NotRunning("this system has no /proc to read memory from")
        return used

    def _tell(self, what: str, figure: float) -> None:
        self.rows.append((what, f"{figure:.1f}"))
        print(f"| {what} | {figure:.1f} |", flush=True)


def certify(name: str, certificate: Path, authorities: Path) -> None:
    """Writes a key with its certificate, and who vouches for it among the system's own: those take memory, too."""
    if importlib.util.find_spec("trustme") is None:
        raise NotRunning("TLS needs trustme; pip install trustme")
    import trustme

    authority = trustme.CA()
    authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(certificate)
    authority.cert_pem.write_to_path(authorities)
    system = ssl.get_default_verify_paths().cafile
    if system is not None:
        with authorities.open("ab") as file:
            file.write(Path(system).read_bytes())


def main() -> int:
    print("| what | |\n| --- | --- |")
    with tempfile.TemporaryDirectory(prefix="claude-proxy-footprint-") as directory, ExitStack() as stack:
        try:
            footprint = Footprint(Path(directory), stack)
            footprint.starts()
            footprint.memory()
            footprint.memory_over_tls()
        except NotRunning as reason:
            print(f"it cannot be measured: {reason}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

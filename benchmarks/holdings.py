"""What a running daemon holds: requests, connections, descriptors, tasks, threads, memory (Linux)."""

import contextlib
import json
import os
import re
import signal
import time
import urllib.request
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from benchmarks.processes import NotRunning, usage

_TOLD_SECONDS = 10.0
_LISTENING = "0A"  # the state in /proc/net/tcp


@dataclass(frozen=True)
class Holdings:
    """What it holds at one moment: numbers of things, and bytes of memory (`rss`). `lags` are no holding: by how many
    seconds each look at its event loop came too late since its holdings were looked at before."""

    in_flight: int
    clients: int
    upstreams: int
    descriptors: int
    tasks: int
    threads: int
    rss: int
    lags: tuple[float, ...] = ()

    def grown(self, start: "Holdings") -> list[str]:
        """What is not as it was at the start, memory left aside."""
        names = [field.name for field in fields(self) if field.name not in {"rss", "lags"}]
        pairs = ((name, getattr(start, name), getattr(self, name)) for name in names)
        return [f"{name} went from {before} to {after}" for name, before, after in pairs if before != after]


@dataclass(frozen=True)
class Watched:
    """A daemon started by benchmarks.watched_daemon; `told` is the file into which it writes what only it knows."""

    pid: int
    url: str
    told: Path

    def holdings(self) -> Holdings:
        told = self._asked_to_tell()  # first: what follows takes its loop's time
        threads, descriptors = self._entries("task"), self._descriptors()
        local_ports = self._local_ports()
        clients = local_ports.count(int(self.url.rpartition(":")[2]))
        used = usage(self.pid)
        assert used is not None
        # Last: the question has a connection and tasks of its own.
        in_flight = self._in_flight()
        upstreams = len(local_ports) - clients
        return Holdings(
            in_flight, clients, upstreams, descriptors, told["tasks"], threads, used.rss, tuple(told["lags"])
        )

    def scrape(self) -> str:
        """What Prometheus would get."""
        return self._ask("/metrics")

    def _in_flight(self) -> int:
        return int(json.loads(self._ask("/livez"))["in_flight"])

    def _ask(self, path: str) -> str:
        request = urllib.request.Request(f"{self.url}{path}", headers={"Connection": "close"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            text: str = answer.read().decode()
        return text

    def _descriptors(self) -> int:
        """Without the ledger's, which are there from the first request on."""
        count = 0
        for path in Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed since it was listed
                count += "/ledger.db" not in str(path.readlink())
        return count

    def _entries(self, directory: str) -> int:
        return sum(1 for _ in Path(f"/proc/{self.pid}/{directory}").iterdir())

    def _asked_to_tell(self) -> dict[str, Any]:
        before = self.told.read_text() if self.told.exists() else ""
        os.kill(self.pid, signal.SIGUSR1)
        give_up = time.monotonic() + _TOLD_SECONDS
        while time.monotonic() < give_up:
            if self.told.exists() and (now := self.told.read_text()) != before:
                told: dict[str, Any] = json.loads(now)
                return told
            time.sleep(0.01)
        raise NotRunning(f"the daemon did not say within {_TOLD_SECONDS:g} s how many tasks it has")

    def _local_ports(self) -> list[int]:
        """The local port of each TCP connection that it has open; the listening socket left aside."""
        own = set()
        for path in Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed since it was listed
                if found := re.match(r"socket:\[(\d+)\]", str(path.readlink())):
                    own.add(found[1])
        lines = Path(f"/proc/{self.pid}/net/tcp").read_text().splitlines()[1:]
        rows = [line.split() for line in lines]
        return [int(row[1].partition(":")[2], 16) for row in rows if row[9] in own and row[3] != _LISTENING]

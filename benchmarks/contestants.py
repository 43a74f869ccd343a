"""The contestants: what stands between load and upstream, and how each is started."""

import importlib.util
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks import nginx
from benchmarks.processes import REPOSITORY, NotRunning, Running, ending, start

INSTALL = "install this checkout: scripts/test once, or pip install -e ., and run with that Python"


@dataclass(frozen=True)
class Ready:
    """A contestant that serves: its address, and its process where it has one of its own."""

    name: str
    url: str
    running: Running | None


@dataclass(frozen=True)
class Place:
    """Where contestants are started: the run's directory, its upstream, the core of the proxy under test.

    `authorities` is a file with those that a contestant trusts, where they are not the system's.
    """

    directory: Path
    upstream: str
    core: int | None
    stack: ExitStack
    authorities: Path | None = None

    def start(self, name: str, command: list[str], variables: Mapping[str, str] | None = None) -> Running:
        """Starts a process that ends with the run."""
        running = start(name, command, self.directory / name, self.core, self.authorities, variables)
        return self.stack.enter_context(ending(running))


def direct(place: Place) -> Ready:
    """No proxy: the baseline of the added time."""
    return Ready("direct", place.upstream, None)


def nginx_proxy(place: Place) -> Ready:
    port = nginx.free_port()
    command = nginx.command(place.directory / "nginx", port, urlsplit(place.upstream).netloc)
    if command is None:
        raise NotRunning(f"nginx is not installed; {nginx.REMEDY}")
    running = place.start("nginx", command)
    running.accepts(port)
    return Ready("nginx", f"http://127.0.0.1:{port}", running)


def plain_aiohttp(place: Place) -> Ready:
    if importlib.util.find_spec("aiohttp") is None:
        raise NotRunning(f"{sys.executable} has no aiohttp; {INSTALL}")
    running = place.start("aiohttp", [sys.executable, "-m", "benchmarks.plain_aiohttp", place.upstream])
    return Ready("aiohttp", running.url(), running)


def _daemon(name: str, **changed: Any) -> Callable[[Place], Ready]:
    """The daemon with its default settings, but for its port, its upstream and what is changed."""

    def begin(place: Place) -> Ready:
        home = place.directory / name
        home.mkdir(parents=True)
        if not (REPOSITORY / "claude_proxy" / "__main__.py").exists():
            raise NotRunning(f"{REPOSITORY} holds no claude_proxy that can be run; check out a later commit")
        settings = {
            "listen": {"host": "127.0.0.1", "port": 0},
            "upstreams": {"claude": {"base_url": place.upstream}},
            **changed,
        }
        path = home / "config.yaml"
        path.write_text(json.dumps(settings))  # JSON is YAML
        running = place.start(name, [sys.executable, "-m", "claude_proxy", "serve", "--config", str(path)])
        try:
            return Ready(name, running.url(), running)
        except NotRunning as reason:
            raise NotRunning(f"{reason}; where it misses a package, {INSTALL}") from reason

    return begin


# Another contestant is a function and a line here; the daemon with other settings is a line.
CONTESTANTS: dict[str, Callable[[Place], Ready]] = {
    "direct": direct,
    "nginx": nginx_proxy,
    "aiohttp": plain_aiohttp,
    "daemon": _daemon("daemon"),
    "unrecorded": _daemon("unrecorded", ledger={"enabled": False}),
}

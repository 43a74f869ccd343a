"""The whole house behind a real socket, within the test's own process and event loop: fast, and its log at hand."""

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from claude_proxy.assembly import House, assemble
from claude_proxy.config.load import load
from claude_proxy.exchange import Observer
from claude_proxy.logline import JsonFormatter, Redactor
from claude_proxy.web.protocol import Server
from tests.asking import ask

LOGIN = {"Authorization": "Bearer sk-ant-oat01-FAKE-login-of-the-client"}

# Nothing stored is ever looked for: what a test does not give is not there.
ONLY_GIVEN = {"claude": {"sources": ["client"]}, "minimax": {"sources": ["env:FAKE_MINIMAX_KEY"]}}


@dataclass
class InProcess:
    """A daemon that runs beside the test."""

    house: House
    port: int
    records: list[dict[str, Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The fields of every log line of this event so far."""
        return [record for record in self.records if record["event"] == event]

    async def livez(self) -> Any:
        return (await ask(f"{self.url}/livez", method="GET")).json()


class _Keeper(logging.Handler):
    """Keeps what is logged, as it would be written."""

    def __init__(self, keep: Callable[[dict[str, Any]], None], redactor: Redactor) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter(redactor))
        self._keep = keep

    def emit(self, record: logging.LogRecord) -> None:
        self._keep(json.loads(self.format(record)))


@contextlib.asynccontextmanager
async def in_process(
    home: Path,
    config: Mapping[str, Any],
    env: Mapping[str, str] | None = None,
    *,
    check_every: float = 1800.0,
    observers: Sequence[Observer] = (),
) -> AsyncIterator[InProcess]:
    """Serves on a free port of 127.0.0.1 until the block ends, as the daemon does it."""
    path = home / "config.yaml"
    whole = {"listen": {"host": "127.0.0.1", "port": 0}, "credentials": ONLY_GIVEN, **config}
    path.write_text(yaml.safe_dump(whole))
    # No test runs the developer's own Claude Code by accident; one that means to says so.
    environment = {"HOME": str(home), "CLAUDE_PROXY_CREDENTIALS__CLAUDE__REFRESH": "never", **(env or {})}
    settings = load(path, environment)
    redactor = Redactor()
    log = logging.getLogger("claude_proxy")
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listening:
        listening.setblocking(False)
        port = int(listening.getsockname()[1])
        async with assemble(settings, environment, port, redactor.learn, check_every, observers=observers) as house:
            runner = web.ServerRunner(Server(house.app, settings.limits), shutdown_timeout=1.0)
            await runner.setup()
            daemon = InProcess(house, port)
            keeper = _Keeper(daemon.records.append, redactor)
            log.addHandler(keeper)
            before = log.level
            log.setLevel(logging.DEBUG)
            try:
                await web.SockSite(runner, listening).start()
                yield daemon
            finally:
                log.setLevel(before)
                log.removeHandler(keeper)
                await runner.cleanup()


async def turns_of_the_loop(number: int = 4) -> None:
    """Lets every task and socket that is ready run, so that what was sent is read before more is sent."""
    for _ in range(number):
        await asyncio.sleep(0)

"""The stage: the real daemon before the stand-in, with all that it writes in a directory that goes with it."""

import asyncio
import contextlib
import json
import logging
import os
import shlex
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NoReturn

from aiohttp import web

from claude_proxy.assembly import assemble
from claude_proxy.config.load import load
from claude_proxy.config.settings import LogSettings
from claude_proxy.daemon import LoopFaults, logs_to
from claude_proxy.demo.questions import ask_all
from claude_proxy.demo.script import Provider
from claude_proxy.demo.stand_in import StandIn
from claude_proxy.demo.table import HEAD, Table
from claude_proxy.logline import Redactor
from claude_proxy.logwriter import LogWriter
from claude_proxy.web.drain import Drain
from claude_proxy.web.protocol import Server

TOKEN = "demo"  # noqa: S105 - no secret: it is printed, and opens the stand-in alone
UNANSWERED = 1
CUT_OFF = 130

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # HUP: the terminal is gone, and nobody looks any more
_LAST_WAIT = 0.1  # seconds for connections to close

# No source of a credential but these variables, which are not the process's own but made below.
_CONFIGURATION = """\
# The configuration of the demo: the built-in one, but that both APIs are its stand-in.
listen: {{ host: 127.0.0.1, port: 0 }}
drain_timeout: 5s
credentials:
  claude: {{ sources: [env:DEMO_CLAUDE_KEY] }}
  minimax: {{ sources: [env:DEMO_MINIMAX_KEY] }}
upstreams:
  claude: {{ base_url: "{claude}" }}
  minimax: {{ base_url: "{minimax}" }}
ledger: {{ url: {ledger} }}
"""

_FILE = "config.yaml"

Show = Callable[[str], None]
Signals = asyncio.Queue[signal.Signals]


class NoPlace(Exception):
    """There is no temporary directory; the text says what to do."""


def play(write: Callable[[memoryview], int], *, once: bool) -> NoReturn:
    """Runs until a signal ends it, or with `once` until its own questions are answered, and ends the process.

    `write` takes what is shown to whoever looks on, as `os.write` does. Raises NoPlace.
    """
    asyncio.run(_until_nothing_is_left(write, once=once))


async def _until_nothing_is_left(write: Callable[[memoryview], int], *, once: bool) -> NoReturn:
    signals: Signals = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in _ENDING:
        # Before there is anything that a signal could leave behind.
        loop.add_signal_handler(number, signals.put_nowait, number)
    loop.set_exception_handler(LoopFaults())
    with _showing(write) as show:
        with _place() as place:
            code = await _play(place, signals, show, once=once)
        show("Ended. Nothing was left behind.")
    # Here, since the loop's handlers end with it: a late signal must not kill what is leaving.
    os._exit(code)


@contextlib.contextmanager
def _showing(write: Callable[[memoryview], int]) -> Iterator[Show]:
    # On a thread of its own: a terminal that is stopped (Ctrl-S) must not hold up the answers.
    with contextlib.closing(LogWriter(write)) as writer:
        yield lambda line: writer.emit(logging.makeLogRecord({"msg": line}))


@contextlib.contextmanager
def _place() -> Iterator[Path]:
    try:
        directory = tempfile.TemporaryDirectory(prefix="claude-proxy-demo-")
    except OSError as error:
        raise NoPlace(f"no temporary directory could be made: {error.strerror}; name one with TMPDIR") from None
    with directory as path:
        yield Path(path)


async def _play(place: Path, signals: Signals, show: Show, *, once: bool) -> int:
    redactor = Redactor()
    async with StandIn() as stand_in:
        file = place / _FILE
        file.write_text(
            _CONFIGURATION.format(
                ledger=json.dumps(f"sqlite://{place}/ledger.db"),
                **{provider: stand_in.base_url(provider) for provider in Provider},
            )
        )
        # All that the daemon ever sees of an environment: nothing of the user's.
        environment = {
            "HOME": str(place),
            "AUTH_TOKEN": TOKEN,
            "DEMO_CLAUDE_KEY": stand_in.keys[Provider.CLAUDE],
            "DEMO_MINIMAX_KEY": stand_in.keys[Provider.MINIMAX],
        }
        settings = load(file, environment)
        with (
            _logging_to(place / "daemon.log", settings.log, redactor),
            socket.create_server((settings.listen.host, settings.listen.port)) as listening,
        ):
            listening.setblocking(False)
            port = listening.getsockname()[1]
            async with assemble(settings, environment, port, redactor.learn, observers=[Table(show)]) as house:
                runner = web.ServerRunner(Server(house.app, settings.limits), shutdown_timeout=_LAST_WAIT)
                await runner.setup()
                try:
                    await web.SockSite(runner, listening).start()
                    url = f"http://127.0.0.1:{port}"
                    for line in _greeting(url, place, once=once):
                        show(line)
                    if once:
                        return await asked_itself(url, signals)
                    await signals.get()
                    return await _drained(house.drain, settings.drain_timeout, signals, show)
                finally:
                    await runner.cleanup()


@contextlib.contextmanager
def _logging_to(path: Path, settings: LogSettings, redactor: Redactor) -> Iterator[None]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    writer = LogWriter(partial(os.write, descriptor))
    logs_to(writer, settings, redactor)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(writer)
        writer.close()
        os.close(descriptor)


def _greeting(url: str, place: Path, *, once: bool) -> Iterator[str]:
    yield "The real claude-proxy before a stand-in for Anthropic and MiniMax: no account, no network, no model."
    if not once:
        yield ""
        yield "In another terminal, and then type anything:"
        yield ""
        yield f"  ANTHROPIC_BASE_URL={url} ANTHROPIC_AUTH_TOKEN={TOKEN} claude"
        yield ""
        yield "What is recorded of it, and what it cost:"
        yield ""
        yield f"  claude-proxy usage model --config {shlex.quote(str(place / _FILE))}"
        yield ""
        yield f"Log, ledger and configuration lie in {place}; Ctrl-C ends all of it and removes them."
    yield ""
    yield HEAD


async def asked_itself(url: str, signals: Signals) -> int:
    """Asks until all is answered, or a signal comes; returns the exit code."""
    asking = asyncio.create_task(ask_all(url, TOKEN), name="questions")
    told = asyncio.create_task(signals.get(), name="signal")
    await asyncio.wait({asking, told}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if not asking.done():
        asking.cancel()
        return CUT_OFF
    return 0 if await asking else UNANSWERED


async def _drained(drain: Drain, limit: float, signals: Signals, show: Show) -> int:
    """Lets running answers finish; CUT_OFF where a second signal or the limit ends them."""
    drain.begin()
    if drain.in_flight:
        show(f"Finishing {drain.in_flight} running, for {limit:g} s at most; Ctrl-C again ends them at once.")
    empty = asyncio.create_task(drain.empty(), name="drain")
    again = asyncio.create_task(signals.get(), name="second signal")
    await asyncio.wait({empty, again}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
    finished = empty.done()
    for task in (empty, again):
        task.cancel()
    return 0 if finished else CUT_OFF

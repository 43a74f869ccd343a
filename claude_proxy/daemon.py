"""The daemon: takes its socket, serves, reloads, drains, leaves."""

import asyncio
import contextlib
import errno
import gc
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from aiohttp import web

from claude_proxy import __version__
from claude_proxy.assembly import House, assemble
from claude_proxy.config.settings import LogSettings, Settings
from claude_proxy.config.tree import ConfigurationError
from claude_proxy.logline import JsonFormatter, KeyValueFormatter, Redactor, say
from claude_proxy.logwriter import LogWriter
from claude_proxy.web.protocol import Server

_log = logging.getLogger(__name__)

_BACKLOG = 128
_PROGRESS_EVERY = 10.0  # seconds between two lines about a drain
_DESCRIPTORS = 65536
_LAST_WAIT = 0.1  # seconds for connections to close; what runs has ended by then, or shall not be waited for
_FORCED = 1
EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h: a service manager need not try again

Load = Callable[[], Settings]


class PortTaken(Exception):
    """The address is in use, or may not be used; the text says what to do."""


def serve(settings: Settings, environment: Mapping[str, str], load: Load) -> int:
    """Runs until a signal ends it; returns the exit code. `load` reads the configuration again.

    Raises PortTaken.
    """
    redactor = Redactor()
    # Not through sys.stderr: what waits in its buffer when the reader has gone would spoil the exit code.
    logs_to(LogWriter(partial(os.write, sys.stderr.fileno())), settings.log, redactor)
    _set_limits()
    with contextlib.closing(_bind(settings)) as listening, asyncio.Runner() as runner:
        code = runner.run(_serve(settings, environment, load, listening, redactor))
        if code == _FORCED:
            # At once: the runner would wait for its threads, and one of them for a name server.
            logging.shutdown()
            os._exit(code)
        return code


def logs_to(handler: logging.Handler, settings: LogSettings, redactor: Redactor) -> None:
    """Sends the log to a handler, one line an event."""
    handler.setFormatter(JsonFormatter(redactor) if settings.format == "json" else KeyValueFormatter(redactor))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries speak only of trouble: their debug lines quote headers.
    root.setLevel(logging.WARNING)
    logging.getLogger("claude_proxy").setLevel(settings.level.upper())
    logging.captureWarnings(capture=True)


def _set_limits() -> None:
    """Files of its own for the user alone, and as many connections as the system allows."""
    os.umask(0o077)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    with contextlib.suppress(ValueError, OSError):  # macOS names a hard limit that it does not grant
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def _bind(settings: Settings) -> socket.socket:
    host, port = settings.listen.host.strip("[]"), settings.listen.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise PortTaken(
            f"cannot listen on {settings.listen.host}:{port}: {error.strerror}. "
            f"See who has it: lsof -i :{port}; or take another port: claude-proxy serve --port {port + 1}"
        ) from None
    listening.setblocking(False)
    return listening


async def _serve(
    settings: Settings,
    environment: Mapping[str, str],
    load: Load,
    listening: socket.socket,
    redactor: Redactor,
) -> int:
    loop = asyncio.get_running_loop()
    signals: asyncio.Queue[signal.Signals] = asyncio.Queue()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, signals.put_nowait, number)
    loop.set_exception_handler(LoopFaults())
    port = listening.getsockname()[1]
    async with assemble(settings, environment, port, redactor.learn) as house:
        runner = web.ServerRunner(Server(house.app, settings.limits), shutdown_timeout=_LAST_WAIT)
        await runner.setup()
        try:
            await web.SockSite(runner, listening, backlog=_BACKLOG).start()
            _settle_memory()
            host = f"[{settings.listen.host}]" if ":" in settings.listen.host else settings.listen.host
            say(
                _log,
                logging.INFO,
                "listening",
                url=f"http://{host}:{port}",
                version=__version__,
                pid=os.getpid(),
                config=str(settings.file or "built-in"),
            )
            while True:
                number = await signals.get()
                if number is not signal.SIGHUP:
                    break
                _reload(house, load)
            return await _drain(house, number, signals)
        finally:
            await runner.cleanup()


def _settle_memory() -> None:
    """What was made at start stays: keep the collector from looking through it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _reload(house: House, load: Load) -> None:
    try:
        settings = load()
    except ConfigurationError as error:
        for complaint in error.complaints:
            say(_log, logging.ERROR, "reload_refused", fault=str(complaint))
        return
    except Exception:
        # A fault of ours in reading it must not end a daemon that is answering.
        _log.exception("the configuration was not reloaded because of a fault in claude-proxy")
        return
    house.reload(settings)
    logging.getLogger("claude_proxy").setLevel(settings.log.level.upper())
    say(_log, logging.INFO, "reloaded", config=str(settings.file or "built-in"))


async def _drain(house: House, number: signal.Signals, signals: "asyncio.Queue[signal.Signals]") -> int:
    """Lets running exchanges finish; 0 once they have, 1 where a second signal or the ceiling ended them."""
    house.drain.begin()
    limit = house.settings.drain_timeout
    say(_log, logging.INFO, "draining", signal=number.name, in_flight=house.drain.in_flight, limit_s=limit)
    empty = asyncio.create_task(house.drain.empty(), name="drain")
    deadline = asyncio.get_running_loop().time() + limit
    try:
        while True:
            again = asyncio.create_task(_second(signals), name="second signal")
            left = deadline - asyncio.get_running_loop().time()
            await asyncio.wait(
                {empty, again},
                timeout=min(_PROGRESS_EVERY, max(0.0, left)),
                return_when=asyncio.FIRST_COMPLETED,
            )
            forced = again.done()
            again.cancel()
            if empty.done():
                say(_log, logging.INFO, "stopped")
                return 0
            if forced or left <= 0:
                cause = "a second signal" if forced else "the drain timeout"
                say(_log, logging.WARNING, "stopped", cause=cause, cut_off=house.drain.in_flight)
                return _FORCED
            say(_log, logging.INFO, "draining", in_flight=house.drain.in_flight, left_s=round(left))
    finally:
        empty.cancel()


async def _second(signals: "asyncio.Queue[signal.Signals]") -> None:
    while await signals.get() is signal.SIGHUP:
        pass  # nothing to reload any more


class LoopFaults:
    """Logs what no task has caught, with its cause and never with a request's bytes.

    A lack of file descriptors is met again with every connection: it is logged once a minute.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._quiet_until = 0.0

    def __call__(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE}:
            if self._monotonic() >= self._quiet_until:
                self._quiet_until = self._monotonic() + 60.0
                say(_log, logging.ERROR, "out_of_descriptors", cause=error.strerror, remedy="raise ulimit -n")
            return
        info = (type(error), error, error.__traceback__) if isinstance(error, BaseException) else None
        _log.error("unhandled: %s", context.get("message"), exc_info=info)

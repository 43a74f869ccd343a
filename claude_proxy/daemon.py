"""The daemon: how its process begins, protects itself, and ends."""

import asyncio
import contextlib
import errno
import faulthandler
import gc
import logging
import os
import resource
import socket
import sys
import time
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

import msgspec

from claude_proxy import listening as sockets
from claude_proxy import notify
from claude_proxy.allocator import giving_back
from claude_proxy.assembly import assemble
from claude_proxy.config.older_names import without_effect
from claude_proxy.config.settings import LogSettings, Settings
from claude_proxy.handover import VARIABLE, Handed, Predecessor, StandIn, become_successor, own_command
from claude_proxy.ledger.holder import Hold
from claude_proxy.listening import CannotListen, Listening, listen
from claude_proxy.logfile import LogFile, launchd_log
from claude_proxy.logline import JsonFormatter, KeyValueFormatter, Redactor, say
from claude_proxy.logwriter import LogWriter
from claude_proxy.notify import Notifier
from claude_proxy.shift import End, Load, Shift
from claude_proxy.turns import Turns
from claude_proxy.web.gate import Gate
from claude_proxy.web.protocol import Server

_log = logging.getLogger(__name__)

_DESCRIPTORS = 65536
_COLLECTED_AFTER = (10_000, 20, 20)  # objects; with Python's 700 a tenth of a small request is spent on looking
_TLS_BUFFER = 32 << 10  # bytes; a record of TLS has 16 KiB at most (RFC 8446 5.1)
_OURS = (*sockets.VARIABLES, *notify.VARIABLES, VARIABLE)
_FORCED = 1
EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h: a service manager need not try again

PortTaken = CannotListen


class Start(msgspec.Struct, frozen=True):
    """What a process begins with: its sockets, its manager, and its relatives."""

    listening: Listening
    notifier: Notifier
    predecessor: Predecessor | None = None
    stand_ins: list[StandIn] = msgspec.field(default_factory=list)

    @classmethod
    def read(cls, settings: Settings, variables: Mapping[str, str]) -> Self:
        """From the variables that a manager or a predecessor has set. Raises PortTaken."""
        notifier = Notifier(variables)
        if VARIABLE not in variables:
            return cls(listen(settings, variables), notifier)
        handed = Handed.read(variables[VARIABLE])
        return cls(
            Listening([socket.socket(fileno=number) for number in handed.sockets], held=handed.held),
            notifier,
            Predecessor(handed.channel) if handed.channel is not None else None,
            [StandIn(socket.socket(fileno=channel), pid) for channel, pid in handed.stand_ins],
        )

    def close(self) -> None:
        self.listening.close()
        if self.predecessor is not None:
            self.predecessor.close()
        for stand_in in self.stand_ins:
            stand_in.channel.close()


def serve(settings: Settings, environment: Mapping[str, str], load: Load) -> int:
    """Runs until a signal ends it; returns the exit code. `load` reads the configuration again.

    Raises PortTaken, LedgerHeld.
    """
    # Meant for this process alone: what it starts must find none of it.
    variables = {name: os.environ.pop(name) for name in _OURS if name in os.environ}
    environment = {name: value for name, value in environment.items() if name not in _OURS}
    redactor = Redactor()
    # Not through sys.stderr: what waits in its buffer when the reader has gone would spoil the exit code.
    log_file = LogFile(launchd_log(Path(environment.get("HOME", "/"))), sys.stderr.fileno())
    logs_to(LogWriter(log_file.write), settings.log, redactor)
    for name, reason in without_effect(environment, harmless=False).items():
        say(_log, logging.WARNING, "not_used", variable=name, cause=reason)
    _set_limits()
    start = Start.read(settings, variables)
    if start.notifier.watchdog:
        faulthandler.enable()  # a manager ends a stuck process by SIGABRT: the log then says where it was stuck
    with contextlib.closing(start), contextlib.closing(Hold(settings.ledger.path)) as hold:
        if settings.ledger.enabled:
            hold.take(shared=VARIABLE in variables or start.listening.held)
        turns = Turns()
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(turns)) as runner:
            end, stand_ins = runner.run(_serve(settings, environment, load, start, redactor, turns))
            if end is End.FORCED:
                # At once: the runner would wait for its threads, and one of them for a name server.
                logging.shutdown()
                os._exit(_FORCED)
        if end is End.SUCCEEDED:
            logging.shutdown()
            kept = {name: value for name, value in variables.items() if name in notify.VARIABLES}
            become_successor(own_command(), start.listening.sockets, stand_ins, kept, held=start.listening.held)
    return 0


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


async def _serve(
    settings: Settings,
    environment: Mapping[str, str],
    load: Load,
    start: Start,
    redactor: Redactor,
    turns: Turns,
) -> tuple[End, list[StandIn]]:
    asyncio.get_running_loop().set_exception_handler(LoopFaults())
    listening = start.listening
    async with assemble(settings, environment, listening.port, redactor.learn, await_rest=turns.await_rest) as house:
        gate = Gate(Server(house.app, settings.limits), listening.sockets)
        shift = Shift(
            house,
            load,
            gate,
            listening,
            start.notifier,
            partial(StandIn.start, own_command(), listening.sockets, held=listening.held),
            start.predecessor,
            start.stand_ins,
        )
        _settle_memory()
        try:
            async with giving_back():
                return await shift.run(), shift.stand_ins
        finally:
            await gate.leave()


def _settle_memory() -> None:
    """What was made at start stays: keep the collector from looking through it again and again.

    It does not look through it first either: that takes 30 ms, and finds 2,000 small objects.
    """
    gc.freeze()
    gc.set_threshold(*_COLLECTED_AFTER)
    # A buffer for each connection over TLS, taken at once: 200 streams would take 50 MB with asyncio's 256 KiB.
    SSLProtocol.max_size = _TLS_BUFFER


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

"""The sockets handed over to the next version of ourselves, while this one finishes what it has begun.

The service manager knows one process, and notices nothing: the process that it knows starts a *stand-in*, which is
the next version and serves on the same sockets; finishes its answers; becomes the next version itself, in place; and
sends the stand-in away. A socket pair joins the two: a byte says what has happened, its end that one of them is gone.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn, Self

import msgspec

VARIABLE = "_CLAUDE_PROXY_HANDOVER"
"""Where a process finds what its predecessor left to it."""

SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2})
"""What we act upon; held back while we become our successor, and then acted upon by it."""

_SERVING, _TAKEN_OVER = b"s", b"t"


class Handed(msgspec.Struct, frozen=True):
    """What is left to a successor, by the numbers of descriptors. `held` as in `Listening`."""

    sockets: Sequence[int]
    held: bool
    channel: int | None = None
    """To the process that we stand in for; None where we have become our successor in place."""
    stand_ins: Sequence[Sequence[int]] = msgspec.field(default_factory=tuple)
    """Channel and process id of each that stands in for us until we serve, or has not ended since."""

    def written(self) -> str:
        return json.dumps(msgspec.structs.asdict(self))

    @classmethod
    def read(cls, text: str) -> Self:
        """Raises ValueError or TypeError for what no predecessor has written."""
        return cls(**json.loads(text))


class StandIn:
    """A process of the next version that serves for us, seen from our side."""

    def __init__(self, channel: socket.socket, pid: int) -> None:
        channel.set_inheritable(False)
        channel.setblocking(False)
        self.channel = channel
        self.pid = pid
        self._ended = False

    @classmethod
    def start(cls, command: list[str], sockets: Sequence[socket.socket], *, held: bool) -> Self:
        """Starts one; it is not serving yet. In a process group of its own: a terminal's Ctrl-C is for us.

        Raises OSError where the program cannot be run.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            handed = Handed([listening.fileno() for listening in sockets], held, theirs.fileno())
            environment = {**os.environ, VARIABLE: handed.written()}
            inherited = [*sockets, theirs]
            nothing = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
            # No other thread starts a process that keeps inheritable descriptors open.
            for left in inherited:
                left.set_inheritable(True)
            try:
                pid = os.posix_spawn(command[0], command, environment, file_actions=nothing, setpgroup=0, setsigmask=())
            except OSError:
                ours.close()
                raise
            finally:
                for left in inherited:
                    left.set_inheritable(False)
        return cls(ours, pid)

    async def serving(self) -> bool:
        """Waits until it serves; False where it has ended instead."""
        return await _received(self.channel) == _SERVING

    async def gone(self) -> None:
        """Waits until it has ended."""
        while await _received(self.channel):
            pass
        self._ended = True
        with contextlib.suppress(ChildProcessError):  # somebody else has waited for it
            await asyncio.to_thread(os.waitpid, self.pid, 0)

    def leave(self, *, taken_over: bool) -> None:
        """Tells it to finish what it has begun and to end. `taken_over`: we serve again."""
        with contextlib.suppress(OSError):  # it has ended already; `gone` says so
            if taken_over:
                self.channel.send(_TAKEN_OVER)
            self.channel.shutdown(socket.SHUT_WR)

    def kill(self) -> None:
        """Ends it at once, whatever it has begun."""
        self._signal(signal.SIGKILL)

    def reload(self) -> None:
        """Has it read the configuration again."""
        self._signal(signal.SIGHUP)

    def _signal(self, number: signal.Signals) -> None:
        if not self._ended:  # else its number may be another's by now
            os.kill(self.pid, number)


class Predecessor:
    """The process that we stand in for, seen from our side."""

    def __init__(self, channel: int) -> None:
        self._channel = socket.socket(fileno=channel)
        self._channel.set_inheritable(False)
        self._channel.setblocking(False)

    def we_serve(self) -> None:
        """Tells it that it may finish."""
        with contextlib.suppress(OSError):  # it has ended already; `sends_away` says so
            self._channel.send(_SERVING)

    async def sends_away(self) -> bool:
        """Waits until it, or its end, tells us to end. True where it has the sockets again."""
        return await _received(self._channel) == _TAKEN_OVER

    def close(self) -> None:
        self._channel.close()


async def _received(channel: socket.socket) -> bytes:
    """One byte, or nothing where the other side has ended."""
    try:
        return await asyncio.get_running_loop().sock_recv(channel, 1)
    except ConnectionError:
        return b""


def own_command() -> list[str]:
    """What starts the version of ourselves that is installed now, with the arguments that we were started with."""
    program = Path(sys.argv[0]).absolute()  # a link is not resolved: it may lead to another version by now
    if program.name == "__main__.py":
        return [sys.executable, *sys.orig_argv[1:]]
    return [str(program), *sys.argv[1:]]


def hold_signals_back() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def let_signals_in() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def become_successor(
    command: list[str],
    sockets: Sequence[socket.socket],
    stand_ins: Sequence[StandIn],
    variables: Mapping[str, str],
    *,
    held: bool,
) -> NoReturn:
    """Replaces this process by the next version. `variables` are the manager's. Raises OSError."""
    living = [stand_in for stand_in in stand_ins if stand_in.channel.fileno() >= 0]
    handed = Handed(
        [listening.fileno() for listening in sockets],
        held,
        stand_ins=[(stand_in.channel.fileno(), stand_in.pid) for stand_in in living],
    )
    for left in (*sockets, *(stand_in.channel for stand_in in living)):
        left.set_inheritable(True)
    os.execve(command[0], command, {**os.environ, **variables, VARIABLE: handed.written()})  # noqa: S606 - ourselves, without a shell

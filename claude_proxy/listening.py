"""The sockets that are listened on: our own, or the service manager's (systemd, launchd)."""

import ctypes
import errno
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from claude_proxy.config.sections import is_loopback
from claude_proxy.config.settings import Settings
from claude_proxy.port_holder import holders
from claude_proxy.web.gate import BACKLOG

VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
"""What systemd says of the sockets that it hands over, sd_listen_fds(3)."""

NAME = "claude-proxy"
"""The name of our sockets in the launch agent's `Sockets` and the socket unit's `FileDescriptorName`."""

_FIRST = 3  # SD_LISTEN_FDS_START


class CannotListen(Exception):
    """The address is in use, or may not be used, or what was handed over is of no use; the text says what to do."""


class Listening:
    """Sockets that are listened on. `held`: the service manager keeps them open, whatever becomes of us."""

    def __init__(self, sockets: Sequence[socket.socket], *, held: bool) -> None:
        self.sockets = sockets
        self.held = held
        for listening in sockets:
            listening.set_inheritable(False)
            listening.setblocking(False)

    @property
    def port(self) -> int:
        return int(self.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        host = self.sockets[0].getsockname()[0]
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def close(self) -> None:
        for listening in self.sockets:
            listening.close()


def listen(settings: Settings, variables: Mapping[str, str]) -> Listening:
    """The manager's sockets where it hands some over, else one of our own. Raises CannotListen.

    `variables` are those of VARIABLES that were set.
    """
    descriptors = from_systemd(variables) or (from_launchd() if sys.platform == "darwin" else [])
    if not descriptors:
        return Listening([_bind(settings)], held=False)
    names = [*variables.get("LISTEN_FDNAMES", "").split(":"), *[""] * len(descriptors)]
    sockets = [_checked(number, name or NAME, settings) for number, name in zip(descriptors, names, strict=False)]
    return Listening(sockets, held=True)


def from_systemd(variables: Mapping[str, str]) -> list[int]:
    """The descriptors that systemd left for this process, and for no parent or child of it."""
    count = variables.get("LISTEN_FDS", "")
    if variables.get("LISTEN_PID") != str(os.getpid()) or not count.isdecimal():
        return []
    return list(range(_FIRST, _FIRST + int(count)))


def from_launchd(library: Callable[[], Any] = lambda: ctypes.CDLL(None)) -> list[int]:
    """The descriptors that launchd keeps under our name, launch_activate_socket(3); it gives them once.

    None where launchd did not start us (ESRCH) or the agent names no such socket (ENOENT). Raises CannotListen.
    """
    functions = library()
    descriptors, count = ctypes.POINTER(ctypes.c_int)(), ctypes.c_size_t()
    failed = functions.launch_activate_socket(NAME.encode(), ctypes.byref(descriptors), ctypes.byref(count))
    if failed in {errno.ESRCH, errno.ENOENT}:
        return []
    if failed:
        raise CannotListen(f"launchd did not hand its socket over: {os.strerror(failed)}")
    found = [descriptors[index] for index in range(count.value)]
    functions.free(descriptors)
    return found


def _checked(descriptor: int, name: str, settings: Settings) -> socket.socket:
    try:
        listening = socket.socket(fileno=descriptor)
    except OSError:
        raise _unfit(name, f"descriptor {descriptor} is no socket") from None
    fit = listening.family in {socket.AF_INET, socket.AF_INET6} and listening.type == socket.SOCK_STREAM
    if sys.platform == "linux":  # macOS does not tell
        fit = fit and bool(listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    if not fit:
        raise _unfit(name, f"descriptor {descriptor} does not listen on a TCP port")
    host, access = listening.getsockname()[0], settings.access
    if not (access.trust_proxy or (access.enabled and access.token)) and not is_loopback(host):
        raise _unfit(name, f"{host} can be reached from other machines, and nothing keeps them out: set AUTH_TOKEN")
    return listening


def _unfit(name: str, why: str) -> CannotListen:
    return CannotListen(
        f"the service manager's socket {name!r} cannot be used: {why}; "
        "`claude-proxy service install` writes files that fit"
    )


def _bind(settings: Settings) -> socket.socket:
    host, port = settings.listen.host.strip("[]"), settings.listen.port
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        who = holders(port) if error.errno == errno.EADDRINUSE else ""
        raise CannotListen(
            f"cannot listen on {settings.listen.host}:{port}: {error.strerror}{' by ' if who else ''}{who}. "
            f"See who has it: lsof -i :{port}; or take another port: claude-proxy serve --port {port + 1}"
        ) from None
    return listening

"""Plays the service manager: holds the socket, starts daemons on it, hears what they tell. No systemd is needed."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.running import Daemon, clean_environment

# What systemd does between fork and exec: the sockets become descriptors 3 and up, LISTEN_PID names the child.
_BETWEEN_FORK_AND_EXEC = """
import fcntl, os, sys
numbers, *command = sys.argv[1:]
high = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 100) for number in numbers.split()]
for place, number in enumerate(high):
    os.dup2(number, 3 + place)
    os.close(number)
os.environ.setdefault("LISTEN_PID", str(os.getpid()))
os.execv(command[0], command)
"""


class Ear:
    """A notification socket and every message that came in there, in order, as a mapping of its lines."""

    def __init__(self, address: str) -> None:
        """`address` as NOTIFY_SOCKET has it: a path, or a name that begins with @."""
        self.address = address
        self.messages: list[dict[str, str]] = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def close(self) -> None:
        self.socket.close()

    async def next(self, seconds: float = 20) -> dict[str, str]:
        """The next message."""
        async with asyncio.timeout(seconds):
            received = await asyncio.get_running_loop().sock_recv(self.socket, 4096)
        message = dict(line.split("=", 1) for line in received.decode().splitlines())
        self.messages.append(message)
        return message

    async def hears(self, wanted: Callable[[dict[str, str]], bool], seconds: float = 20) -> dict[str, str]:
        """The next message that is wanted."""
        while True:
            message = await self.next(seconds)
            if wanted(message):
                return message

    def waiting(self) -> list[dict[str, str]]:
        """What has come and was not taken yet."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                received = self.socket.recv(4096).decode()
                found.append(dict(line.split("=", 1) for line in received.splitlines()))
        self.messages += found
        return found


@contextlib.contextmanager
def ear(address: str) -> Iterator[Ear]:
    with contextlib.closing(Ear(address)) as hearing:
        yield hearing


@contextlib.contextmanager
def held_sockets(number: int = 1) -> Iterator[list[socket.socket]]:
    """Sockets of a manager: bound and listening, before and after any daemon's time."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]


def port_of(listening: socket.socket) -> int:
    return int(listening.getsockname()[1])


@contextlib.asynccontextmanager
async def managed(
    home: Path,
    config: Mapping[str, Any],
    sockets: list[socket.socket] | None = None,
    hearing: Ear | None = None,
    env: Mapping[str, str] | None = None,
    *,
    wait: bool = True,
) -> AsyncIterator[Daemon]:
    """A daemon as systemd starts it, with these sockets and this ear; stopped in the end, or killed."""
    home.mkdir(parents=True, exist_ok=True)
    path = home / "config.yaml"
    path.write_text(yaml.safe_dump({"listen": {"host": "127.0.0.1", "port": 0}, **config}))
    environment = clean_environment(home, env)
    handed = list(sockets or [])
    if handed:
        names = {"LISTEN_FDS": str(len(handed)), "LISTEN_FDNAMES": ":".join(["claude-proxy"] * len(handed))}
        environment = {**names, **environment}
    if hearing is not None:
        environment = {"NOTIFY_SOCKET": hearing.address, **environment}
    numbers = [listening.fileno() for listening in handed]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _BETWEEN_FORK_AND_EXEC, " ".join(map(str, numbers))),
        *(sys.executable, "-m", "claude_proxy", "serve", "--config", str(path)),
        env=environment,
        cwd=home,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=numbers,
        limit=1 << 20,
    )
    daemon = Daemon(process, home)
    try:
        if wait:
            daemon.url = (await daemon.logged(r"event=listening .*url=(\S+)"))[1]
            daemon.port = int(daemon.url.rpartition(":")[2])
        yield daemon
    finally:
        try:
            await daemon.stop()
        except TimeoutError:
            process.kill()
            await daemon.ended()

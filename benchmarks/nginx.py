"""nginx as a contestant: nginx.conf filled in for one temporary directory, one port and one upstream."""

import os
import pwd
import shutil
import socket
from pathlib import Path

TEMPLATE = Path(__file__).with_name("nginx.conf")
REMEDY = "install it: apt-get install nginx-light (Debian, Ubuntu) or brew install nginx (macOS)"


def find_nginx() -> str | None:
    """The program; Debian keeps it in /usr/sbin, which is not on every user's PATH."""
    return shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"]))


def free_port() -> int:
    """A loopback port that is free now; nginx cannot choose one itself and say which."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def render(directory: Path, port: int, upstream: str) -> str:
    """The configuration; `upstream` is host:port."""
    # Started by root, the worker would become another user and could not enter the temporary directory.
    user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""
    text = TEMPLATE.read_text()
    for name, value in (("directory", directory), ("port", port), ("upstream", upstream), ("user", user)):
        text = text.replace(f"<{name}>", str(value))
    return text


def command(directory: Path, port: int, upstream: str) -> list[str] | None:
    """Writes the configuration and returns the command that runs it, or None without nginx."""
    program = find_nginx()
    if program is None:
        return None
    directory.mkdir(parents=True, exist_ok=True)
    configuration = directory / "nginx.conf"
    configuration.write_text(render(directory, port, upstream))
    # -e: without it nginx first opens the log of the system, which only root may.
    return [program, "-p", str(directory), "-e", "stderr", "-c", str(configuration)]

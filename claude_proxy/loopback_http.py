"""One question to the daemon on this machine over a bare socket: http.client alone takes 20 ms to import.

Only what a command needs that asks for /health: one GET, an answer that ends with the connection, a bound on its
size, and a time for all of it.
"""

import socket
import time
from collections.abc import Mapping
from typing import NamedTuple


class NotHttp(Exception):
    """Whoever answers does not speak HTTP."""


class Answer(NamedTuple):
    """The names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def get(host: str, port: int, path: str, patience: float, largest: int) -> Answer:
    """The answer to a GET within `patience` seconds, and no more of it than `largest` bytes.

    Raises OSError, TimeoutError for one that is not there in time, NotHttp.
    """
    ends = time.monotonic() + patience
    named = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    request = f"GET {path} HTTP/1.1\r\nHost: {named}\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
    received = b""
    with socket.create_connection((host, port), patience) as connection:
        connection.sendall(request.encode("latin-1"))
        while len(received) < largest:
            left = ends - time.monotonic()
            if left <= 0:
                raise TimeoutError
            connection.settimeout(left)
            chunk = connection.recv(1 << 16)
            if not chunk:
                break
            received += chunk
            if (whole := _answer(received)) is not None:
                return whole
    if not received:
        raise ConnectionResetError("it hangs up without an answer")
    head, _, body = received.partition(b"\r\n\r\n")
    status, headers = _head(head)
    return Answer(status, headers, body)


def _answer(received: bytes) -> Answer | None:
    """The answer, where its length is told and all of it is there: so nobody need wait for the end."""
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return None
    status, headers = _head(head)
    length = headers.get("content-length", "")
    if not length.isdecimal() or len(body) < int(length):
        return None
    return Answer(status, headers, body[: int(length)])


def _head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    if not version.startswith("HTTP/1.") or not rest[:3].isdecimal():
        raise NotHttp
    pairs = (line.partition(":") for line in lines)
    return int(rest[:3]), {name.strip().lower(): value.strip() for name, _, value in pairs}

"""The daemon asked over a bare socket, with both questions in one write: http.client alone takes 20 ms to import."""

import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

PATIENCE = 0.1
"""Seconds that the daemon may take in all. One that runs takes some milliseconds; one that is down, none."""

_LARGEST = 1 << 20  # bytes of all answers
_QUESTIONS = 2
_TOKEN_HEADER = "x-claude-proxy-token"  # noqa: S105 - the name of a header; importing wire for it would cost time
_DEFAULT_PORT = 80


class Told(NamedTuple):
    """What the daemon says: its /health, and what today has cost where it keeps account of that."""

    health: Mapping[str, Any]
    today: Mapping[str, Any]


class _Answer(NamedTuple):
    status: str
    body: bytes


class NoAnswer(Exception):
    """There is none; the text says why, in a few words."""


def daemon_address(environment: Mapping[str, str]) -> tuple[str, int] | None:
    """Host and port of the daemon that Claude Code asks, None where it asks none on this machine.

    Claude Code gives its own environment to what it starts, with what stands in its settings. Without the variable
    the file is read that says that routing is on, which holds the URL: so it can be tried in a shell, too.
    """
    url = environment.get("ANTHROPIC_BASE_URL") or _routing_on(environment)
    scheme, _, rest = url.strip().partition("://")
    authority = rest.partition("/")[0].rpartition("@")[2]
    host, _, port = authority.rpartition(":") if not authority.endswith("]") else (authority, "", "")
    if not host:
        host, port = authority, ""
    host = host.strip("[]")
    here = host in {"localhost", "::1"} or host.startswith("127.")
    if scheme != "http" or not here or not (port.isdigit() or not port):
        return None
    return host, int(port or _DEFAULT_PORT)


def _routing_on(environment: Mapping[str, str]) -> str:
    """What `enable` has written into toggle/places.py's `flag`, "" where routing is off."""
    home = environment.get("HOME") or os.path.expanduser("~")  # noqa: PTH111 - pathlib takes 10 ms to import
    state = environment.get("XDG_STATE_HOME", "").strip()
    if not state.startswith("/"):  # as platformdirs has it, after the XDG specification
        state = f"{home}/.local/state"
    try:
        with open(f"{state}/claude-proxy/routing-on", encoding="utf-8") as flag:  # noqa: PTH123 - as above
            return flag.readline()
    except (OSError, UnicodeDecodeError):
        return ""


def ask(host: str, port: int, environment: Mapping[str, str], patience: float = PATIENCE) -> Told:
    """Asks how it is and what today has cost; the latter is {} where it does not say. Raises NoAnswer."""
    name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    token = _access_token(environment)
    head = f"Host: {name}\r\nAccept: application/json\r\n"
    lines = f"GET /health HTTP/1.1\r\n{head}\r\nGET /api/stats/today HTTP/1.1\r\n{head}Connection: close\r\n"
    lines += f"{_TOKEN_HEADER}: {token}\r\n\r\n" if token else "\r\n"
    answers = _exchange(host, port, lines.encode("latin-1", "replace"), patience)
    if not answers:
        raise NoAnswer("does not answer")
    health = _mapping(answers[0].body)
    if not {"status", "version", "upstreams"} <= health.keys():
        raise NoAnswer("is another program")
    today = answers[1] if len(answers) > 1 else _Answer("", b"")
    return Told(health, _mapping(today.body) if today.status == "200" else {})


def _access_token(environment: Mapping[str, str]) -> str:
    """The daemon's own token, as Claude Code itself is given it: in ANTHROPIC_CUSTOM_HEADERS, one header a line."""
    for line in environment.get("ANTHROPIC_CUSTOM_HEADERS", "").splitlines():
        name, _, value = line.partition(":")
        if name.strip().lower() == _TOKEN_HEADER:
            return value.strip()
    return ""


def _exchange(host: str, port: int, request: bytes, patience: float) -> list[_Answer]:
    """The answers that come whole within this time, two at most. Raises NoAnswer where nobody listens."""
    ends = time.monotonic() + patience
    received, answers = b"", list[_Answer]()
    try:
        with socket.create_connection((host, port), patience) as connection:
            connection.sendall(request)
            while len(answers) < _QUESTIONS and len(received) < _LARGEST and (left := ends - time.monotonic()) > 0:
                connection.settimeout(left)
                chunk = connection.recv(1 << 16)
                if not chunk:
                    break
                received += chunk
                answers = list(_answers(received))
    except ConnectionRefusedError:
        raise NoAnswer("down") from None
    except OSError:
        pass  # what has come is told; nothing is a silence like any other
    return answers


def _answers(received: bytes) -> Iterator[_Answer]:
    """Those that are there as a whole."""
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = headers.get("content-length", "")
        if not first.startswith("HTTP/1.") or not length.isdecimal() or len(rest) < int(length):
            return
        yield _Answer(first.partition(" ")[2][:3], rest[: int(length)])
        received = rest[int(length) :]


def _mapping(body: bytes) -> dict[str, Any]:
    """The JSON object that a body is, {} for anything else."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}

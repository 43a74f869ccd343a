"""A knock at an upstream's door: its name resolved, connected to, TLS made, and its clock read.

One `HEAD` without any credential or name of anybody, sent as the daemon would send it: by the proxy that the
configuration names and past any other, and trusting whom OpenSSL and the configuration trust.
"""

import contextlib
import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from claude_proxy import __version__
from claude_proxy.upstreams.egress import Egress, trusting

_PATIENCE = 5.0  # seconds for each step
_LONGEST_HEAD = 64 << 10  # bytes of a proxy's answer
_WHOLE = 12.0  # seconds for all of it: a name server may take longer than any step


class Door(StrEnum):
    """How far a knock came."""

    ANSWERED = "answered"
    PROXY = "proxy"
    NAME = "name"
    CONNECTION = "connection"
    CERTIFICATE = "certificate"
    TLS = "tls"
    HTTP = "http"


class Knock(NamedTuple):
    """`reason` says why it came no further; `ahead` is by how many seconds this machine's clock is ahead of theirs."""

    door: Door
    reason: str = ""
    ahead: float | None = None


class _Closed(Exception):
    """One came no further."""

    def __init__(self, knock: Knock) -> None:
        super().__init__(knock.reason)
        self.knock = knock


def knock(base_url: str, egress: Egress | None = None, patience: float = _PATIENCE) -> Knock:
    """How far one comes at this URL. Blocks; a name server has its own patience."""
    split = urlsplit(base_url)
    secure = split.scheme == "https"
    host, port = _where(split)
    way = egress or Egress()
    proxy = urlsplit(way.proxy) if way.proxy else None
    headers = {"User-Agent": f"claude-proxy/{__version__}"}
    target = split.path or "/"
    with contextlib.ExitStack() as held:
        try:
            there = held.enter_context(_connected(proxy or split, patience, Door.PROXY if proxy else None))
            if proxy is not None:
                if proxy.scheme == "https":
                    there = held.enter_context(_over_tls(there, way, proxy.hostname or "", patience, Door.PROXY))
                if not secure:
                    target = f"http://{split.netloc}{target}"
                    headers.update(_login(way))
                else:
                    _lead(there, way, f"[{host}]:{port}" if ":" in host else f"{host}:{port}", patience)
                    if proxy.scheme == "https":
                        return Knock(Door.ANSWERED, "the proxy leads there; within its TLS nothing else was tried")
            connection = http.client.HTTPConnection(host, port)
            connection.sock = held.enter_context(_over_tls(there, way, host, patience)) if secure else there
            return _answer(connection, target, headers, patience)
        except _Closed as closed:
            return closed.knock


def _where(split: SplitResult) -> tuple[str, int]:
    return split.hostname or "", split.port or (443 if split.scheme == "https" else 80)


def _connected(split: SplitResult, patience: float, door: Door | None) -> socket.socket:
    """`door` is where one stands when this fails, None for the upstream's own."""
    try:
        return socket.create_connection(_where(split), patience)
    except (socket.gaierror, UnicodeError):
        raise _Closed(Knock(door or Door.NAME, "it cannot be resolved")) from None
    except OSError as error:
        raise _Closed(Knock(door or Door.CONNECTION, _reason(error, patience))) from None


def _over_tls(plain: socket.socket, way: Egress, host: str, patience: float, door: Door | None = None) -> ssl.SSLSocket:
    try:
        return trusting(way.authorities).wrap_socket(plain, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        says = f"its certificate is not trusted: {error.verify_message}" if door else error.verify_message
        raise _Closed(Knock(door or Door.CERTIFICATE, says)) from None
    except OSError as error:
        raise _Closed(Knock(door or Door.TLS, _reason(error, patience))) from None


def _lead(proxy: socket.socket, way: Egress, to: str, patience: float) -> None:
    """Has the proxy lead from here on to `host:port`."""
    lines = [f"CONNECT {to} HTTP/1.1", f"Host: {to}", *(f"{name}: {value}" for name, value in _login(way).items())]
    head = b""
    try:
        proxy.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        while b"\r\n\r\n" not in head and len(head) < _LONGEST_HEAD and (piece := proxy.recv(4096)):
            head += piece
    except OSError as error:
        raise _Closed(Knock(Door.PROXY, _reason(error, patience))) from None
    answered = re.match(rb"HTTP/1\.\d (\d{3})", head)
    if answered is None:
        raise _Closed(Knock(Door.PROXY, "it gave no valid answer to CONNECT"))
    if answered[1] != b"200":
        raise _Closed(Knock(Door.PROXY, f"it answered CONNECT with {answered[1].decode()}"))


def _login(way: Egress) -> dict[str, str]:
    return {} if way.proxy_authorization is None else {"Proxy-Authorization": way.proxy_authorization}


def _answer(connection: http.client.HTTPConnection, target: str, headers: Mapping[str, str], patience: float) -> Knock:
    try:
        begun = time.time()
        connection.request("HEAD", target, headers=headers)
        answer = connection.getresponse()
        return Knock(Door.ANSWERED, ahead=_ahead(answer.getheader("Date"), (begun + time.time()) / 2))
    except (OSError, http.client.HTTPException) as error:
        raise _Closed(Knock(Door.HTTP, _reason(error, patience))) from None
    finally:
        connection.close()


def _reason(error: Exception, patience: float) -> str:
    match error:
        case TimeoutError():
            return f"no answer within {patience:g} s"
        case ssl.SSLError(reason=str(reason)):
            return reason.lower().replace("_", " ")
        case OSError(strerror=str(reason)):
            return reason.lower()
    return type(error).__name__


def _ahead(date: str | None, now: float) -> float | None:
    try:
        # It names whole seconds, of which half a one has passed on average.
        return None if date is None else now - parsedate_to_datetime(date).timestamp() - 0.5
    except (ValueError, TypeError, OverflowError):
        return None


def knock_at_all(doors: Mapping[str, tuple[str, Egress | None]], whole: float = _WHOLE) -> dict[str, Knock]:
    """At each of these base URLs at once, by name and each by its own way."""
    found: dict[str, Knock] = {}

    def go(name: str, url: str, egress: Egress | None) -> None:
        found[name] = knock(url, egress)

    # Not to be waited for at the end: a name server that never answers must not keep the command.
    threads = [threading.Thread(target=go, args=(name, *its), daemon=True) for name, its in doors.items()]
    for thread in threads:
        thread.start()
    ends = time.monotonic() + whole
    for thread in threads:
        thread.join(max(0.0, ends - time.monotonic()))
    late = Knock(Door.NAME, f"no answer within {whole:g} s")
    return {name: found.get(name, late) for name in doors}

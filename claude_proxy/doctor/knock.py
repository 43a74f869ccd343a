"""A knock at an upstream's door: its name resolved, connected to, TLS made, and its clock read.

One `HEAD` without any credential or name of anybody, sent as the daemon would send it: past every proxy of the
environment, and trusting the certificates that OpenSSL trusts.
"""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import urlsplit

from claude_proxy import __version__

_PATIENCE = 5.0  # seconds for each step
_WHOLE = 12.0  # seconds for all of it: a name server may take longer than any step


class Door(StrEnum):
    """How far a knock came."""

    ANSWERED = "answered"
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


def knock(base_url: str, patience: float = _PATIENCE) -> Knock:
    """How far one comes at this URL. Blocks; a name server has its own patience."""
    split = urlsplit(base_url)
    secure = split.scheme == "https"
    host, port = split.hostname or "", split.port or (443 if secure else 80)
    try:
        plain = socket.create_connection((host, port), patience)
    except (socket.gaierror, UnicodeError):
        return Knock(Door.NAME, "it cannot be resolved")
    except OSError as error:
        return Knock(Door.CONNECTION, _reason(error, patience))
    try:
        connection = http.client.HTTPConnection(host, port)
        connection.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=host) if secure else plain
    except ssl.SSLCertVerificationError as error:
        plain.close()
        return Knock(Door.CERTIFICATE, error.verify_message)
    except OSError as error:
        plain.close()
        return Knock(Door.TLS, _reason(error, patience))
    try:
        begun = time.time()
        connection.request("HEAD", split.path or "/", headers={"User-Agent": f"claude-proxy/{__version__}"})
        answer = connection.getresponse()
        return Knock(Door.ANSWERED, ahead=_ahead(answer.getheader("Date"), (begun + time.time()) / 2))
    except (OSError, http.client.HTTPException) as error:
        return Knock(Door.HTTP, _reason(error, patience))
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


def knock_at_all(base_urls: Mapping[str, str], whole: float = _WHOLE) -> dict[str, Knock]:
    """At each of them at once, by name."""
    found: dict[str, Knock] = {}

    def go(name: str, url: str) -> None:
        found[name] = knock(url)

    # Not to be waited for at the end: a name server that never answers must not keep the command.
    threads = [threading.Thread(target=go, args=pair, daemon=True) for pair in base_urls.items()]
    for thread in threads:
        thread.start()
    ends = time.monotonic() + whole
    for thread in threads:
        thread.join(max(0.0, ends - time.monotonic()))
    late = Knock(Door.NAME, f"no answer within {whole:g} s")
    return {name: found.get(name, late) for name in base_urls}

"""What happens in the daemon, as it happens: its `/api/events` listened to, and come back to when it has restarted."""

import base64
import contextlib
import http.client
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from claude_proxy.health_report import reachable_host

_PATIENCE = 5.0  # seconds for the daemon on this machine to begin
_SILENCE = 60.0  # seconds; the daemon says every 15 that it is still there
_EVERY = 0.5  # seconds between two attempts to come back
_LONGEST = 1 << 20  # bytes of one line
_MOST_OF_A_REFUSAL = 1 << 16


class Event(NamedTuple):
    """`id` increases, through restarts too; None where the event is of this connection alone."""

    id: int | None
    name: str
    data: Mapping[str, Any]


class NotListening(Exception):
    """There is nothing to listen to; the text says why, and what to do. `code` is the exit code that this comes to."""

    def __init__(self, words: str, code: int) -> None:
        super().__init__(words)
        self.code = code


class _Gone(Exception):
    """The connection has ended, as when the daemon restarts, or there are too many listeners just now."""


def follow(
    host: str,
    port: int,
    environment: Mapping[str, str],
    gone: Callable[[str], None],
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[Event]:
    """Every event from now on, each once. `gone` is told why when the connection is lost, once until it is there again.

    Raises NotListening: at the first attempt where nobody answers, and whenever the daemon does not let us listen.
    """
    last: int | None = None
    was_there, told = False, False
    while True:
        try:
            for event in _listen(host, port, environment, last):
                was_there = True
                if event is None:
                    told = False
                    continue
                last = event.id if event.id is not None else last
                yield event
            why = "it has ended the connection"
        except _Gone as error:
            why = str(error)
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            if not was_there:
                raise NotListening(f"no daemon answers on {host}:{port}: {why}", 3) from None
        if not told:
            gone(why)
            told = True
        pause(_EVERY)


def _listen(host: str, port: int, environment: Mapping[str, str], last: int | None) -> Iterator[Event | None]:
    """One connection: None once it is there, then its events."""
    connection = http.client.HTTPConnection(reachable_host(host), port, timeout=_PATIENCE)
    try:
        connection.connect()
        sock = connection.sock  # which the answer takes over
        connection.request("GET", "/api/events", headers=_headers(environment, last))
        # Closed here, for in a destructor, which would close it too, a Ctrl-C is lost.
        with contextlib.closing(connection.getresponse()) as answer:
            _check(answer)
            sock.settimeout(_SILENCE)
            yield None
            yield from _events(answer)
    finally:
        connection.close()


def _headers(environment: Mapping[str, str], last: int | None) -> dict[str, str]:
    headers = {"Accept": "text/event-stream"}
    if last is not None:
        headers["Last-Event-ID"] = str(last)
    if token := environment.get("AUTH_TOKEN", "").strip():
        headers["x-claude-proxy-token"] = token
    if password := environment.get("DASHBOARD_PASSWORD", ""):
        headers["Authorization"] = "Basic " + base64.b64encode(f":{password}".encode()).decode()
    return headers


def _check(answer: http.client.HTTPResponse) -> None:
    """Raises NotListening and _Gone for an answer that is no stream of events."""
    if answer.status == 200 and answer.headers.get_content_type() == "text/event-stream":
        return
    kind = answer.getheader("x-claude-proxy-error")
    if answer.status == 503 and kind is not None:
        raise _Gone(_words(answer) or "it takes no listener just now")
    if kind == "password":
        raise NotListening("the daemon asks for the dashboard's password: set DASHBOARD_PASSWORD here too", 4)
    if kind == "access_token":
        raise NotListening("the daemon asks for its access token: set AUTH_TOKEN here too", 4)
    if kind == "not_found":
        raise NotListening("the daemon that runs tells nothing live: it is of another version; restart it", 1)
    if kind is not None:
        raise NotListening(f"the daemon refuses: {_words(answer) or kind}", 1)
    raise NotListening(f"another program answers there (HTTP {answer.status})", 3)


def _words(answer: http.client.HTTPResponse) -> str:
    try:
        return str(json.loads(answer.read(_MOST_OF_A_REFUSAL))["error"]["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def _events(answer: http.client.HTTPResponse) -> Iterator[Event]:
    """https://html.spec.whatwg.org/multipage/server-sent-events.html, as far as our own daemon uses it."""
    fields: dict[str, str] = {}
    while line := answer.readline(_LONGEST):
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if text:
            name, _, value = text.partition(":")
            fields[name] = value.removeprefix(" ")  # a comment has no name
        else:
            if "event" in fields:
                yield _event(fields)
            fields = {}


def _event(fields: Mapping[str, str]) -> Event:
    number = fields.get("id", "")
    try:
        data = json.loads(fields.get("data", ""))
    except (ValueError, RecursionError):
        data = None
    return Event(int(number) if number.isdecimal() else None, fields["event"], data if isinstance(data, dict) else {})

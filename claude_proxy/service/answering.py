"""The daemon asked over its own port, as a user's client would ask it."""

import http.client
import json
import time
from collections.abc import Callable
from dataclasses import dataclass

_SECONDS = 2.0  # for one answer
_EVERY = 0.1  # seconds between two questions
_CONNECTION_FAULTS = (OSError, http.client.HTTPException, ValueError, KeyError, TypeError)


@dataclass(frozen=True)
class Answering:
    """The process that answers now."""

    pid: int
    version: str
    status: str
    in_flight: int


def who_answers(host: str, port: int) -> Answering | None:
    """Who answers on /health; None where nobody does, or something else than claude-proxy."""
    connection = http.client.HTTPConnection(host, port, timeout=_SECONDS)
    try:
        connection.request("GET", "/health")
        health = json.loads(connection.getresponse().read(1 << 20))
        return Answering(int(health["pid"]), str(health["version"]), str(health["status"]), int(health["in_flight"]))
    except _CONNECTION_FAULTS:
        return None
    finally:
        connection.close()


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether it has come true in this time."""
    ends = time.monotonic() + seconds
    while not (true := condition()) and time.monotonic() < ends:
        time.sleep(_EVERY)
    return true

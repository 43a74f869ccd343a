"""What the running daemon says of itself: `/health` asked, and read tolerantly.

The daemon may be older or newer than this command, and something else may listen on its port.
"""

import json
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from claude_proxy.loopback_http import NotHttp, get
from claude_proxy.toggle.address import host_and_port

PATIENCE = 1.0
"""Seconds that the daemon on this machine may take to answer."""

_LARGEST = 1 << 20  # bytes


class Health(NamedTuple):
    """An answer of the daemon; `seconds` is how long it took."""

    body: Mapping[str, Any]
    seconds: float

    @property
    def version(self) -> str:
        return str(self.body.get("version", "unknown"))

    @property
    def draining(self) -> bool:
        return self.body.get("status") != "healthy"

    def section(self, name: str) -> dict[str, Any]:
        """A mapping of the answer, empty where it is missing."""
        return mapping(self.body.get(name))


class Silence(NamedTuple):
    """Why there is no answer, in words. `taken`: something listens there that is not the daemon, or `hangs`."""

    reason: str
    taken: bool = False
    hangs: bool = False


def mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def ask(url: str) -> Health | Silence:
    """Asks the daemon at this URL how it is."""
    begun = time.perf_counter()
    try:
        _, text = fetched(url, "/health")
        body = json.loads(text)
    except TimeoutError:
        return Silence(f"what listens there does not answer within {PATIENCE:g} s", taken=True, hangs=True)
    except OSError as error:
        return Silence((error.strerror or type(error).__name__).lower())
    except (NotHttp, ValueError, RecursionError):
        body = None
    if not {"status", "version", "upstreams"} <= mapping(body).keys():
        return Silence("something else than claude-proxy answers there", taken=True)
    return Health(body, time.perf_counter() - begun)


def wants_token(url: str) -> bool:
    """Whether the daemon asks for its access token, which Claude Code must then be given."""
    try:
        # Answered from memory; unlike /health it is not for everybody.
        error, _ = fetched(url, "/v1/models")
    except (OSError, NotHttp):
        return False
    return error == "access_token"


def fetched(url: str, path: str) -> tuple[str | None, bytes]:
    """The kind of refusal, None where there is none, and the body. Raises OSError and NotHttp."""
    host, port = host_and_port(url)
    answer = get(host, port, path, PATIENCE, _LARGEST)
    return answer.headers.get("x-claude-proxy-error"), answer.body
